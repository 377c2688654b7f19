//! Ends a session of a person: the one that asks, or another of theirs.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Principal};
use crate::db::{self, operator_actions, sessions};

/// Ends `session`. A session that has ended already, or is of another person, is left as it is.
///
/// # Errors
/// When the database is away.
pub async fn run(acts: &Acts, principal: &Principal, asking: Uuid, session: Uuid) -> Result<(), ActError> {
    let act = if asking == session { "sign_out" } else { "end_session" };
    let action = acts.record(principal.name(), act, &session, String::new());
    let work = async move |connection: &mut PgConnection| {
        let ended = sessions::end(connection, session, &action.who, action.at).await?;
        if ended {
            operator_actions::insert(connection, &action).await?;
        }
        Ok::<_, ActError>(ended)
    };
    if db::in_one_commit(&acts.cell.pool, work).await? {
        tracing::info!(token.name = principal.name(), session.id = %session, "a session was ended");
    }
    Ok(())
}
