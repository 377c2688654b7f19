//! Closes a case that a person has judged.
//!
//! Closing a case moves no opening: an act of its own does what the judgement asks for.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Once, Operator};
use crate::db::cases::{self, Resolved};
use crate::db::operator_actions::Action;
use crate::db::{self, mismatches, operator_actions};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveCaseRequest {
    pub reason: String,
    pub evidence: Option<String>,
}

/// # Errors
/// When there is no such case, it was closed otherwise, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, request: ResolveCaseRequest) -> Result<(), ActError> {
    let ResolveCaseRequest { reason, evidence } = request;
    let action = acts.record(&operator.name(), "resolve_case", &id, reason);
    let detail = evidence.map_or_else(|| json!({}), |evidence| json!({"evidence": evidence}));
    let work = async move |connection: &mut PgConnection| {
        mismatches::lock_of_case(connection, id).await?;
        let resolved = cases::resolve(connection, id, &action.who, &action.reason, action.at).await?;
        match resolved {
            Resolved::Now(opening) => {
                let action = Action { opening_id: opening, detail: detail.clone(), ..action.clone() };
                mismatches::resolve_of_case(connection, id, &action.who, &action.reason, action.at).await?;
                operator_actions::insert(connection, &action).await?;
            }
            Resolved::Already => operator_actions::remember_form(connection, &action).await?,
            Resolved::Otherwise | Resolved::NotFound => {}
        }
        Ok::<_, sqlx::Error>(resolved)
    };
    if let Once::Now(opening) = once(db::in_one_commit(&acts.cell.pool, work).await?)? {
        let opening = opening.map(|it| it.to_string());
        tracing::info!(opening.id = opening, case.id = %id, "an operator resolved a case");
    }
    Ok(())
}

/// Checks the case as [`run`] does, and writes nothing; returns the case's opening, if any.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(
    acts: &Acts,
    operator: &Operator,
    id: Uuid,
    request: ResolveCaseRequest,
) -> Result<Once<Option<Uuid>>, ActError> {
    let who = operator.name();
    let work = async move |connection: &mut PgConnection| cases::check(connection, id, &who, &request.reason).await;
    once(db::with_retries(&acts.cell.pool, work).await?)
}

const fn once(resolved: Resolved) -> Result<Once<Option<Uuid>>, ActError> {
    match resolved {
        Resolved::Now(opening) => Ok(Once::Now(opening)),
        Resolved::Already => Ok(Once::Already),
        Resolved::Otherwise => Err(ActError::WrongState("the case is resolved already")),
        Resolved::NotFound => Err(ActError::NotFound),
    }
}
