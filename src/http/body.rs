//! Why a request's body could not be read, found in whatever wraps it on its way to a handler.

use std::error::Error;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::LengthLimitError;
use tower_http::timeout::TimeoutError;

/// Whether the body was longer than may be.
#[must_use]
pub fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    has_cause::<LengthLimitError>(error)
}

/// Whether the body had not come within the listener's deadline.
#[must_use]
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    has_cause::<TimeoutError>(error)
}

fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    // What wraps it may hold it in a box.
    std::iter::successors(Some(error), |it| (*it).source()).any(|it| it.is::<E>() || it.is::<Box<E>>())
}

/// The answer to a client that is too slow: what may still come of its body must not be read as another request.
#[must_use]
pub fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
