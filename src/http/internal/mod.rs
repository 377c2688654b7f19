//! The internal listener: REST for callers and operators, its description, health for machines, and the dashboard for people.
//!
//! Handlers extract a request, call an act (`crate::acts`) or read, and answer. Each request runs in a task of its own
//! (`own_task`).

pub mod auth;
pub mod breakers;
pub mod cases;
pub mod cursor;
pub mod dead_letters;
mod docs;
mod events;
pub mod fee_ledger;
pub mod fields;
pub mod flags;
pub mod forms;
pub mod json;
pub mod mismatches;
pub mod openings;
pub mod operator_actions;
mod outbox;
pub mod page;
pub mod path;
pub mod providers;
pub mod reason;
pub mod refused_webhooks;
pub mod reports;
mod sandbox;
pub mod tickets;
pub mod unmatched;
pub mod webhook_secrets;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::auth::Keyring;
use super::dashboard::Dashboard;
use super::own_task::own_task;
use super::problem::{method_not_allowed, not_found};
use super::request_id::with_request_id;
use super::{AppState, health};
use crate::config::Environment;

/// The maximum size of a body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The answer to an accepted request.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// Always `true`: the request was accepted.
    accepted: bool,
}

impl Accepted {
    const fn new() -> Self {
        Self { accepted: true }
    }
}

/// All routes of the internal listener.
pub fn router(state: AppState) -> Router {
    // A provider with a list comes first: it can be backfilled too.
    let providers = &state.outside.providers;
    let provider = providers.names_with_list().chain(providers.names()).next();
    let (keyring, ids) = (Keyring::new(&state.settings.api_tokens), state.shell.ids.clone());
    let health = health::router(state.clone());
    let dashboard = Dashboard::new(state.clone(), keyring.clone());
    let (api, description) = api(state.settings.environment).split_for_parts();
    let api = api
        .with_state(Arc::new(state))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(keyring, auth::authenticate));
    let open = docs::router(description, provider).merge(health).method_not_allowed_fallback(method_not_allowed);
    with_request_id(dashboard.beside(api.merge(open)).layer(from_fn(own_task)), ids)
}

/// The routes that need a token. The sandbox is absent in production.
fn api(environment: Environment) -> OpenApiRouter<Arc<AppState>> {
    let api = OpenApiRouter::with_openapi(docs::base())
        .merge(openings::router())
        .merge(dead_letters::router())
        .merge(outbox::router())
        .merge(providers::router())
        .routes(routes!(breakers::list))
        .routes(routes!(breakers::force))
        .merge(flags::router())
        .merge(cases::router())
        .merge(reports::router())
        .merge(mismatches::router())
        .routes(routes!(operator_actions::list))
        .routes(routes!(tickets::list))
        .routes(routes!(events::list))
        .merge(fee_ledger::router())
        .merge(refused_webhooks::router())
        .routes(routes!(webhook_secrets::list))
        .routes(routes!(unmatched::list));
    if environment == Environment::Production { api } else { api.routes(routes!(sandbox::set_status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_route_with_its_answers_and_production_has_no_sandbox() {
        let paths = |environment| {
            let (_, description) = api(environment).split_for_parts();
            serde_json::to_value(docs::complete(description, None)).unwrap()["paths"].clone()
        };
        let all = paths(Environment::Sandbox);
        let operations: Vec<_> = all.as_object().unwrap().values().flat_map(|path| path.as_object().unwrap()).collect();
        assert_eq!(operations.len(), 48);
        for (_, operation) in operations {
            assert!(["401", "500", "503"].iter().all(|status| operation["responses"].get(status).is_some()));
        }
        assert!(all.get("/company/account-opening/set-status-sandbox").is_some());
        assert!(paths(Environment::Production).get("/company/account-opening/set-status-sandbox").is_none());
    }

    #[test]
    fn the_examples_of_a_provider_are_one_that_the_service_knows() {
        let (_, description) = api(Environment::Sandbox).split_for_parts();
        let description = serde_json::to_value(docs::complete(description, Some("somebank"))).unwrap();
        let parameter = |path: &str, method: &str| {
            let parameters = description["paths"][path][method]["parameters"].as_array().unwrap();
            parameters.iter().find(|it| it["name"] == "provider").unwrap()["example"].clone()
        };
        assert_eq!(parameter("/v1/providers/{provider}/backfill", "post"), "somebank");
        assert_eq!(parameter("/v1/reports", "post"), "somebank");
        assert_eq!(parameter("/v1/breakers/{provider}/{operation}", "put"), "cards", "it has one of its own");
        let field = |schema: &str| &description["components"]["schemas"][schema]["properties"]["provider"]["example"];
        assert_eq!(
            (field("AccountOpening"), field("FeeBalance"), field("Breaker")),
            (&"somebank".into(), &"somebank".into(), &"cards".into())
        );
    }
}
