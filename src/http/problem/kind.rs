//! The kinds of refusals: the words that programs may rely on.

use axum::http::StatusCode;

use crate::domain::text::string_enum;

string_enum!(
    /// What kind of refusal it is: the stable `type` of the problem.
    Kind {
        /// The body is no JSON object that can be understood.
        InvalidJson = "invalid-json",
        /// No `Idempotency-Key`, or none that can be one.
        MissingIdempotencyKey = "missing-idempotency-key",
        /// A field or a query parameter that does not exist.
        UnknownField = "unknown-field",
        /// No token, or none that we know.
        Unauthenticated = "unauthenticated",
        /// The token's role is too low.
        Forbidden = "forbidden",
        /// No such path or thing.
        NotFound = "not-found",
        /// The path takes other methods.
        MethodNotAllowed = "method-not-allowed",
        /// The body did not come in time.
        RequestTimeout = "request-timeout",
        /// A synchronous call with the same key still waits.
        RequestInProgress = "request-in-progress",
        /// It cannot be done in the state that the thing is in.
        WrongState = "wrong-state",
        /// The body is too large.
        PayloadTooLarge = "payload-too-large",
        /// The body is not JSON.
        UnsupportedMediaType = "unsupported-media-type",
        /// Fields are missing or wrong.
        ValidationFailed = "validation-failed",
        /// The key was used with another body.
        IdempotencyKeyReused = "idempotency-key-reused",
        /// Our own mistake.
        Internal = "internal",
        /// The database is away, or there is too much to do.
        Unavailable = "unavailable",
    }
);

impl Kind {
    /// The HTTP status that goes with it.
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

    /// The same for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not a JSON object",
            Self::MissingIdempotencyKey => "An Idempotency-Key is needed",
            Self::UnknownField => "There are unknown fields",
            Self::Unauthenticated => "A valid bearer token is needed",
            Self::Forbidden => "The token's role does not allow this",
            Self::NotFound => "There is no such thing here",
            Self::MethodNotAllowed => "The path does not take this method",
            Self::RequestTimeout => "The body did not come in time",
            Self::RequestInProgress => "A request with this key is still in progress",
            Self::WrongState => "This cannot be done in the present state",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::ValidationFailed => "Fields are missing or wrong",
            Self::IdempotencyKeyReused => "The Idempotency-Key was used with another body",
            Self::Internal => "Something went wrong here",
            Self::Unavailable => "Not possible at the moment, try again",
        }
    }
}
