//! Roles and the routes that they may use.

use reqwest::Method;
use serde_json::json;

use crate::support::{TOKEN, TestApp, problem};

const ROLES: [(&str, &str); 4] =
    [("reader", "reader-token"), ("caller", "caller-token"), ("operator", "operator-token"), ("admin", TOKEN)];

/// Every route with the least role that it takes.
const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/v1/account-openings", "reader"),
    ("POST", "/v1/account-openings", "caller"),
    ("GET", "/v1/account-openings/{id}", "reader"),
    ("GET", "/v1/account-openings/{id}/history", "reader"),
    ("GET", "/v1/account-openings/{id}/timeline", "reader"),
    ("POST", "/v1/account-openings/{id}/poll", "operator"),
    ("POST", "/v1/account-openings/{id}/resolve", "operator"),
    ("POST", "/v1/account-openings/{id}/erase", "operator"),
    ("GET", "/v1/dead-letters", "reader"),
    ("GET", "/v1/dead-letters/{id}", "reader"),
    ("POST", "/v1/dead-letters/{id}/redrive", "operator"),
    ("POST", "/v1/dead-letters/{id}/discard", "operator"),
    ("GET", "/v1/breakers", "reader"),
    ("PUT", "/v1/breakers/nexusbank/submit", "operator"),
    ("GET", "/v1/feature-flags", "reader"),
    ("PUT", "/v1/feature-flags/async-account-opening", "admin"),
    ("GET", "/v1/feature-flags/async-account-opening/changes", "reader"),
    ("GET", "/v1/cases", "reader"),
    ("GET", "/v1/cases/{id}", "reader"),
    ("GET", "/v1/mismatches", "reader"),
    ("GET", "/v1/mismatches/{id}", "reader"),
    ("POST", "/v1/reports?provider=nexusbank&kind=register", "operator"),
    ("POST", "/v1/reports/pull", "operator"),
    ("GET", "/v1/reports", "reader"),
    ("GET", "/v1/reports/{id}", "reader"),
    ("GET", "/v1/reports/{id}/rows", "reader"),
    ("GET", "/v1/reports/{id}/errors", "reader"),
    ("GET", "/v1/reports/{id}/raw", "operator"),
    ("GET", "/v1/reports/{id}/evidence", "operator"),
    ("POST", "/v1/reports/{id}/release", "operator"),
    ("POST", "/v1/reports/{id}/discard", "operator"),
    ("POST", "/v1/cases/{id}/resolve", "operator"),
    ("GET", "/v1/operator-actions", "reader"),
    ("GET", "/v1/tickets", "reader"),
    ("GET", "/v1/events", "reader"),
    ("POST", "/v1/providers/nexusbank/backfill", "operator"),
    ("GET", "/v1/providers/nexusbank/backfills", "reader"),
    ("POST", "/company/account-opening/set-status-sandbox", "operator"),
    ("GET", "/v1/rejected-requests", "reader"),
    ("GET", "/v1/rejected-requests/{id}", "reader"),
    ("POST", "/v1/rejected-requests/{id}/reverify", "operator"),
    ("POST", "/v1/rejected-requests/reverify", "operator"),
    ("GET", "/v1/webhook-secrets", "reader"),
    ("GET", "/v1/unmatched-facts", "reader"),
    ("GET", "/v1/fee-ledger", "reader"),
    ("GET", "/v1/fee-ledger/balances", "reader"),
    ("GET", "/no/such/path", "reader"),
];

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

#[tokio::test]
async fn no_path_is_open_without_a_token() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    for (verb, path, _) in ROUTES {
        let url = format!("{}{}", app.internal, path.replace("{id}", &id));
        let request = || app.client.request(method(verb), &url);
        let guesses = [
            request(),
            request().bearer_auth(""),
            request().bearer_auth("admin"),
            request().bearer_auth("admin-toke"),
            request().bearer_auth("admin-token2"),
            request().basic_auth("admin", Some(TOKEN)),
            request().header("authorization", TOKEN),
            request().query(&[("access_token", TOKEN)]),
        ];
        for guess in guesses {
            let response = guess.send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer", "{verb} {path}");
            problem(response, 401, "unauthenticated").await;
        }
    }
    // An unknown method and an unknown path tell no more than any other.
    for path in ["/v1/account-openings", "/v1/feature-flag", "/%00", "/dashboard"] {
        let response = app.client.delete(format!("{}{path}", app.internal)).send().await.unwrap();
        problem(response, 401, "unauthenticated").await;
    }
    app.finish().await;
}

#[tokio::test]
async fn only_machines_and_readers_of_the_description_need_no_token() {
    let app = TestApp::start().await;
    for path in ["/livez", "/metrics", "/openapi.json", "/docs"] {
        let response = app.client.get(format!("{}{path}", app.internal)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    assert_eq!(app.client.get(format!("{}/readyz", app.internal)).send().await.unwrap().status(), 503);
    // The public listener has none of the routes.
    for (verb, path, _) in ROUTES {
        let request = app.client.request(method(verb), format!("{}{path}", app.public)).bearer_auth(TOKEN);
        assert_eq!(request.send().await.unwrap().status(), 404, "{verb} {path}");
    }
    app.finish().await;
}

#[tokio::test]
async fn each_role_may_do_its_own_and_what_those_before_it_may() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    for (verb, path, least) in ROUTES {
        let needed = ROLES.iter().position(|(role, _)| role == least).unwrap();
        for (rank, (role, token)) in ROLES.iter().enumerate() {
            let request = app.request_as(token, method(verb), &path.replace("{id}", &id)).json(&json!({"reason": "x"}));
            let response = request.send().await.unwrap();
            if rank < needed {
                problem(response, 403, "forbidden").await;
            } else {
                assert!(![401, 403, 500].contains(&response.status().as_u16()), "{role} {verb} {path}");
            }
        }
    }
    assert_eq!(app.items("/v1/account-openings").await.len(), 1, "the refused left nothing");
    app.finish().await;
}

#[tokio::test]
async fn each_role_does_its_work() {
    let app = TestApp::start().await;
    app.open().token("caller-token").start().await;
    problem(app.open().token("reader-token").send().await, 403, "forbidden").await;
    let (id, _) = app.open().token("operator-token").waiting().await;
    let poll = format!("/v1/account-openings/{id}/poll");
    problem(app.request_as("caller-token", Method::POST, &poll).send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(app.request_as("operator-token", Method::POST, &poll).send().await.unwrap().status(), 202);
    let read = app.request_as("reader-token", Method::GET, "/v1/account-openings").send().await.unwrap();
    assert_eq!(read.status(), 200);
    app.finish().await;
}
