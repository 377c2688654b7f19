//! Closes a case that a person has judged.
//!
//! It moves no opening: an act of its own does what the judgement asks for.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
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
        let resolved = cases::resolve(connection, id, &action.who, &action.reason, action.at).await?;
        if let Resolved::Now(opening) = resolved {
            let action = Action { opening_id: opening, detail: detail.clone(), ..action.clone() };
            mismatches::resolve_of_case(connection, id, &action.who, &action.reason, action.at).await?;
            operator_actions::insert(connection, &action).await?;
        }
        Ok::<_, sqlx::Error>(resolved)
    };
    match db::in_one_commit(&acts.cell.pool, work).await? {
        Resolved::Now(opening) => {
            let opening = opening.map(|it| it.to_string());
            tracing::info!(opening.id = opening, case.id = %id, "an operator resolved a case");
        }
        Resolved::Already => {}
        Resolved::Otherwise => return Err(ActError::WrongState("the case is resolved already")),
        Resolved::NotFound => return Err(ActError::NotFound),
    }
    Ok(())
}
