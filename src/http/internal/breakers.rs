//! `GET /v1/breakers` and `PUT /v1/breakers/{provider}/{operation}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::{self, Wrong};
use super::json::JsonObject;
use super::page::{Listing, Params};
use super::reason::{self, ReasonText};
use crate::acts::Operator;
use crate::acts::force_breaker::{self, ForceBreakerRequest};
use crate::db::breakers::{self, Row};
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};
use crate::outbound::Gate;
use crate::outbound::breaker::{Forced, Phase};

/// The circuit breaker of one operation of another system.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// The provider, another system, or the name of an event sink.
    #[schema(example = "nexusbank")]
    provider: String,
    /// The operation of that system.
    #[schema(example = "submit")]
    operation: &'static str,
    /// The breaker's state on the answering replica.
    state: Phase,
    /// An operator's override, which holds on every replica. Null: automatic control.
    #[schema(value_type = Option<Forced>)]
    forced: Option<String>,
    /// Calls in flight from the answering replica.
    under_way: usize,
    /// The operator of the override, if any.
    by: Option<String>,
    /// The operator's reason for the override.
    reason: Option<String>,
    /// The time of the override.
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

/// The new override and its reason.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct Force {
    /// `open`: no call is made. `closed`: every call is made, and all work waiting for the operation becomes due, even
    /// if it was forced closed already. Null: automatic control, beginning closed.
    #[schema(required)]
    forced: Option<Forced>,
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
}

/// Lists the circuit breakers of all operations.
#[utoipa::path(
    get,
    path = "/v1/breakers",
    operation_id = "list_breakers",
    tag = "Operations",
    responses(
        (status = 200, description = "All breakers, on one page", body = Listing<Breaker>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist"),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Breaker>>, ApiError> {
    params.only(&[])?;
    let rows = state.read(async |connection| breakers::all(connection).await).await?;
    let row = |gate: &Gate| rows.iter().find(|row| row.is_of(gate.system(), gate.operation())).cloned();
    let items = state.outside.gates.all().iter().map(|gate| Breaker::new(gate, row(gate))).collect();
    Ok(Json(Listing { items, next_cursor: None }))
}

/// Forces a circuit breaker open or closed, or returns it to automatic control. Every replica follows within 2 s.
#[utoipa::path(
    put,
    path = "/v1/breakers/{provider}/{operation}",
    operation_id = "force_breaker",
    tag = "Operations",
    params(
        ("provider" = String, Path, description = "The breaker's provider, as listed", example = "nexusbank"),
        ("operation" = String, Path, description = "The breaker's operation, as listed", example = "submit"),
    ),
    request_body = Force,
    responses(
        (status = 200, description = "The breaker as it is now", body = Breaker),
    ),
)]
pub async fn force(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    path: Result<Path<(String, String)>, PathRejection>,
    JsonObject(body): JsonObject,
) -> Result<Json<Breaker>, ApiError> {
    let Path((system, operation)) = path.map_err(|_| ApiError::new(Kind::NotFound))?;
    let gate = force_breaker::gate(&state.acts, &system, &operation)?;
    let row = force_breaker::run(&state.acts, &operator, &gate, read(&body)?).await?;
    Ok(Json(Breaker::new(&gate, row)))
}

fn read(body: &Map<String, Value>) -> Result<ForceBreakerRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &["forced", "reason"])])?;
    let mut wrong = Wrong::default();
    let forced = wrong.optional("", body, "forced", fields::word::<Forced>);
    if !body.contains_key("forced") {
        wrong.add("", "forced", "is required: open, closed or null");
    }
    let reason = wrong.required("", body, "reason", reason::reason);
    wrong.or(reason).map(|reason| ForceBreakerRequest { forced, reason })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_is_open_closed_or_null_and_has_a_reason() {
        let read = |body: Value| read(body.as_object().unwrap()).map_err(|error| error.kind());
        let reason = "maintenance".to_owned();
        for (forced, read_as) in
            [(json!("open"), Some(Forced::Open)), (json!("closed"), Some(Forced::Closed)), (json!(null), None)]
        {
            let request = ForceBreakerRequest { forced: read_as, reason: reason.clone() };
            assert_eq!(read(json!({"forced": forced, "reason": reason})), Ok(request));
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
