//! `GET /v1/breakers` and `PUT /v1/breakers/{provider}/{operation}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};

use super::fields::{Errors, Field, body};
use super::json::Body;
use super::page::{Listing, Params};
use super::path::Names;
use crate::acts::Operator;
use crate::acts::force_breaker::{self, ForceBreakerRequest};
use crate::acts::reason::ReasonText;
use crate::db::breakers::{self, Row};
use crate::domain::text::form;
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::outbound::Gate;
use crate::outbound::breaker::{Forced, Phase};

/// The circuit breaker of one operation of another system.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Breaker {
    /// The provider, another system, or the name of an event sink.
    #[schema(example = "cards")]
    provider: String,
    /// The operation of that system.
    #[schema(example = "issue")]
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

body!(
    /// The new override and its reason.
    Force {
        /// `open`: no call is made. `closed`: every call is made, and all work waiting for the operation becomes due, even
        /// if it was forced closed already. Null: automatic control, beginning closed.
        forced: Override,
        /// The reason, for the record.
        reason: ReasonText,
    }
);

/// An override or null, which must be written: a body without it could be meant either way.
pub enum Override {}
form!(Override, OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(Forced::schema()));

impl Field for Override {
    type Value = Option<Forced>;

    fn read(value: Option<&Value>, at: &str, errors: &mut Errors) -> Option<Option<Forced>> {
        if value.is_none() {
            errors.add(at, "is required: open, closed or null");
            return None;
        }
        <Option<Forced> as Field>::read(value, at, errors)
    }
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
        ("provider" = String, Path, description = "The breaker's provider, as listed", example = "cards"),
        ("operation" = String, Path, description = "The breaker's operation, as listed", example = "issue"),
    ),
    request_body = Force,
    responses(
        (status = 200, description = "The breaker as it is now", body = Breaker),
    ),
)]
pub async fn force(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Names((system, operation)): Names<(String, String)>,
    Body(Force { forced, reason }): Body<Force>,
) -> Result<Json<Breaker>, ApiError> {
    let gate = force_breaker::gate(&state.acts, &system, &operation)?;
    let row = force_breaker::run(&state.acts, &operator, &gate, ForceBreakerRequest { forced, reason }).await?;
    Ok(Json(Breaker::new(&gate, row)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    #[test]
    fn a_decision_is_open_closed_or_null_and_has_a_reason() {
        let read = |body: Value| fields::read::<Force>(&body).map_err(|error| error.kind());
        let reason = "maintenance".to_owned();
        for (forced, read_as) in
            [(json!("open"), Some(Forced::Open)), (json!("closed"), Some(Forced::Closed)), (json!(null), None)]
        {
            let request = Force { forced: read_as, reason: reason.clone() };
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
