//! `GET /v1/breakers` and `PUT /v1/breakers/{provider}/{operation}`: what stands before the calls to other systems, and an
//! operator's hand on it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use utoipa::ToSchema;

use super::auth::Operator;
use super::fields::{self, Wrong};
use super::json::JsonObject;
use super::page::{Listing, Params};
use super::reason::{self, ReasonText};
use super::work::{Connection, database};
use crate::db::breakers::{self, Row};
use crate::db::operator_actions::{self, Action};
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};
use crate::outbound::Gate;
use crate::outbound::breaker::{Forced, Phase};

/// What stands before the calls to one operation of another system.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// The provider, or another system that is called.
    #[schema(example = "nexusbank")]
    provider: String,
    /// What is asked of it.
    #[schema(example = "submit")]
    operation: &'static str,
    /// What the breaker of the replica that answers does.
    state: Phase,
    /// What an operator has made it do, on every replica. None: the calls decide.
    #[schema(value_type = Option<Forced>)]
    forced: Option<String>,
    /// How many calls are under way from the replica that answers.
    under_way: usize,
    /// Who has decided, where somebody has.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// When.
    at: Option<DateTime<Utc>>,
}

impl Breaker {
    fn new(gate: &Gate, row: Option<Row>) -> Self {
        Self {
            provider: gate.system().to_owned(),
            operation: gate.operation(),
            state: gate.phase(),
            under_way: gate.under_way(),
            at: row.as_ref().map(|it| it.at),
            forced: row.as_ref().map(|it| it.forced.clone()),
            by: row.as_ref().map(|it| it.who.clone()),
            reason: row.map(|it| it.reason),
        }
    }
}

/// What it is to do, and why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct Force {
    /// `open`: no call is made. `closed`: every call is made, and all work that waits for it becomes due, also where it is
    /// forced closed already. Null: the calls decide, and it begins closed.
    #[schema(required)]
    forced: Option<Forced>,
    /// For the record.
    #[schema(value_type = ReasonText)]
    reason: String,
}

/// Lists every breaker.
#[utoipa::path(
    get,
    path = "/v1/breakers",
    operation_id = "list_breakers",
    tag = "Operations",
    responses(
        (status = 200, description = "All of them, on one page", body = Listing<Breaker>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist"),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Breaker>>, ApiError> {
    params.only(&[])?;
    let rows = database(&state.pool, |mut connection| async move { breakers::all(&mut connection).await }).await?;
    let row = |gate: &Gate| rows.iter().find(|row| row.is_of(gate.system(), gate.operation())).cloned();
    let items = state.gates.all().iter().map(|gate| Breaker::new(gate, row(gate))).collect();
    Ok(Json(Listing { items, next_cursor: None }))
}

/// Makes a breaker open or closed whatever the calls say, or leaves it to them again. Every replica follows within 2 s.
#[utoipa::path(
    put,
    path = "/v1/breakers/{provider}/{operation}",
    operation_id = "force_breaker",
    tag = "Operations",
    params(
        ("provider" = String, Path, description = "Its provider, as the list names it", example = "nexusbank"),
        ("operation" = String, Path, description = "Its operation", example = "submit"),
    ),
    request_body = Force,
    responses(
        (status = 200, description = "As it is now", body = Breaker),
    ),
)]
pub async fn force(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    JsonObject(body): JsonObject,
) -> Result<Json<Breaker>, ApiError> {
    let Path((system, operation)) = path.map_err(|_| ApiError::new(Kind::NotFound))?;
    let is_it = |gate: &Gate| gate.system() == system && gate.operation() == operation;
    let gate = state.gates.all().into_iter().find(is_it).ok_or(ApiError::new(Kind::NotFound))?;
    let (forced, reason) = wanted(&body)?;
    let (at, who) = (state.clock.now(), operator.name.to_string());
    let subject = format!("{system}/{operation}");
    let detail = json!({ "forced": forced });
    let row = forced.map(|it| {
        let (forced, who, reason) = (it.to_string(), who.clone(), reason.clone());
        Row { system: system.clone(), operation: operation.clone(), forced, who, reason, at }
    });
    let action = Action {
        id: state.ids.next(),
        at,
        who,
        action: "force_breaker".into(),
        subject,
        opening_id: None,
        reason,
        detail,
    };
    let decision = Arc::new((row.clone(), action, (system, operation)));
    let work = move |mut connection: Connection| {
        let decision = Arc::clone(&decision);
        async move {
            let (row, action, (system, operation)) = &*decision;
            let mut transaction = connection.begin().await?;
            match row {
                Some(row) => breakers::set(&mut transaction, row).await?,
                None => breakers::release(&mut transaction, system, operation).await?,
            }
            operator_actions::insert(&mut transaction, action).await?;
            transaction.commit().await
        }
    };
    database(&state.pool, work).await?;
    // At once on this replica; the others read the row within a second.
    gate.decide(forced);
    Ok(Json(Breaker::new(&gate, row)))
}

fn wanted(body: &Map<String, Value>) -> Result<(Option<Forced>, String), ApiError> {
    fields::refuse_unknown(&[("", body, &["forced", "reason"])])?;
    let mut wrong = Wrong::default();
    let forced = wrong.optional("", body, "forced", fields::word::<Forced>);
    if !body.contains_key("forced") {
        wrong.add("", "forced", "is required: open, closed or null");
    }
    let reason = wrong.required("", body, "reason", reason::reason);
    wrong.or(reason).map(|reason| (forced, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_open_closed_or_null_and_has_a_reason() {
        let read = |body: Value| wanted(body.as_object().unwrap()).map_err(|error| error.kind());
        let reason = "maintenance".to_owned();
        for (forced, read_as) in
            [(json!("open"), Some(Forced::Open)), (json!("closed"), Some(Forced::Closed)), (json!(null), None)]
        {
            assert_eq!(read(json!({"forced": forced, "reason": reason})), Ok((read_as, reason.clone())));
        }
        for wrong in [
            json!({"reason": "x"}),
            json!({"forced": "open"}),
            json!({"forced": "half_open", "reason": "x"}),
            json!({"forced": true, "reason": "x"}),
            json!({"forced": null, "reason": ""}),
            json!({"forced": null, "reason": "x".repeat(501)}),
        ] {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"forced": null, "reason": "x", "for": "1h"})), Err(Kind::UnknownField));
    }
}
