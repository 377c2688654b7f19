//! `tickets`: where somebody has to look.

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
#[expect(missing_docs, reason = "the columns of tickets")]
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
}

/// Opens tickets: one per opening and kind, so that one that was closed is opened again.
///
/// # Errors
/// When the database is away.
pub async fn open(connection: &mut PgConnection, tickets: &[NewTicket], now: Time) -> sqlx::Result<()> {
    for ticket in tickets {
        sqlx::query!(
            r#"-- tickets::open
            insert into tickets as t (id, opening_id, kind, summary, link, status, created_at, updated_at)
            values ($1, $2, $3, $4, $5, 'open', $6, $6)
            on conflict on constraint one_ticket_per_kind do update
               set status = 'open', summary = excluded.summary, reason = null, updated_at = excluded.updated_at
             where t.status = 'closed'"#,
            ticket.id,
            ticket.opening_id.0,
            ticket.kind.as_str(),
            ticket.summary,
            ticket.link,
            now,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Closes tickets that are open.
///
/// # Errors
/// When the database is away.
pub async fn close(
    connection: &mut PgConnection,
    tickets: &[(OpeningId, TicketKind, String)],
    now: Time,
) -> sqlx::Result<()> {
    if tickets.is_empty() {
        return Ok(());
    }
    let openings: Vec<Uuid> = tickets.iter().map(|(id, ..)| id.0).collect();
    let kinds: Vec<String> = tickets.iter().map(|(_, kind, _)| kind.to_string()).collect();
    let reasons: Vec<String> = tickets.iter().map(|(.., reason)| reason.clone()).collect();
    sqlx::query!(
        r#"-- tickets::close
        update tickets t set status = 'closed', reason = n.reason, updated_at = $4
          from unnest($1::uuid[], $2::text[], $3::text[]) as n(opening_id, kind, reason)
         where t.opening_id = n.opening_id and t.kind = n.kind and t.status = 'open'"#,
        &openings,
        &kinds,
        &reasons,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
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
        select id, opening_id, kind, summary, link, status, reason, created_at, updated_at
          from tickets
         where ($1::text is null or status = $1)
           and ($2::uuid is null or opening_id = $2)
           and ($3::uuid is null or id < $3)
         order by id desc
         limit $4"#,
        status,
        opening,
        page.after,
        page.limit,
    )
    .fetch_all(connection)
    .await
}
