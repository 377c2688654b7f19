//! Records that a person read what holds customers' data.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};

/// # Errors
/// When the database is away: an unrecorded reading is not shown.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, what: &str, detail: Value) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), what, &id, String::new());
    let action = Action { detail, ..action };
    let work = async move |connection: &mut PgConnection| operator_actions::insert(connection, &action).await;
    Ok(db::in_one_commit(&acts.cell.pool, work).await?)
}
