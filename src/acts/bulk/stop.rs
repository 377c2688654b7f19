//! Ends a bulk run before its list is worked off. The item that a replica acts on at that moment is still done.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::acts::{ActError, Acts, Operator};
use crate::db::bulk_runs::{self, Run};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};

/// # Errors
/// When there is no such run, it is not under way, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), "stop_bulk", &id, reason);
    let work = async move |connection: &mut PgConnection| {
        if bulk_runs::stop(connection, id, action.at).await? {
            return operator_actions::insert(connection, &Action { detail: json!({}), ..action.clone() })
                .await
                .map_err(ActError::from);
        }
        // Another person may have stopped it between the page and now.
        check(&bulk_runs::get(connection, id).await?.ok_or(ActError::NotFound)?)?;
        Ok(operator_actions::remember_form(connection, &action).await?)
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(bulk_run.id = %id, "an operator stopped a bulk run");
    Ok(())
}

/// A run that is not under way was stopped already, or cannot be stopped.
const fn check(run: &Run) -> Result<(), ActError> {
    match run {
        Run { stopped_at: Some(_), .. } => Ok(()),
        Run { started_at: None, .. } => Err(ActError::WrongState("the run was not started")),
        _ => Err(ActError::WrongState("the run has ended: its list is worked off")),
    }
}
