//! Request ids, tracing spans and panic answers, for every listener.
//!
//! The id is the caller's `X-Request-Id` if valid, else a new one. It is in the answer, in every problem body and in
//! every log line of the request. Paths are logged as route templates and queries not at all: they may contain personal
//! data.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::problem::{ApiError, Problem};
use crate::clock::Ids;

/// The request's and answer's header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of a caller's id, in bytes.
const MAX_LEN: usize = 128;

/// Routes that machines call frequently: their calls are not logged.
const QUIET: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Adds id, span and panic handling to `router`. Add it last.
pub fn with_request_id(router: Router, ids: Ids) -> Router {
    router.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(ids, around))
}

/// The id of a request, for its handlers.
#[derive(Clone, Debug)]
pub struct RequestId(pub HeaderValue);

async fn around(State(ids): State<Ids>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = given(request.headers()).unwrap_or_else(|| made(&ids));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        http.method = request.method().as_str(),
        http.route = route,
        request.id = id.to_str().unwrap_or_default(),
        token.name = Empty,
        http.status = Empty,
        duration_ms = Empty,
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = span.in_scope(|| with_id(response, &id));
    response.headers_mut().insert(HEADER, id);
    log(&span, route, &response, started);
    response
}

fn log(span: &Span, route: &str, response: &Response, started: Instant) {
    span.record("http.status", response.status().as_u16());
    span.record("duration_ms", u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let _entered = span.enter();
    if QUIET.contains(&route) {
        tracing::debug!("answered");
    } else {
        tracing::info!("answered");
    }
}

/// Adds the id to a problem's body; other headers stay.
fn with_id(mut response: Response, id: &HeaderValue) -> Response {
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else { return response };
    problem.request_id = id.to_str().ok().map(ToOwned::to_owned);
    let mut whole = problem.answer();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    for (name, value) in response.headers() {
        whole.headers_mut().insert(name, value.clone());
    }
    whole
}

fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(HEADER)?;
    let visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
    (visible && (1..=MAX_LEN).contains(&id.len())).then(|| id.clone())
}

fn made(ids: &Ids) -> HeaderValue {
    HeaderValue::from_str(&ids.next().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    // A panic's message may quote data; the panic hook has logged its place.
    ApiError::internal("panicked").into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::clock::Clock;
    use crate::http::problem::not_found;

    async fn answer(path: &str, id: Option<&str>) -> (StatusCode, String, serde_json::Value) {
        async fn panics() -> &'static str {
            panic!("on purpose")
        }
        let router = Router::new().route("/panics", get(panics)).fallback(not_found);
        let router = with_request_id(router, Ids::new(Clock::system()));
        let mut request = Request::builder().uri(path);
        if let Some(id) = id {
            request = request.header(HEADER, id);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, id) = (response.status(), response.headers()[HEADER].to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, id, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_sane_id_comes_back_and_any_other_is_replaced() {
        assert_eq!(answer("/", Some("abc-1")).await.1, "abc-1");
        for wrong in ["", "two words", &"x".repeat(129)] {
            assert_ne!(answer("/", Some(wrong)).await.1, wrong);
        }
        assert_eq!(answer("/", None).await.1.len(), 36);
    }

    #[tokio::test]
    async fn a_problem_carries_the_id_and_a_panic_is_one_that_explains_nothing() {
        let (status, _, body) = answer("/nowhere", Some("abc-1")).await;
        assert_eq!(
            (status, &body["type"], &body["request_id"]),
            (StatusCode::NOT_FOUND, &"not-found".into(), &"abc-1".into())
        );
        let (status, _, body) = answer("/panics", Some("abc-2")).await;
        assert_eq!((status, &body["request_id"]), (StatusCode::INTERNAL_SERVER_ERROR, &"abc-2".into()));
        assert!(!body.to_string().contains("purpose"));
    }
}
