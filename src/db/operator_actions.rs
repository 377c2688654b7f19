//! `operator_actions`: what people did, written in the commit that did it.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;

/// Something that a person did.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of operator_actions")]
pub struct Action {
    pub id: Uuid,
    pub at: Time,
    /// The name of the token.
    pub who: String,
    /// As in `resolve_opening`.
    pub action: String,
    /// What it was done to: an id, or a name.
    pub subject: String,
    pub opening_id: Option<Uuid>,
    pub reason: String,
    pub detail: Value,
}

/// Records an action. The same id again changes nothing, so that work that is done again records it once.
///
/// # Errors
/// When the database is away.
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

/// A page of actions, newest first.
///
/// # Errors
/// When the database is away.
pub async fn list(connection: &mut PgConnection, opening: Option<Uuid>, page: Page<Uuid>) -> sqlx::Result<Vec<Action>> {
    sqlx::query_as!(
        Action,
        r#"-- operator_actions::list
        select id, at, who, action, subject, opening_id, reason, detail
          from operator_actions
         where ($1::uuid is null or opening_id = $1)
           and ($2::uuid is null or id < $2)
         order by id desc
         limit $3"#,
        opening,
        page.after,
        page.limit,
    )
    .fetch_all(connection)
    .await
}
