//! Cross-site requests. A form is taken from the dashboard's own pages alone, as the browser says by `Sec-Fetch-Site` or `Origin`.

use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::http::problem::{ApiError, Kind};

const SITE: &str = "sec-fetch-site";
const CROSS_SITE: &str = "the request does not come from a page of the dashboard";

type Refusal = fn(ProtectionError) -> Response;

/// Refuses forms of other sites. `DASHBOARD_URL`'s origin is the dashboard's own, also behind a proxy that changes `Host`.
pub fn layer(own: &str) -> CsrfLayer<Refusal> {
    let layer = CsrfLayer::new();
    let layer = layer.clone().add_trusted_origin(own).unwrap_or(layer);
    layer.with_rejection_response(|_| refused())
}

/// Refuses a POST that says neither, or says it in an empty header: no browser sends such a form.
pub async fn required(request: Request, next: Next) -> Response {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let says = |headers: &HeaderMap| {
        let is_said = |value: Option<&HeaderValue>| value.is_some_and(|it| !it.is_empty());
        is_said(headers.get(SITE)) || is_said(headers.get(ORIGIN))
    };
    if is_read || says(request.headers()) { next.run(request).await } else { refused() }
}

fn refused() -> Response {
    ApiError::because(Kind::Forbidden, CROSS_SITE).into_response()
}
