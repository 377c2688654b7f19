//! The kinds of refusals, which clients may rely on.

use axum::http::StatusCode;

use crate::domain::text::string_enum;

string_enum!(
    /// The kind of refusal: the stable `type` of a problem.
    Kind {
        /// The body is not a JSON object.
        InvalidJson = "invalid-json",
        /// The `Idempotency-Key` is missing or invalid.
        MissingIdempotencyKey = "missing-idempotency-key",
        /// A field or a query parameter is unknown.
        UnknownField = "unknown-field",
        /// The token is missing or unknown.
        Unauthenticated = "unauthenticated",
        /// The token's role is too low.
        Forbidden = "forbidden",
        /// The path or the object does not exist.
        NotFound = "not-found",
        /// The path does not support the method.
        MethodNotAllowed = "method-not-allowed",
        /// The body did not arrive in time.
        RequestTimeout = "request-timeout",
        /// A synchronous request with the same key is still waiting.
        RequestInProgress = "request-in-progress",
        /// Not possible in the current state.
        WrongState = "wrong-state",
        /// The body is too large.
        PayloadTooLarge = "payload-too-large",
        /// The body is not JSON.
        UnsupportedMediaType = "unsupported-media-type",
        /// A field or parameter is missing or wrong.
        ValidationFailed = "validation-failed",
        /// The key was used with another body.
        IdempotencyKeyReused = "idempotency-key-reused",
        /// An internal error.
        Internal = "internal",
        /// The database is unavailable, or the service is overloaded.
        Unavailable = "unavailable",
    }
);

impl Kind {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson | Self::MissingIdempotencyKey | Self::UnknownField => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RequestInProgress | Self::WrongState => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ValidationFailed | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The title for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not a JSON object",
            Self::MissingIdempotencyKey => "An Idempotency-Key is required",
            Self::UnknownField => "Unknown fields",
            Self::Unauthenticated => "A valid bearer token is required",
            Self::Forbidden => "The token's role does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::RequestInProgress => "A request with this key is still in progress",
            Self::WrongState => "Not possible in the current state",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The type or encoding of the body is not supported",
            Self::ValidationFailed => "Fields are missing or invalid",
            Self::IdempotencyKeyReused => "The Idempotency-Key was used with another body",
            Self::Internal => "Internal error",
            Self::Unavailable => "Temporarily unavailable, try again",
        }
    }
}
