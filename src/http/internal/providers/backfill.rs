//! `POST /v1/providers/{provider}/backfill`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Named;
use crate::acts::Operator;
use crate::acts::backfill::{self, BackfillRequest};
use crate::acts::reason::ReasonText;
use crate::http::AppState;
use crate::http::internal::fields::body;
use crate::http::internal::forms::Timestamp;
use crate::http::internal::json::Body;
use crate::http::problem::ApiError;

body!(
    /// The start of a backfill.
    Wanted {
        /// The reason, for the record.
        reason: ReasonText,
        /// Read changes from this time on; a time before 1970 counts as 1970. Null: from the provider's last webhook, less
        /// the overlap.
        since: Option<Timestamp>,
    }
);

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
    params(("provider" = String, Path, description = "The provider's name")),
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
    Body(Wanted { reason, since }): Body<Wanted>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let id = backfill::run(&state.acts, &operator, BackfillRequest { provider, reason, since }).await?;
    Ok((StatusCode::ACCEPTED, Json(Started { id })))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    #[test]
    fn a_wish_has_a_reason_and_perhaps_a_time() {
        let read = |body: Value| {
            let read = fields::read::<Wanted>(&body).map(|it| (it.reason, it.since));
            read.map_err(|error| error.kind())
        };
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
