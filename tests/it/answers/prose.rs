//! Text that is meant for people: of any type or encoding, it never keeps the status beside it from being read (F3).

use chrono::TimeDelta;
use serde_json::json;
use world::{Decision, Endpoint, Fault, HALF_A_CHARACTER, Plan, RefusalForm, Verdict, Webhooks};

use super::{a_minute, calls, expect_state, on_the_legacy_flow};
use crate::support::TestApp;

/// As it is shown.
const SHOWN: &str = "the name ends in \u{fffd}";

/// A refusal with a reason that ends in a lone surrogate.
fn cut() -> Verdict {
    Verdict::reject(format!("the name ends in {HALF_A_CHARACTER}"))
}

/// A bank that never sends its decision.
fn silent() -> Plan {
    Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() }
}

async fn rejected_with(app: &TestApp, id: &str, reason: &str) {
    let opening = expect_state(app, id, "rejected").await;
    assert_eq!(opening["reason"], reason);
}

/// F3, P2: the bytes that came are kept.
#[tokio::test]
async fn a_webhook_whose_reason_ends_in_half_a_character_rejects_the_opening() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    assert_eq!(app.world.decide(&id, &cut()).unwrap().told().await, Some(200));
    app.settle().await;
    rejected_with(&app, &id, SHOWN).await;
    let kept: Vec<u8> =
        sqlx::query_scalar("select body from inbox where source = 'webhook'").fetch_one(&app.pool).await.unwrap();
    assert!(String::from_utf8(kept).unwrap().contains(r"ends in \ud83d"), "as it came");
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

/// F3, P13
#[tokio::test]
async fn a_poll_whose_reason_ends_in_half_a_character_rejects_the_opening() {
    let app = TestApp::start().await;
    let (id, _) = app.open().plan(silent()).waiting().await;
    app.world.decide(&id, &cut()).unwrap();
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    rejected_with(&app, &id, SHOWN).await;
    app.finish().await;
}

/// F3: of the list, item by item.
#[tokio::test]
async fn an_item_of_the_list_whose_reason_ends_in_half_a_character_rejects_the_opening() {
    let app = TestApp::start().await;
    let (id, _) = app.open().plan(silent()).waiting().await;
    app.world.decide(&id, &cut()).unwrap();
    let body = json!({"reason": "to be sure", "since": "2025-12-31T00:00:00Z"});
    assert_eq!(app.post("/v1/providers/nexusbank/backfill", &body).await.0, 202);
    app.settle().await;
    rejected_with(&app, &id, SHOWN).await;
    assert_eq!(calls(&app, &id, Endpoint::Lookup), 0);
    app.finish().await;
}

/// F3, P9: a submission with a lost answer is found, and not repeated.
#[tokio::test]
async fn a_submission_is_found_again_by_its_reference_though_its_reason_ends_in_half_a_character() {
    let app = TestApp::start().await;
    let submit = vec![Fault::ErrorAfter { status: 500 }];
    let plan = Plan { submit, decision: Decision::By(cut()), ..silent() };
    let plan = Plan { webhooks: Webhooks { early: true, ..plan.webhooks }, ..plan };
    let id = app.open().plan(plan).start().await;
    a_minute(&app).await;
    rejected_with(&app, &id, SHOWN).await;
    assert_eq!(calls(&app, &id, Endpoint::Submit), 1);
    app.finish().await;
}

/// F3
#[tokio::test]
async fn the_legacy_call_and_a_refusal_whose_text_ends_in_half_a_character_reject_the_opening() {
    let app = TestApp::with().settings(|it| it.sync_wait = "1ms".to_owned()).start().await;
    let plan = Plan { decision: Decision::By(cut()), ..Plan::default() };
    let id = app.open().plan(plan).body(on_the_legacy_flow).start().await;
    app.settle().await;
    rejected_with(&app, &id, SHOWN).await;
    let plan = Plan { submit: vec![Fault::Refuse { status: 422, form: RefusalForm::Cut }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let opening = expect_state(&app, &id, "rejected").await;
    let reason = opening["reason"].as_str().unwrap();
    assert!(reason.contains("name_invalid") && reason.contains(SHOWN), "{reason}");
    app.finish().await;
}

/// F3: what stands where a text is expected, and what people are shown of it.
#[tokio::test]
async fn a_reason_of_any_type_and_encoding_is_shown_and_the_status_beside_it_is_taken() {
    let app = TestApp::start().await;
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let none = "the provider gave no reason";
    for (reason, shown) in [
        (&br#""\ud83d""#[..], "\u{fffd}"),
        (br#""\ude00 \ud83d \ud83d\ude00 \\ud83d""#, "\u{fffd} \u{fffd} \u{1f600} \\ud83d"),
        (b"\"caf\xe9 \xed\xa0\xbd\"", "caf\u{fffd} \u{fffd}\u{fffd}\u{fffd}"),
        (br"7", "7"),
        (br"1e999", "1e999"),
        (br"true", "true"),
        (br#"{"code":"risk","text":"too \ud83d high"}"#, "{\"code\":\"risk\",\"text\":\"too \u{fffd} high\"}"),
        (br#"["risk"]"#, r#"["risk"]"#),
        (br"null", none),
        (br#""""#, none),
        (deep.as_bytes(), &deep[..200]),
    ] {
        let (id, tracking_id) = app.open().waiting().await;
        let head = format!(
            r#"{{"type":"account_opening_request.status_changed","data":{{"account_opening_request_id":"{tracking_id}",
               "status":"REJECTED","rejection_reason":"#
        );
        let body = [head.as_bytes(), reason, b"}}"].concat();
        app.webhook().body(body.clone()).acknowledged().await;
        app.settle().await;
        rejected_with(&app, &id, shown).await;
        let kept: i64 = sqlx::query_scalar("select count(*) from inbox where body = $1")
            .bind(&body)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(kept, 1, "as it came");
    }
    app.finish().await;
}

/// F3: what is read by programs stays strict.
#[tokio::test]
async fn half_a_character_in_a_status_or_an_id_makes_a_message_unreadable_as_before() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let strict = [
        format!(r#"{{"account_opening_request_id":"{tracking_id}","status":"REJECTED\ud83d"}}"#).into_bytes(),
        format!(r#"{{"account_opening_request_id":"{tracking_id}\ud83d","status":"REJECTED"}}"#).into_bytes(),
        [format!(r#"{{"account_opening_request_id":"{tracking_id}","status":"REJECTED"#).as_bytes(), b"\xff\"}"]
            .concat(),
    ];
    for data in &strict {
        let head = &br#"{"type":"account_opening_request.status_changed","data":"#[..];
        app.webhook().body([head, data, b"}"].concat()).acknowledged().await;
    }
    app.settle().await;
    expect_state(&app, &id, "awaiting_provider").await;
    assert_eq!(app.items("/v1/dead-letters?queue=inbox").await.len(), strict.len());
    app.finish().await;
}
