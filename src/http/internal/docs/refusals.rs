//! The refusals that operations share. Rules assign them: to operations with a query, a body or an id in the path.
//! Refusals with a reason of their own are described at their handler.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder};

use crate::domain::text;
use crate::http::internal::MAX_BODY;
use crate::http::problem::CONTENT_TYPE;

const _: () = assert!(MAX_BODY == 64 * 1024, "the refusal of a longer body says so");

pub struct Refusal {
    status: &'static str,
    /// The name of its component.
    pub name: &'static str,
    description: &'static str,
    of: fn(&Operation, Acts) -> bool,
}

/// Whether an operation writes.
type Acts = bool;

/// All shared refusals. If two of one status apply, the first is used.
pub const REFUSALS: [Refusal; 11] = [
    Refusal {
        status: "400",
        name: "BadBody",
        description: "`invalid-json`: the body is not one JSON object; `unknown-field`: `errors` points at fields that do \
                      not exist",
        of: |it, _| has_body(it),
    },
    Refusal {
        status: "400",
        name: "BadQuery",
        description: "`unknown-field`: `errors` points at parameters that do not exist",
        of: |it, _| takes(it, &ParameterIn::Query),
    },
    Refusal {
        status: "401",
        name: "Unauthenticated",
        description: "`unauthenticated`: the bearer token is missing or unknown",
        of: |_, _| true,
    },
    Refusal {
        status: "403",
        name: "Forbidden",
        description: "`forbidden`: the token's role is too low. Callers start openings, operators act, admins set flags",
        of: |_, acts| acts,
    },
    Refusal {
        status: "404",
        name: "NotFound",
        description: "`not-found`: no resource has this id or name",
        of: |it, _| takes(it, &ParameterIn::Path),
    },
    Refusal {
        status: "408",
        name: "RequestTimeout",
        description: "`request-timeout`: the body did not arrive in time; the connection is closed",
        of: |it, _| has_body(it),
    },
    Refusal {
        status: "413",
        name: "PayloadTooLarge",
        description: "`payload-too-large`: the body is longer than 64 KiB",
        of: |it, _| has_body(it),
    },
    Refusal {
        status: "415",
        name: "UnsupportedMediaType",
        description: "`unsupported-media-type`: the `Content-Type` is not JSON",
        of: |it, _| has_body(it),
    },
    Refusal {
        status: "422",
        name: "ValidationFailed",
        description: "`validation-failed`: `errors` points at each field or parameter that is missing or wrong",
        of: |it, _| has_body(it) || takes(it, &ParameterIn::Query),
    },
    Refusal {
        status: "500",
        name: "Internal",
        description: "`internal`: a mistake of the service. Its log tells more under the `request_id`",
        of: |_, _| true,
    },
    Refusal {
        status: "503",
        name: "Unavailable",
        description: "`unavailable`: the database is away or the service is overloaded; try again after `Retry-After`",
        of: |_, _| true,
    },
];

impl Refusal {
    pub fn response(&self) -> Response {
        let mut response = ResponseBuilder::new().description(self.description);
        if let Some((name, header)) = self.header() {
            response = response.header(name, header);
        }
        let mut response = response.build();
        complete_response(self.status, &mut response);
        response
    }

    fn header(&self) -> Option<(&'static str, Header)> {
        match self.status {
            "401" => Some(("WWW-Authenticate", header(text::one_of(["Bearer"].into_iter()), "The scheme to use"))),
            "503" => Some(("Retry-After", header(ObjectBuilder::new().schema_type(Type::Integer), "Seconds to wait"))),
            _ => None,
        }
    }
}

fn header(schema: ObjectBuilder, description: &str) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// Whether it takes JSON. Refusals of files stand at their handler.
fn has_body(operation: &Operation) -> bool {
    let is_json = |it: &RefOr<RequestBody>| matches!(it, RefOr::T(it) if it.content.contains_key("application/json"));
    operation.request_body.as_ref().is_some_and(is_json)
}

fn takes(operation: &Operation, place: &ParameterIn) -> bool {
    let is_there = |it: &RefOr<_>| matches!(it, RefOr::T(Parameter { parameter_in, .. }) if parameter_in == place);
    operation.parameters.as_ref().is_some_and(|all| all.iter().any(is_there))
}

/// Adds the headers and refusals that apply to an operation, and completes those that its handler describes.
pub fn complete(operation: &mut Operation, acts: Acts) {
    let has_key = takes(operation, &ParameterIn::Header);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            if has_key && status.starts_with('2') {
                add_replay_headers(response);
            }
            complete_response(status, response);
        }
    }
    let apply: Vec<&Refusal> = REFUSALS.iter().filter(|it| (it.of)(operation, acts)).collect();
    for Refusal { status, name, .. } in apply {
        let described = operation.responses.responses.entry((*status).to_owned());
        described.or_insert_with(|| Ref::from_response_name(*name).into());
    }
}

/// Adds the headers of answers that are kept under an Idempotency-Key.
fn add_replay_headers(response: &mut Response) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let location = header(text(), "The path of the resource");
    let replayed = header(text(), "`true` where this is the first answer again");
    response.headers.insert("Location".to_owned(), location.into());
    response.headers.insert("Idempotent-Replayed".to_owned(), replayed.into());
}

/// Adds the request id to every answer and the media type to every refusal.
fn complete_response(status: &str, response: &mut Response) {
    if status >= "4" {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        response.content.insert(CONTENT_TYPE.to_owned(), content.into());
    }
    let id = header(text::text(), "The request's `X-Request-Id`, or one of the service's. The log tells more under it");
    response.headers.insert("X-Request-Id".to_owned(), id.into());
}
