//! The description of the API at `/openapi.json`, and a page to read it at `/docs`: all of it from this program, no script
//! from elsewhere.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::problem::{CONTENT_TYPE, Problem, not_found};

/// What the page may load: what stands here.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "account-opening",
        description = "Opens bank accounts at a provider that answers later. Every refusal is a problem (RFC 9457) with a \
                       stable `type`; a retry with the same `Idempotency-Key` is safe."
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of API_TOKENS: readers read, callers start too, operators act too, admins set flags",
            ))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The description before any route.
pub fn base() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Adds what every operation may answer.
pub fn complete(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let answers =
        [("401", "`unauthenticated`"), ("500", "`internal`"), ("503", "`unavailable`: try again after `Retry-After`")];
    for item in api.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.put].into_iter().flatten() {
            let body = ("408", "`request-timeout`: the body did not come in time");
            let late = operation.request_body.is_some().then_some(body);
            for (status, description) in answers.into_iter().chain(late) {
                operation.responses.responses.insert(status.to_owned(), RefOr::T(problem(description)));
            }
            for response in operation.responses.responses.iter_mut().filter(|(status, _)| status.as_str() >= "4") {
                as_problem(response.1);
            }
        }
    }
    api
}

fn problem(description: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(CONTENT_TYPE, content).build()
}

/// Refusals are documented by their schema; their media type is the same everywhere.
fn as_problem(response: &mut RefOr<utoipa::openapi::Response>) {
    if let RefOr::T(response) = response {
        *response = problem(&response.description);
    }
}

/// The description and its page; both are open.
pub fn router(api: utoipa::openapi::OpenApi) -> Router {
    let config = Config::default().validator_url("none").persist_authorization(false);
    let page = SwaggerUi::new("/docs").url("/openapi.json", complete(api)).config(config);
    Router::from(page).layer(map_response(with_policy))
}

async fn with_policy(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return not_found().await.into_response();
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
