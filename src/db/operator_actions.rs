//! `operator_actions`: operators' acts, recorded in the commit that made them.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use super::mentions::Mentions;
use crate::clock::Time;
use crate::domain::OpeningId;

#[derive(Clone, Debug)]
pub struct Action {
    pub id: Uuid,
    pub at: Time,
    /// The name of the operator's token.
    pub who: String,
    /// For example `resolve_opening`.
    pub action: String,
    /// The id or name of the changed object.
    pub subject: String,
    pub opening_id: Option<Uuid>,
    pub reason: String,
    pub detail: Value,
}

/// Records an action. Idempotent by id, so a retried request records it once.
pub async fn insert(connection: &mut PgConnection, action: &Action) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- operator_actions::insert
        insert into operator_actions (id, at, who, action, subject, opening_id, reason, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (id) do nothing"#,
        action.id,
        action.at,
        action.who,
        action.action,
        action.subject,
        action.opening_id,
        action.reason,
        action.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn list(connection: &mut PgConnection, opening: Option<Uuid>, page: Page<Uuid>) -> sqlx::Result<Vec<Action>> {
    sqlx::query_as!(
        Action,
        r#"-- operator_actions::list
        select id, at, who, action, subject, opening_id, reason, detail
          from operator_actions
         where ($1::uuid is null or opening_id = $1)
           and id < $2
         order by id desc
         limit $3"#,
        opening,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Whether this act was recorded. True after a commit with a lost reply.
pub async fn is_recorded(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- operator_actions::is_recorded
        select exists (select from operator_actions where id = $1) as "exists!""#,
        id,
    )
    .fetch_one(connection)
    .await
}

/// Erases the texts of acts on an opening, on its `emptied` facts and cases, and on no opening if they mention its
/// customer. Operator, act, time and the reason of the erasure stay.
pub async fn erase(
    connection: &mut PgConnection,
    opening: OpeningId,
    emptied: &[Uuid],
    mentions: &Mentions,
) -> sqlx::Result<()> {
    let subjects: Vec<String> = emptied.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"-- operator_actions::erase
        update operator_actions set reason = '', detail = '{}'
         where (opening_id = $1 or subject = any($2) or (opening_id is null and reason || detail::text ~* $3))
           and action <> 'erase_opening'"#,
        opening.0,
        &subjects,
        mentions.customer,
    )
    .execute(connection)
    .await?;
    Ok(())
}
