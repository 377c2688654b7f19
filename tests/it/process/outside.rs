//! The service from outside: its listeners in production, and beside the simulator, each a process.

use reqwest::Method;
use serde_json::Value;

use super::external::migrated;
use crate::support::process::{Program, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

const SANDBOX: &str = "/company/account-opening/set-status-sandbox";

/// A service in production with secrets of its own.
async fn production() -> Service {
    let (serve, ..) = migrated().await;
    let serve = serve
        .env("ENVIRONMENT", "production")
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("EVIDENCE_KEY", crate::support::evidence_key())
        .env("API_TOKENS", "shop:a-token-of-our-own:admin")
        .env("NEXUSBANK_API_KEY", "a-key-of-our-own")
        .env("NEXUSBANK_WEBHOOK_SECRETS", "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=");
    serve.start().await.with_token("a-token-of-our-own")
}

#[tokio::test]
async fn in_production_the_sandbox_does_not_exist_and_the_development_secrets_open_nothing() {
    let service = production().await;
    let (status, body) = service.status(Method::POST, &format!("{}{SANDBOX}", service.internal)).await;
    let (unknown, other) = service.status(Method::POST, &format!("{}/unknown", service.internal)).await;
    assert_eq!((status, unknown), (404, 404), "{body}");
    let kind = |body: &str| serde_json::from_str::<Value>(body).unwrap()["type"].clone();
    assert_eq!(kind(&body), kind(&other));
    let description = service.status(Method::GET, &format!("{}/openapi.json", service.internal)).await.1;
    assert!(!description.contains(SANDBOX), "the description has the sandbox");
    assert_eq!(service.open("order-1").await.0, 202);
    assert_eq!(service.webhook("msg_1").await, 401, "signed with the development secret");
    let service = service.with_token("development-token");
    assert_eq!(service.status(Method::GET, &format!("{}/v1/account-openings", service.internal)).await.0, 401);
}

#[tokio::test]
async fn the_public_listener_serves_webhooks_and_its_liveness_and_nothing_else() {
    let service = production().await;
    let ask = async |method: Method, path: &str| service.status(method, &format!("{}{path}", service.public)).await.0;
    assert_eq!(ask(Method::GET, "/livez").await, 200);
    assert_eq!(ask(Method::GET, "/webhooks/nexusbank").await, 405);
    assert_eq!(ask(Method::POST, "/webhooks/nexusbank").await, 401);
    assert_eq!(ask(Method::POST, "/webhooks/unknown").await, 404);
    for path in [
        "/",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/docs/",
        "/v1/account-openings",
        "/v1/events",
        "/v1/cases",
        "/v1/dead-letters",
        "/webhooks",
        "/webhooks/",
        "/livez/",
        SANDBOX,
    ] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(ask(method.clone(), path).await, 404, "{method} {path}");
        }
    }
    let internal = service.status(Method::POST, &format!("{}/webhooks/nexusbank", service.internal)).await.0;
    assert_eq!(internal, 404, "the internal listener takes no webhooks");
}

/// A port that is free now.
fn free_addr() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn the_service_and_the_simulator_open_an_account_together() {
    let simulator_addr = free_addr();
    let (serve, ..) = migrated().await;
    let service = serve.outside_world(&format!("http://{simulator_addr}")).start().await;
    let mut simulator = Program::new(&["simulator"])
        .env("SIMULATOR_ADDR", simulator_addr.as_str())
        .env("WEBHOOK_URL", format!("{}/webhooks/nexusbank", service.public))
        .spawn();
    eventually("the simulator is there", WITHIN, async || {
        simulator.stderr().contains("simulator started").then_some(())
    })
    .await;
    let ask = service.client.post(format!("http://{simulator_addr}/v1/profiles")).json(&serde_json::json!({}));
    assert!(ask.send().await.unwrap().status().is_client_error(), "an empty profile is refused");

    let (status, _, opening) = service.open("order-1").await;
    assert_eq!(status, 202, "{opening}");
    let opened = service.reaches(opening["id"].as_str().unwrap(), "completed").await;
    assert_eq!(opened["status"], "succeeded");
    for field in ["iban", "bic", "card_id", "provider_reference"] {
        assert!(opened[field].is_string(), "{field}: {opened}");
    }
    let history = service.get(&format!("/v1/account-openings/{}/history", opened["id"].as_str().unwrap())).await;
    let learnt = history["items"].as_array().unwrap().iter().find(|it| it["to"] == "issuing_card").unwrap();
    assert_eq!(learnt["source"], "webhook", "{history}");

    simulator.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(simulator.ended(WITHIN).await.code(), Some(0));
    assert_eq!(service.stop().await.code(), Some(0));
}

/// The README's way: the defaults of the two match. Only the addresses are others here.
#[tokio::test]
async fn a_development_service_takes_the_webhooks_that_the_simulators_secret_signs() {
    let service = ServiceBuilder::new().start().await;
    assert_eq!(service.webhook("msg_1").await, 200);
    assert_eq!(service.webhook("msg_1").await, 200, "a duplicate");
}
