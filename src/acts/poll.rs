//! Asks the provider about an opening now, also when it is escalated.
//!
//! The request is a fact: it goes through the inbox, and the poller asks.

use sqlx::PgConnection;

use super::{ActError, Acts, Operator, about_opening, as_expected, locked, seen};
use crate::db::{self, inbox, operator_actions};
use crate::domain::{Fact, Opening, OpeningId, State};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollRequest {
    /// Empty: none was given, and none is needed.
    pub reason: String,
    pub expected_version: Option<i64>,
}

/// # Errors
/// When there is no such opening, it has moved or does not wait for an answer, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: OpeningId, request: PollRequest) -> Result<(), ActError> {
    let PollRequest { reason, expected_version } = request;
    let action = acts.record(&operator.name(), "poll", &id, reason);
    let action = about_opening(action, id.0, serde_json::json!({}));
    let own = acts.clone();
    let work = async move |connection: &mut PgConnection| {
        let opening = locked(connection, id).await?;
        if operator_actions::is_recorded(connection, action.id).await? {
            return Ok(());
        }
        let opening = as_expected(opening, expected_version)?;
        check(&opening)?;
        let fact = own.fact(&opening, "poll-request", &action, &Fact::PollRequested);
        inbox::insert(connection, &[fact]).await?;
        operator_actions::insert(connection, &action).await?;
        Ok::<_, ActError>(())
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    acts.cell.wakers.inbox.notify_one();
    tracing::info!(opening.id = %id, "an operator requested a poll");
    Ok(())
}

/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: OpeningId, request: PollRequest) -> Result<(), ActError> {
    let work = async move |connection: &mut PgConnection| check(&seen(connection, id, request.expected_version).await?);
    db::with_retries(&acts.cell.pool, work).await
}

const fn check(opening: &Opening) -> Result<(), ActError> {
    match opening.state {
        State::AwaitingProvider(_) | State::Escalated(_) => Ok(()),
        _ => Err(ActError::WrongState("the opening does not wait for an answer of the provider")),
    }
}
