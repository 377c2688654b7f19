//! Records that a person exported a list of the dashboard as CSV.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{ActError, Acts, Principal};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};

/// Records the export of `subject`, such as `openings`, before it is answered. `filters` say what was asked for, in plain text: an
/// erasure finds a customer in them.
///
/// # Errors
/// When the database is away.
pub async fn run(acts: &Acts, principal: &Principal, subject: &str, filters: Value) -> Result<(), ActError> {
    let action = Action {
        detail: json!({"filters": filters}),
        ..acts.record(principal.name(), "export", &subject, String::new())
    };
    let work = async move |connection: &mut PgConnection| operator_actions::insert(connection, &action).await;
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(token.name = principal.name(), subject, "a person exported a list");
    Ok(())
}
