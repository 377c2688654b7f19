//! The API description at `/openapi.json` and a page to read it at `/docs`, served completely by this program.

mod examples;
mod refusals;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, Components, Content, RefOr, Schema};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::refusals::REFUSALS;
use super::forms;
use crate::http::problem::{Problem, not_found};

/// The page may load only resources of this server.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "account-opening",
        description = "Opens bank accounts at providers that answer later. Every refusal is a problem (RFC 9457) with a \
                       stable `type`. A retry with the same `Idempotency-Key` is safe."
    ),
    components(schemas(Problem, forms::Name, super::reports::ReportKind)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of API_TOKENS. Readers read; callers also start openings; operators also act; admins also set flags.",
            ))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The description without routes.
pub fn base() -> openapi::OpenApi {
    Description::openapi()
}

/// Adds the common refusals to every operation, closes bodies to undescribed fields, and names a provider as an example.
pub fn complete(mut api: openapi::OpenApi, provider: Option<&str>) -> openapi::OpenApi {
    if let Some(name) = provider {
        examples::name_provider(&mut api, name);
    }
    let mut components = api.components.take().unwrap_or_default();
    for refusal in REFUSALS {
        components.responses.insert(refusal.name.to_owned(), refusal.response().into());
    }
    for item in api.paths.paths.values_mut() {
        let acts = [&mut item.post, &mut item.put].into_iter().flatten().map(|it| (it, true));
        for (operation, acts) in item.get.iter_mut().map(|it| (it, false)).chain(acts) {
            refusals::complete(operation, acts);
            close_body(operation, &mut components);
        }
    }
    api.components = Some(components);
    api
}

/// Handlers refuse unknown fields (`fields::Errors::object`), so the description forbids them.
fn close_body(operation: &mut Operation, components: &mut Components) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(Content { schema: Some(schema), .. }) = content {
            remove_null(schema);
            close(schema, components);
        }
    }
}

/// The generator describes an optional body as null or an object, but a null body is refused.
fn remove_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one)) = schema else { return };
    one.items
        .retain(|it| !matches!(it, RefOr::T(Schema::Object(it)) if it.schema_type == SchemaType::Type(Type::Null)));
    if one.items.len() == 1
        && let Some(only) = one.items.pop()
    {
        *schema = only;
    }
}

/// Forbids undescribed fields in an object and its nested objects.
fn close(schema: &mut RefOr<Schema>, components: &mut Components) {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            // Removed while it is processed, so that recursion ends.
            if let Some((name, mut named)) = components.schemas.remove_entry(name) {
                close(&mut named, components);
                components.schemas.insert(name, named);
            }
        }
        RefOr::T(Schema::Object(object)) if !object.properties.is_empty() => {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            object.properties.values_mut().for_each(|property| close(property, components));
        }
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(|item| close(item, components)),
        RefOr::T(_) => {}
    }
}

/// The description and its page; neither needs a token. `provider`: one that the service knows.
pub fn router(api: openapi::OpenApi, provider: Option<&str>) -> Router {
    let config = Config::default().validator_url("none").persist_authorization(false);
    let page = SwaggerUi::new("/docs").url("/openapi.json", complete(api, provider)).config(config);
    Router::from(page).layer(map_response(with_policy))
}

async fn with_policy(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return not_found().await.into_response();
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
