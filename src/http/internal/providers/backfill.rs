//! `POST /v1/providers/{provider}/backfill`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Named;
use crate::acts::Operator;
use crate::acts::backfill::{self, BackfillRequest};
use crate::clock::Time;
use crate::http::AppState;
use crate::http::internal::fields::{self, Timestamp, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::problem::ApiError;

/// The start of a backfill.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the text is kept")]
pub struct Wanted {
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// Read changes from this time on; a time before 1970 counts as 1970. Null: from the provider's last webhook, less
    /// the overlap.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<Time>,
}

/// The backfill that serves the request.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Started {
    /// The backfill's id. A pending backfill that goes back as far serves this request, too.
    id: Uuid,
}

/// Reads the provider's list and puts its items into the inbox, where they count like webhooks.
#[utoipa::path(
    post,
    path = "/v1/providers/{provider}/backfill",
    operation_id = "start_backfill",
    tag = "People",
    params(("provider" = String, Path, description = "The provider's name", example = "nexusbank")),
    request_body = Wanted,
    responses(
        (status = 202, description = "The list will be read", body = Started),
        (status = 409, description = "`wrong-state`: this provider has no list, or `since` is in the future"),
    ),
)]
pub async fn start(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Named(provider): Named,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let (reason, since) = read(&body)?;
    let id = backfill::run(&state.acts, &operator, BackfillRequest { provider, reason, since }).await?;
    Ok((StatusCode::ACCEPTED, Json(Started { id })))
}

fn read(body: &Map<String, Value>) -> Result<(String, Option<Time>), ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "since"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let since = wrong.optional("", body, "since", fields::timestamp);
    Ok((wrong.or(reason)?, since))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::problem::Kind;

    #[test]
    fn a_wish_has_a_reason_and_perhaps_a_time() {
        let read = |body: Value| super::read(body.as_object().unwrap()).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "lost"})), Ok(("lost".to_owned(), None)));
        assert_eq!(read(json!({"reason": "lost", "since": null})), Ok(("lost".to_owned(), None)));
        for since in ["2026-01-01", "yesterday", "", "99999-01-01T00:00:00Z"] {
            assert_eq!(read(json!({"reason": "lost", "since": since})), Err(Kind::ValidationFailed), "{since}");
        }
        for wrong in
            [json!({}), json!({"reason": ""}), json!({"reason": "x".repeat(501)}), json!({"reason": "x", "since": 7})]
        {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "lost", "until": "x"})), Err(Kind::UnknownField));
    }
}
