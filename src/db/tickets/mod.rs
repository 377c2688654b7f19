//! `tickets`: openings that an operator must look at, with their key at the ticket tracker.

pub mod tracked;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::{OpeningId, TicketKind};

#[derive(Clone, Debug)]
pub struct NewTicket {
    /// Its id, unless the ticket exists.
    pub id: Uuid,
    pub opening_id: OpeningId,
    pub kind: TicketKind,
    /// The summary for people.
    pub summary: String,
    /// The opening's page on the dashboard.
    pub link: String,
}

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

/// A change of a ticket.
#[derive(Clone, Debug)]
pub enum Act {
    Open(NewTicket),
    Close {
        opening_id: OpeningId,
        kind: TicketKind,
        /// The reason for people.
        reason: String,
    },
}

/// A ticket that changed. Opening an open ticket or closing a closed one changes nothing.
#[derive(Clone, Debug)]
pub struct Changed {
    pub opening_id: Uuid,
    pub kind: TicketKind,
    /// Opened (true) or closed.
    pub opened: bool,
    /// The summary or the reason.
    pub why: String,
    /// Number of changes of the ticket so far.
    pub revision: i64,
}

/// Applies acts as if one after the other: a ticket opened and closed in one commit ends closed. Returns the changes in
/// order.
pub async fn act(connection: &mut PgConnection, acts: &[Act], now: Time) -> sqlx::Result<Vec<Changed>> {
    // Every step closes a ticket that rarely exists, and opening is rare. So all closes between two opens run as one
    // statement.
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

/// Opens a ticket; at most one exists per opening and kind, and a closed one is reopened.
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

macro_rules! list_among {
    ($connection:expr, $status:expr, $opening:expr, $page:expr, $name:literal, $among:literal) => {
        sqlx::query_as!(
            Row,
            "-- tickets::list"
                + $name
                + r#"
            select t.id as "id!", t.opening_id as "opening_id!", t.kind as "kind!", t.summary as "summary!", t.link as "link!",
                   t.status as "status!", t.reason, t.created_at as "created_at!", t.updated_at as "updated_at!", t.tracker_key
              from ("#
                + $among
                + r#" limit (select null::bigint)) as said
             cross join lateral (select * from tickets where id = said.id limit 1) as t
             where ($1::text is null or t.status = $1)
               and ($2::uuid is null or t.opening_id = $2)
               and t.id < $3
             order by said.id desc
             limit $4"#,
            $status,
            $opening,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of tickets, newest first, with a statement for each way to find them. Plan: as of `mismatches::list`.
pub async fn list(
    connection: &mut PgConnection,
    status: Option<&str>,
    opening: Option<Uuid>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Row>> {
    match (status, opening) {
        (_, Some(_)) => list_among!(
            connection,
            status,
            opening,
            page,
            "_of_opening",
            "select id from (select id from tickets where opening_id = $2 offset 0) as those order by id desc"
        ),
        (Some("open"), None) => list_among!(
            connection,
            status,
            opening,
            page,
            "_open",
            "select id from tickets where status = 'open' and id < $3 order by id desc"
        ),
        _ => {
            list_among!(connection, status, opening, page, "", "select id from tickets where id < $3 order by id desc")
        }
    }
}

/// Erases the texts of an opening's tickets, which may quote others. Kind, link and times stay.
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
