//! Which error answer is a no to the customer (P36): a 400 or 422 of the bank whose `code` is a word or a number, and no other.

use account_opening::outbound::{Answer, CallError, read_refusal};
use axum::http::StatusCode;
use chrono::TimeDelta;
use serde_json::json;
use world::{Fault, Plan, RefusalForm};

use super::{a_minute, expect_state, on_the_legacy_flow};
use crate::support::TestApp;

const GATEWAY: Fault = Fault::Refuse { status: 400, form: RefusalForm::Gateway };
const FRAMEWORK: Fault = Fault::Refuse { status: 422, form: RefusalForm::Framework };

/// A service that answers synchronous callers with 202 at once.
async fn app() -> TestApp {
    TestApp::with().settings(|it| it.sync_wait = "1ms".to_owned()).start().await
}

/// F1, P36
#[tokio::test]
async fn a_refusal_of_a_gateway_or_a_framework_is_tried_again_and_the_customer_gets_the_account() {
    let app = app().await;
    for fault in [GATEWAY, FRAMEWORK] {
        let plan = Plan { submit: vec![fault], ..Plan::by_hand() };
        let id = app.open().plan(plan).start().await;
        app.settle().await;
        expect_state(&app, &id, "requesting_account").await;
        a_minute(&app).await;
        expect_state(&app, &id, "awaiting_provider").await;
    }
    app.finish().await;
}

/// F1, P36: the legacy call of which nothing can be looked up.
#[tokio::test]
async fn a_refusal_of_a_gateway_to_the_legacy_call_is_tried_again_too() {
    let app = app().await;
    for fault in [GATEWAY, FRAMEWORK] {
        let plan = Plan { open: vec![fault], ..Plan::default() };
        let id = app.open().plan(plan).body(on_the_legacy_flow).start().await;
        app.settle().await;
        expect_state(&app, &id, "requesting_account").await;
        a_minute(&app).await;
        expect_state(&app, &id, "completed").await;
    }
    app.finish().await;
}

/// F1, P15, P36: the dead letter has a ticket, and a redrive goes on.
#[tokio::test]
async fn a_gateway_that_always_refuses_ends_in_a_dead_letter_and_never_in_a_no_to_the_customer() {
    let app = app().await;
    let plan = Plan { submit: GATEWAY.times(10), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(5)).await;
    let opening = expect_state(&app, &id, "requesting_account").await;
    assert_eq!(opening["status"], "in_progress");
    let letters = app.items("/v1/dead-letters?queue=outbox").await;
    let seen: Vec<_> = letters.iter().map(|it| (&it["kind"], &it["cause"], &it["attempts"])).collect();
    assert_eq!(seen, [(&json!("submit_request"), &json!("unusable"), &json!(10))]);
    let tickets = app.items("/v1/tickets").await;
    let kinds: Vec<_> = tickets.iter().map(|it| (&it["kind"], &it["status"])).collect();
    assert_eq!(kinds, [(&json!("AccountOpeningStepFailed"), &json!("open"))]);
    let redrive = format!("/v1/dead-letters/{}/redrive", letters[0]["id"].as_str().unwrap());
    assert_eq!(app.post(&redrive, &json!({"reason": "the gateway is repaired"})).await.0, 202);
    app.settle().await;
    expect_state(&app, &id, "awaiting_provider").await;
    app.finish().await;
}

/// F1: neither makes the command dead after one call.
#[tokio::test]
async fn a_refusal_of_a_gateway_before_the_profile_service_or_the_card_issuer_is_tried_again() {
    let app = app().await;
    let plan = Plan { profile: vec![GATEWAY], card: vec![FRAMEWORK], ..Plan::default() };
    let id = app.open().plan(plan).start().await;
    a_minute(&app).await;
    expect_state(&app, &id, "completed").await;
    assert!(app.items("/v1/dead-letters").await.is_empty() && app.items("/v1/tickets").await.is_empty());
    app.finish().await;
}

/// F3: a number is a code too.
#[tokio::test]
async fn a_no_with_a_number_for_a_code_is_the_banks_no() {
    let app = app().await;
    let plan = Plan { submit: vec![Fault::Refuse { status: 422, form: RefusalForm::Numbered }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let opening = expect_state(&app, &id, "rejected").await;
    assert!(opening["reason"].as_str().unwrap().contains("1002"), "{opening}");
    app.finish().await;
}

/// F1, F3: every body of a 400 and a 422, and what it means.
#[test]
fn only_a_code_makes_an_error_answer_final() {
    let judged = |body: &[u8]| {
        let [of_400, of_422] = [400, 422].map(|status| {
            let status = StatusCode::from_u16(status).unwrap();
            Answer { status, body: body.to_vec(), retry_after: None }.judge(read_refusal).unwrap_err()
        });
        assert_eq!(of_400.class(), of_422.class(), "{}", String::from_utf8_lossy(body));
        of_400
    };
    for (body, code) in [
        (&br#"{"code":"name_invalid","message":"no"}"#[..], "name_invalid"),
        (br#"{"code":"name_invalid"}"#, "name_invalid"),
        (br#"{"code":"E-17.b","message":{"en":"no"}}"#, "E-17.b"),
        (br#"{"code":1002,"message":null}"#, "1002"),
        (br#"{"code":"name_invalid","message":"cut \ud83d"}"#, "name_invalid"),
        (b"{\"code\":\"name_invalid\",\"message\":\"caf\xe9\"}", "name_invalid"),
        (br#"{"code":"name_invalid","message":7,"more":{"\ud83d":1e999}}"#, "name_invalid"),
    ] {
        let error = judged(body);
        assert!(
            matches!(&error, CallError::Rejected { code: said, .. } if said == code),
            "{}: {error:?}",
            String::from_utf8_lossy(body)
        );
    }
    for body in [
        &br#"{"message":"Bad request"}"#[..],
        br#"{"status":400,"error":"Bad Request","message":""}"#,
        br#"{"errorMessages":["no"],"errors":{"name":"is required"}}"#,
        br#"{"errors":{}}"#,
        br#"{"code":null,"message":"no"}"#,
        br#"{"code":"","message":"no"}"#,
        br#"{"code":"Bad Request","message":"no"}"#,
        br#"{"code":"--","message":"no"}"#,
        br#"{"code":true,"message":"no"}"#,
        br#"{"code":{"n":1},"message":"no"}"#,
        br#"{"code":"cut\ud83d","message":"no"}"#,
        br#"[{"code":"name_invalid"}]"#,
        br#""name_invalid""#,
        b"<html>Bad Request</html>",
        b"",
    ] {
        let error = judged(body);
        assert_eq!((error.class(), error.is_indeterminate()), ("unusable", true), "{}", String::from_utf8_lossy(body));
    }
}

/// F1: a gateway that repeats its status as the code says nothing of the bank's.
#[test]
fn a_code_that_repeats_the_status_is_no_code() {
    for (status, body) in [(400, r#"{"code":400,"message":"Bad Request"}"#), (422, r#"{"code":"422","message":"no"}"#)]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let error =
            Answer { status, body: body.as_bytes().to_vec(), retry_after: None }.judge(read_refusal).unwrap_err();
        assert_eq!(error.class(), "unusable", "{body}");
    }
}
