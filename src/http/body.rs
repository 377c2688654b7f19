//! Checks of a request's body for both listeners: JSON content type, the cause of a failed read, and the rest of a refused one.

use std::error::Error;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures::{Stream, StreamExt};
use http_body_util::LengthLimitError;
use tokio::time::timeout;
use tower_http::timeout::TimeoutError;

/// How long the rest of a refused body is read and thrown away.
const DRAIN: Duration = Duration::from_secs(5);

/// Reads the rest of a body that is refused, for a bounded time, and throws it away.
pub async fn drain<E>(mut body: impl Stream<Item = Result<Bytes, E>> + Unpin) {
    let _ = timeout(DRAIN, async { while let Some(Ok(_)) = body.next().await {} }).await;
}

/// Whether the content type allows JSON. A missing or empty type may be JSON: some clients and proxies omit it.
#[must_use]
pub fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "" | "application/json" | "text/json") || essence.ends_with("+json")
}

#[must_use]
pub fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    has_cause::<LengthLimitError>(error)
}

/// Whether the body exceeded the listener's deadline.
#[must_use]
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    has_cause::<TimeoutError>(error)
}

fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    // The wrapping error may contain it in a box.
    std::iter::successors(Some(error), |it| (*it).source()).any(|it| it.is::<E>() || it.is::<Box<E>>())
}

/// Closes the connection of a slow client: a late rest of its body must not be read as another request.
#[must_use]
pub fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F12
    #[test]
    fn a_body_of_another_type_is_refused_and_one_of_no_type_is_read() {
        let is = |text: &[u8]| {
            may_be_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_bytes(text).unwrap())]))
        };
        assert!(may_be_json(&HeaderMap::new()));
        for json in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
            "text/json",
            "application/merge-patch+json",
            "model/gltf+json",
            "",
            " ; charset=utf-8",
        ] {
            assert!(is(json.as_bytes()), "{json}");
        }
        for other in ["text/xml", "application/x-www-form-urlencoded", "text/plain; x=application/json", "json", "*/*"]
        {
            assert!(!is(other.as_bytes()), "{other}");
        }
        assert!(!is(b"application/json\xff"));
    }
}
