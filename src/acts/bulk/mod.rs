//! Bulk runs: one act on all dead letters of a cause. An operator starts a run on a list that was frozen before, the rehearsal.
//!
//! ```text
//! prepare.rs   freezes the list, and does nothing else      worker.rs   acts on the items, one commit each
//! stop.rs      ends a run before its list is worked off
//! ```
//!
//! Each item goes through the same function as the act on one letter, and is recorded as that act, with the run's id. A crash
//! leaves an item untouched or done with its record; any replica goes on with the next one.

pub mod prepare;
pub mod stop;
pub mod worker;

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::db::bulk_runs::{self, Run};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};

/// # Errors
/// When there is no such run, it was started before or its list is empty, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), "bulk", &id, reason);
    let work = async move |connection: &mut PgConnection| {
        let run = bulk_runs::get(connection, id).await?.ok_or(ActError::NotFound)?;
        if run.started_act == Some(action.id) {
            return Ok(());
        }
        check(&run)?;
        if !bulk_runs::start(connection, id, action.id, action.at).await? {
            return Err(ActError::WrongState(STARTED));
        }
        let detail = json!({"act": run.act, "queue": run.queue, "cause": run.cause, "items": run.items});
        operator_actions::insert(connection, &Action { detail, ..action.clone() }).await?;
        Ok::<_, ActError>(())
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    acts.cell.wakers.bulk.notify_one();
    tracing::info!(bulk_run.id = %id, "an operator started a bulk run");
    Ok(())
}

const STARTED: &str = "the run was started already";

const fn check(run: &Run) -> Result<(), ActError> {
    match run {
        Run { started_at: Some(_), .. } => Err(ActError::WrongState(STARTED)),
        Run { items: 0, .. } => Err(ActError::WrongState("the list is empty")),
        _ => Ok(()),
    }
}
