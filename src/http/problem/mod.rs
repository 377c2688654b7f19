//! Refusals as RFC 9457 `application/problem+json`, the same on both listeners.
//!
//! A 5xx contains no cause: the cause is logged once, with the request id that the body contains. No problem quotes the
//! request, which may contain personal data.

mod kind;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::kind::Kind;
use super::body::closing;
use crate::acts::ActError;
use crate::db::{Fault, classify, describe};

/// The media type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds until a retry makes sense: overloads and database restarts usually end within this time.
const RETRY_AFTER: u64 = 2;

/// An error of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into the body; for a query parameter `/name`.
    #[schema(example = "/customer/email")]
    pub pointer: String,
    /// The requirement for the field.
    #[schema(example = "is required")]
    pub detail: String,
}

/// A problem (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, for programs.
    pub r#type: Kind,
    /// The title of the kind, for people.
    pub title: &'static str,
    /// The HTTP status of the answer.
    #[schema(example = 422)]
    pub status: u16,
    /// The cause in this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
    /// All wrong fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request id, which finds the service's log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ApiError {
    kind: Kind,
    detail: Option<&'static str>,
    errors: Vec<FieldError>,
    /// The cause, for the log only.
    cause: Option<String>,
    /// Seconds until a retry, if known.
    retry_after: Option<u64>,
}

impl ApiError {
    /// A refusal without a detail.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), cause: None, retry_after: None }
    }

    /// A refusal with a constant detail, which cannot quote the request.
    #[must_use]
    pub const fn because(kind: Kind, detail: &'static str) -> Self {
        Self { kind, detail: Some(detail), errors: Vec::new(), cause: None, retry_after: None }
    }

    /// A refusal of several fields.
    #[must_use]
    pub const fn fields(kind: Kind, errors: Vec<FieldError>) -> Self {
        Self { kind, detail: None, errors, cause: None, retry_after: None }
    }

    /// A refusal of one field or query parameter.
    #[must_use]
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        let error = FieldError { pointer: pointer.to_owned(), detail: detail.into() };
        Self::fields(Kind::ValidationFailed, vec![error])
    }

    /// An internal error; the cause is logged.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(Kind::Internal) }
    }

    /// Temporarily unavailable; the cause is logged.
    #[must_use]
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(Kind::Unavailable) }
    }

    /// Unavailable for this long, rounded up to seconds.
    #[must_use]
    pub fn unavailable_for(cause: impl Into<String>, wait: TimeDelta) -> Self {
        let seconds = u64::try_from((wait.num_milliseconds() + 999) / 1_000).unwrap_or_default().max(1);
        Self { retry_after: Some(seconds), ..Self::unavailable(cause) }
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    fn log(&self) {
        let cause = self.cause.as_deref().unwrap_or_default();
        match self.kind {
            Kind::Internal => tracing::error!(cause, "a request failed"),
            Kind::Unavailable => tracing::warn!(cause, "a request was answered 503"),
            _ => {}
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        match classify(&error) {
            Fault::Contention | Fault::Unavailable => Self::unavailable(describe(&error)),
            Fault::Permanent => Self::internal(describe(&error)),
        }
    }
}

impl From<ActError> for ApiError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotFound => Self::new(Kind::NotFound),
            ActError::Moved { .. } => Self::because(
                Kind::WrongState,
                "the opening has moved on from the expected_version: read it again before you act",
            ),
            ActError::Repeated => Self::because(Kind::WrongState, "the form was sent before: its act is done"),
            ActError::WrongState(why) => Self::because(Kind::WrongState, why),
            ActError::Field { pointer, takes } => Self::field(pointer, takes),
            ActError::Unavailable(cause) => Self::unavailable(cause),
            ActError::Internal(cause) => Self::internal(cause),
            ActError::Database(error) => error.into(),
        }
    }
}

impl Problem {
    /// The answer. The layer of `request_id` finds the refusal in the extensions and adds the id.
    #[must_use]
    pub fn answer(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let Self { kind, detail, errors, retry_after, .. } = self;
        let status = kind.status().as_u16();
        let mut response =
            Problem { r#type: kind, title: kind.title(), status, detail, errors, request_id: None }.answer();
        match kind {
            Kind::Unauthenticated => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Unavailable => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(retry_after.unwrap_or(RETRY_AFTER)));
            }
            Kind::RequestTimeout => return closing(response),
            _ => {}
        }
        response
    }
}

/// The answer for unknown paths.
pub async fn not_found() -> ApiError {
    ApiError::new(Kind::NotFound)
}

/// The answer for unsupported methods.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(Kind::MethodNotAllowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_says_its_type_and_fields_and_a_server_error_explains_nothing() {
        let (status, body) = read(ApiError::field("/limit", "too large")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["type"], "validation-failed");
        assert_eq!(body["errors"][0], serde_json::json!({"pointer": "/limit", "detail": "too large"}));

        let response = ApiError::unavailable("secret cause").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        for (millis, seconds) in [(-5, "1"), (0, "1"), (1, "1"), (1_001, "2"), (30_000, "30")] {
            let response = ApiError::unavailable_for("x", TimeDelta::milliseconds(millis)).into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        let (status, body) = read(ApiError::internal("secret cause")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("secret cause"));
    }

    async fn read(error: ApiError) -> (StatusCode, serde_json::Value) {
        let response = error.into_response();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}
