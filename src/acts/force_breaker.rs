//! Forces a circuit breaker open or closed, or returns it to automatic control.
//!
//! The decision is a row that every replica reads within 2 s. The replica that takes the act follows at once.

use serde_json::json;
use sqlx::PgConnection;

use super::{ActError, Acts, Operator};
use crate::db::breakers::{self, Row};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};
use crate::outbound::Gate;
use crate::outbound::breaker::Forced;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForceBreakerRequest {
    /// None: the calls decide again.
    pub forced: Option<Forced>,
    pub reason: String,
}

/// The breaker of an operation of another system.
///
/// # Errors
/// When there is none.
pub fn gate(acts: &Acts, system: &str, operation: &str) -> Result<Gate, ActError> {
    let is_it = |gate: &Gate| gate.system() == system && gate.operation() == operation;
    acts.outside.gates.all().into_iter().find(is_it).ok_or(ActError::NotFound)
}

/// The decision that holds then; none: the calls decide.
///
/// # Errors
/// When the database is away.
pub async fn run(
    acts: &Acts,
    operator: &Operator,
    gate: &Gate,
    request: ForceBreakerRequest,
) -> Result<Option<Row>, ActError> {
    let ForceBreakerRequest { forced, reason } = request;
    let (system, operation) = (gate.system().to_owned(), gate.operation().to_owned());
    let action = acts.record(&operator.name(), "force_breaker", &format!("{system}/{operation}"), reason);
    let action = Action { detail: json!({ "forced": forced }), ..action };
    let row = forced.map(|it| Row {
        system: system.clone(),
        operation: operation.clone(),
        forced: it.to_string(),
        who: action.who.clone(),
        reason: action.reason.clone(),
        at: action.at,
    });
    let decided = row.clone();
    let work = async move |connection: &mut PgConnection| {
        match &decided {
            Some(row) => breakers::set(connection, row).await?,
            None => breakers::release(connection, &system, &operation).await?,
        }
        operator_actions::insert(connection, &action).await
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    // At once on this replica; the others read the row within 2 s.
    gate.decide(forced);
    Ok(row)
}

/// The override that holds, and the override that would hold; none: automatic control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub now: Option<Row>,
    pub then: Option<Forced>,
}

/// # Errors
/// As [`run`].
pub async fn rehearse(
    acts: &Acts,
    _: &Operator,
    gate: &Gate,
    request: &ForceBreakerRequest,
) -> Result<Preview, ActError> {
    let rows = db::with_retries(&acts.cell.pool, breakers::all).await?;
    let now = rows.into_iter().find(|row| row.is_of(gate.system(), gate.operation()));
    Ok(Preview { now, then: request.forced })
}
