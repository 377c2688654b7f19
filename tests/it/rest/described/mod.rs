//! The API description is exact: a request that keeps to it is not refused for its form, and a request that does not is.
//!
//! Both tests are driven by `/openapi.json` alone. They make values from its schemas and know no field and no limit of their
//! own, so that a rule that stands in a handler and not in the description shows, and so does the reverse. A keyword that
//! the generator does not know fails the test.

mod conforms;
mod operation;
mod values;
mod wrong;

use reqwest::StatusCode;
use serde_json::json;

use self::operation::{Description, Operation, Sent};
use self::values::Values;
use crate::reconciliation::{Register, reconcile};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

/// Requests that each operation is sent.
const READS: usize = 4;
const ACTS: usize = 16;

/// Refusals for the form of a request.
const OF_FORM: [&str; 6] = [
    "invalid-json",
    "unknown-field",
    "missing-idempotency-key",
    "unsupported-media-type",
    "payload-too-large",
    "validation-failed",
];

/// A service with something in every list.
async fn app() -> TestApp {
    let building = TestApp::with().prices().settings(|it| {
        it.sync_wait = "10ms".to_owned();
        // The bank never decides here, and the legacy call waits for as long as it may.
        it.sync_provider_timeout = "100ms".to_owned();
    });
    let app = building.start().await;
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.webhook().status("aor_unknown", "COMPLETED").acknowledged().await;
    app.webhook().body("not JSON").acknowledged().await;
    assert_eq!(app.webhook().without("webhook-signature").answered().await, 401);
    app.open().waiting().await;
    app.pass(chrono::TimeDelta::hours(13));
    app.settle().await;
    let row = "aor_stranger,,COMPLETED,BE68539007547034,NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z";
    reconcile(&app, &Register::of_day("2026-01-01").row(row)).await;
    // Its command waits, so that there is work to be discarded.
    app.open().start().await;
    app
}

/// Ids that the lists hold.
async fn ids(app: &TestApp, operation: &Operation) -> Vec<String> {
    let Some((list, _)) = operation.path.split_once("/{id}") else { return Vec::new() };
    app.items(list).await.iter().filter_map(|it| it["id"].as_str().map(str::to_owned)).collect()
}

/// A crossed breaker would keep the work of `finish` waiting.
async fn release_breakers(app: &TestApp) {
    for breaker in app.items("/v1/breakers").await {
        let path = format!(
            "/v1/breakers/{}/{}",
            breaker["provider"].as_str().unwrap(),
            breaker["operation"].as_str().unwrap()
        );
        let request =
            app.request(reqwest::Method::PUT, &path).json(&json!({"forced": null, "reason": "the test ends"}));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
}

fn kind(answer: &Sent) -> &str {
    answer.body["type"].as_str().unwrap_or_default()
}

/// Refused by their fields for more than a schema says: a period begins before it ends, and ends before now.
const BEYOND_FORM: [&str; 1] = ["/v1/reports/pull"];

#[tokio::test]
async fn a_request_that_keeps_to_the_description_is_not_refused_for_its_form_and_every_answer_is_described() {
    let app = app().await;
    let description = Description::read(&app).await;
    let mut values = Values::new(&description);
    let (mut taken, mut found) = (0, Vec::new());
    // The rows that the acts leave are read again.
    let (reads, acts): (Vec<_>, Vec<_>) = description.operations().into_iter().partition(|it| it.method == "GET");
    for operation in reads.iter().chain(&acts).chain(&reads) {
        let ids = ids(&app, operation).await;
        for _ in 0..if operation.method == "GET" { READS } else { ACTS } {
            let request = operation.request(&mut values, &ids);
            let answer = operation.send(&app, &request).await;
            let is_of_form = OF_FORM.contains(&kind(&answer)) && !BEYOND_FORM.contains(&operation.path.as_str());
            let refused = answer.status >= 500 || is_of_form;
            let why = if refused { Some("refused for its form".to_owned()) } else { None };
            let why = why.or_else(|| conforms::check(&description, operation, &answer).err());
            found.extend(why.map(|why| format!("{why}: {} {}\n{request}\n{answer}", operation.method, operation.path)));
            taken += usize::from(answer.status < 300);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(taken > 100, "{taken} requests were taken: most must reach more than a check of their form");
    release_breakers(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_request_that_does_not_keep_to_the_description_is_refused_for_its_form() {
    let app = app().await;
    let description = Description::read(&app).await;
    let mut values = Values::new(&description);
    let (mut refused, mut found) = (0, Vec::new());
    for operation in description.operations() {
        let ids = ids(&app, &operation).await;
        for wrong in wrong::requests(&description, &operation, &mut values, &ids) {
            let answer = operation.send(&app, &wrong.request).await;
            let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
            let pointed: Vec<&str> = errors.iter().filter_map(|it| it["pointer"].as_str()).collect();
            if (answer.status, kind(&answer)) != wrong.refusal
                || pointed != wrong.pointer.as_deref().into_iter().collect::<Vec<_>>()
            {
                let (what, request) = (&wrong.what, &wrong.request);
                found.push(format!("{what}: {} {}\n{request}\n{answer}", operation.method, operation.path));
            }
            refused += 1;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(refused > 200, "{refused} requests were refused");
    app.finish().await;
}
