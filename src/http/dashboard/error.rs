//! Refusals as pages. Handlers refuse as REST's do; this layer shows the problem to a person instead of to a program.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::{Dashboard, Layout, Visit};
use crate::http::problem::{ApiError, FieldError, Kind, Problem};
use crate::http::request_id::RequestId;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    status: u16,
    title: &'a str,
    detail: Option<&'a str>,
    errors: &'a [FieldError],
    request_id: &'a str,
}

/// The layer.
pub async fn in_html(State(dashboard): State<Arc<Dashboard>>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let visit = response.extensions().get::<Visit>().cloned();
    let layout = dashboard.layout(visit.as_ref());
    let mut page = page(layout, &problem, id.as_ref());
    for name in [header::RETRY_AFTER, header::ALLOW, header::CONNECTION, header::SET_COOKIE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            page.headers_mut().insert(name, value);
        }
    }
    page
}

fn page(layout: Layout, problem: &Problem, id: Option<&RequestId>) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let request_id = id.and_then(|RequestId(id)| HeaderValue::to_str(id).ok()).unwrap_or_default();
    let Problem { r#type, detail, errors, .. } = problem;
    let page = ErrorPage { layout, status: problem.status, title: title(*r#type), detail: *detail, errors, request_id };
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "an error page could not be rendered");
            status.into_response()
        }
    }
}

/// The title for a person at a browser.
const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Forbidden => "Your role does not allow this",
        Kind::UnsupportedMediaType => "The form has another type than forms have",
        Kind::PayloadTooLarge => "What was sent is too large",
        Kind::Unavailable => "Not possible at the moment: the database is away, or the service is busy. Try again",
        other => other.title(),
    }
}

/// Renders a page.
///
/// # Errors
/// 500 when its template fails.
pub fn html(page: &impl Template) -> Result<Html<String>, ApiError> {
    page.render().map(Html).map_err(|error| ApiError::internal(format!("rendering a page: {error}")))
}
