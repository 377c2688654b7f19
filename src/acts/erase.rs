//! Erases the personal data of an opening that has ended, everywhere it stands.
//!
//! State, version and history stay, and the history still verifies.

use serde_json::json;
use sqlx::PgConnection;

use super::{ActError, Acts, Once, Operator, about_opening, as_expected, locked, seen};
use crate::db::{self, erasure, operator_actions};
use crate::domain::{Opening, OpeningId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseRequest {
    pub reason: String,
    pub expected_version: Option<i64>,
}

/// # Errors
/// When there is no such opening, it has moved or has not ended, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: OpeningId, request: EraseRequest) -> Result<(), ActError> {
    let EraseRequest { reason, expected_version } = request;
    let action = acts.record(&operator.name(), "erase", &id, reason);
    let action = about_opening(action, id.0, json!({}));
    let work = async move |connection: &mut PgConnection| {
        let opening = as_expected(locked(connection, id).await?, expected_version)?;
        let erased = check(&opening)?;
        match erased {
            // Empties messages about it that came since, and is not recorded.
            Once::Already => {
                erasure::again(connection, &opening, action.at).await?;
                operator_actions::remember_form(connection, &action).await?;
            }
            Once::Now(()) => {
                erasure::erase(connection, &opening, action.at).await?;
                // After the erasure, which empties what earlier acts said.
                operator_actions::insert(connection, &action).await?;
            }
        }
        Ok::<_, ActError>(erased)
    };
    if db::in_one_commit(&acts.cell.pool, work).await? == Once::Now(()) {
        tracing::info!(opening.id = %id, "an operator erased the personal data of an opening");
    }
    Ok(())
}

/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: OpeningId, request: EraseRequest) -> Result<Once<()>, ActError> {
    let work = async move |connection: &mut PgConnection| check(&seen(connection, id, request.expected_version).await?);
    db::with_retries(&acts.cell.pool, work).await
}

fn check(opening: &Opening) -> Result<Once<()>, ActError> {
    if opening.state.erased_at().is_some() {
        return Ok(Once::Already);
    }
    if opening.state_name().is_terminal() {
        return Ok(Once::Now(()));
    }
    Err(ActError::WrongState("the opening has not ended: its data is still needed"))
}
