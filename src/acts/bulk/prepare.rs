//! Freezes the list of a bulk run. It writes nothing but the list.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::acts::{ActError, Acts, Operator};
use crate::db;
use crate::db::bulk_runs::{self, NewRun};
use crate::db::dead_letters::{Act, Filter};

/// The longest list. A longer one would be no list that a person looks at; the rest is a run of its own.
pub const MAX_ITEMS: i64 = 10_000;

/// Prepares the run with this id. The same id again is the same run.
///
/// # Errors
/// When the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, act: Act, filter: Filter) -> Result<(), ActError> {
    let (who, at) = (operator.name().to_string(), acts.shell.clock.now());
    let run = NewRun { id, act: act.as_str(), filter, who, at };
    let work = async move |connection: &mut PgConnection| bulk_runs::prepare(connection, &run, MAX_ITEMS).await;
    db::in_one_commit(&acts.cell.pool, work).await?;
    Ok(())
}
