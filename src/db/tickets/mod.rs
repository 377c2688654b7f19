//! `tickets`: where somebody has to look, and what a tracker calls it.

pub mod tracked;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::{OpeningId, TicketKind};

/// A ticket to be opened.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// Ours, if there is none yet.
    pub id: Uuid,
    /// The opening to look at.
    pub opening_id: OpeningId,
    /// Why.
    pub kind: TicketKind,
    /// What happened.
    pub summary: String,
    /// Where to look.
    pub link: String,
}

/// A ticket as it is read back.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub opening_id: Uuid,
    pub kind: String,
    pub summary: String,
    pub link: String,
    pub status: String,
    pub reason: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    pub tracker_key: Option<String>,
}

/// Something that happens to a ticket.
#[derive(Clone, Debug)]
pub enum Act {
    /// Somebody has to look.
    Open(NewTicket),
    /// Nobody has to look any more.
    Close {
        /// The opening.
        opening_id: OpeningId,
        /// Which of its tickets.
        kind: TicketKind,
        /// What happened.
        reason: String,
    },
}

/// Something that did happen to a ticket: one that is open already is not opened, nor is one closed that is not.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The opening.
    pub opening_id: Uuid,
    /// Which of its tickets.
    pub kind: TicketKind,
    /// Opened, or closed.
    pub opened: bool,
    /// What happened.
    pub why: String,
    /// Counts what happened to the ticket.
    pub revision: i64,
}

/// Opens and closes tickets as if one after the other: one that is opened and closed in the same commit is closed in the
/// end, one that is closed and opened is open. What changed by it, in order.
///
/// # Errors
/// When the database is away.
pub async fn act(connection: &mut PgConnection, acts: &[Act], now: Time) -> sqlx::Result<Vec<Changed>> {
    // Every step that leaves a state closes a ticket that is hardly ever there; opening one is rare. So whatever is closed
    // between two openings is closed at once.
    let (mut closed, mut changed) = (Vec::new(), Vec::new());
    for act in acts {
        match act {
            Act::Close { opening_id, kind, reason } => closed.push((*opening_id, *kind, reason.as_str())),
            Act::Open(ticket) => {
                changed.extend(close(connection, &std::mem::take(&mut closed), now).await?);
                changed.extend(open(connection, ticket, now).await?);
            }
        }
    }
    changed.extend(close(connection, &closed, now).await?);
    Ok(changed)
}

/// One per opening and kind: one that was closed is opened again.
async fn open(connection: &mut PgConnection, ticket: &NewTicket, now: Time) -> sqlx::Result<Option<Changed>> {
    let revision = sqlx::query_scalar!(
        r#"-- tickets::open
        insert into tickets as t (id, opening_id, kind, summary, link, status, created_at, updated_at, revision)
        values ($1, $2, $3, $4, $5, 'open', $6, $6, 1)
        on conflict on constraint one_ticket_per_kind do update
           set status = 'open', summary = excluded.summary, reason = null, updated_at = excluded.updated_at,
               revision = t.revision + 1
         where t.status = 'closed'
        returning revision"#,
        ticket.id,
        ticket.opening_id.0,
        ticket.kind.as_str(),
        ticket.summary,
        ticket.link,
        now,
    )
    .fetch_optional(connection)
    .await?;
    let NewTicket { opening_id, kind, summary, .. } = ticket;
    let changed =
        |revision| Changed { opening_id: opening_id.0, kind: *kind, opened: true, why: summary.clone(), revision };
    Ok(revision.map(changed))
}

async fn close(
    connection: &mut PgConnection,
    tickets: &[(OpeningId, TicketKind, &str)],
    now: Time,
) -> sqlx::Result<Vec<Changed>> {
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let openings: Vec<Uuid> = tickets.iter().map(|(id, ..)| id.0).collect();
    let kinds: Vec<String> = tickets.iter().map(|(_, kind, _)| kind.to_string()).collect();
    let reasons: Vec<String> = tickets.iter().map(|(.., reason)| (*reason).to_owned()).collect();
    let closed = sqlx::query!(
        r#"-- tickets::close
        update tickets t set status = 'closed', reason = n.reason, updated_at = $4, revision = t.revision + 1
          from unnest($1::uuid[], $2::text[], $3::text[]) as n(opening_id, kind, reason)
         where t.opening_id = n.opening_id and t.kind = n.kind and t.status = 'open'
        returning t.opening_id, t.kind, t.reason as "reason!", t.revision"#,
        &openings,
        &kinds,
        &reasons,
        now,
    )
    .fetch_all(connection)
    .await?;
    let changed = closed.into_iter().filter_map(|row| {
        let kind = row.kind.parse().ok()?;
        Some(Changed { opening_id: row.opening_id, kind, opened: false, why: row.reason, revision: row.revision })
    });
    Ok(changed.collect())
}

/// A page of tickets, newest first.
///
/// # Errors
/// When the database is away.
pub async fn list(
    connection: &mut PgConnection,
    status: Option<&str>,
    opening: Option<Uuid>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- tickets::list
        select id, opening_id, kind, summary, link, status, reason, created_at, updated_at, tracker_key
          from tickets
         where ($1::text is null or status = $1)
           and ($2::uuid is null or opening_id = $2)
           and id < $3
         order by id desc
         limit $4"#,
        status,
        opening,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Empties what the tickets of an opening say: words of others may be in it. Kind, link and times stay.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- tickets::erase
        update tickets set summary = 'erased', reason = case when reason is not null then 'erased' end
         where opening_id = $1"#,
        opening.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
