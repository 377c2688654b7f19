//! `POST /v1/account-openings`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::request::NewAccountOpening;
use crate::acts::Caller;
use crate::acts::start::{self, StartError, Started};
use crate::domain::resource::Resource;
use crate::domain::text::{self, form};
use crate::http::AppState;
use crate::http::internal::json::Body;
use crate::http::problem::{ApiError, Kind};

/// The header that makes repeats safe.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The maximum length of a key.
const MAX_KEY: usize = 255;

/// The request's idempotency key.
pub struct IdempotencyKey(String);

form!(IdempotencyKey, text::matching("[!-~]+").min_length(Some(1)).max_length(Some(MAX_KEY)));

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (given.next(), given.next()) {
            (Some(key), None) => key.to_str().ok().filter(|key| is_key(key)),
            _ => None,
        };
        let refusal = ApiError::because(Kind::MissingIdempotencyKey, "one key of 1 to 255 visible ASCII characters");
        key.map(|key| Self(key.to_owned())).ok_or(refusal)
    }
}

fn is_key(text: &str) -> bool {
    (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Starts an account opening.
///
/// A repeat with the same key gets the first answer again, with `Idempotent-Replayed: true`. On the synchronous flow
/// the answer waits for the decision, at most `SYNC_WAIT`.
#[utoipa::path(
    post,
    path = "/v1/account-openings",
    operation_id = "start_account_opening",
    tag = "Account openings",
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "Visible ASCII characters; kept for IDEMPOTENCY_TTL")),
    request_body = NewAccountOpening,
    responses(
        (status = 202, description = "Started", body = Resource),
        (status = 200, description = "Decided within SYNC_WAIT: rejected, or failed", body = Resource),
        (status = 201, description = "Decided within SYNC_WAIT: the account is open", body = Resource),
        (status = 400, description = "`invalid-json`, `missing-idempotency-key`, `unknown-field`"),
        (status = 409, description = "`request-in-progress`: a synchronous request with this key still waits for its answer"),
        (status = 422, description = "`validation-failed`, `idempotency-key-reused`"),
    ),
)]
pub async fn start(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<NewAccountOpening>,
) -> Result<Response, ApiError> {
    Ok(respond(start::run(&state.acts, &caller, key, body.into()).await?))
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::KeyReused => Self::new(Kind::IdempotencyKeyReused),
            StartError::InProgress => Self::new(Kind::RequestInProgress),
            StartError::BreakerOpen(wait) => Self::unavailable_for(error.to_string(), wait),
            StartError::Unserved => Self::field("/market", error.to_string()),
            StartError::NotBlocking => Self::field("/flow", error.to_string()),
            StartError::Failed(error) => error.into(),
        }
    }
}

fn respond(Started { answer, replayed }: Started) -> Response {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let location = format!("/v1/account-openings/{}", answer.opening_id);
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::LOCATION, location)];
    let replayed = replayed.then_some([("idempotent-replayed", "true")]);
    (status.unwrap_or(StatusCode::ACCEPTED), headers, replayed, answer.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        assert!(is_key("a") && is_key(&"x".repeat(255)) && is_key("\"quoted\""));
        for wrong in ["", "two words", "\u{7f}", "é", &"x".repeat(256)] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }
}
