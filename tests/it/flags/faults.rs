//! Faults of the legacy call.

use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Fault, Plan};

use super::{answered, answered_while, calls, sync};
use crate::support::TestApp;

async fn impatient() -> TestApp {
    let app = TestApp::with().settings(|it| it.sync_provider_timeout = "500ms".to_owned());
    app.start().await
}

/// P9: whichever fault hits the answer, the call is repeated with the same key.
#[tokio::test]
async fn a_lost_answer_opens_one_account() {
    for (fault, unknown) in [
        (Fault::ErrorBefore { status: 500 }, true),
        (Fault::ErrorAfter { status: 500 }, true),
        (Fault::HangAfter, true),
        (Fault::HangBefore, true),
        (Fault::Garbage, true),
        (Fault::Throttle { retry_after_seconds: 1 }, false),
    ] {
        let app = impatient().await;
        let plan = Plan { open: fault.times(1), ..Plan::default() };
        let opening = sync(&app).customer("cus_1").plan(plan);
        let answer = answered_while(&app, opening, async || {
            app.settle().await;
            app.pass(TimeDelta::milliseconds(100));
        })
        .await;
        let id = answer.id();
        app.pass_settling(TimeDelta::seconds(3), TimeDelta::seconds(1)).await;
        let done = app.opening(&id).await;
        assert_eq!(done["state"], "completed", "{fault:?}: {done}");
        assert_eq!(calls(&app, &id), (2, 1, 1), "{fault:?}: two calls, one key, one account");
        let told = "select count(*) from inbox where convert_from(body, 'utf8') like '%submission_unknown%'";
        assert_eq!(super::count(&app, told).await, i64::from(unknown), "{fault:?}");
        app.finish().await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_request_is_final_and_answered_200() {
    for status in [400, 422] {
        let app = TestApp::start().await;
        let plan = Plan { open: Fault::ErrorBefore { status }.times(1), ..Plan::default() };
        let answer = answered(&app, sync(&app).plan(plan)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.resource()["status"], "rejected");
        assert_eq!(calls(&app, &answer.id()), (1, 1, 0));
        app.finish().await;
    }
}

/// Rule 5: no opening is silently stuck, and none is polled that has no tracking id.
#[tokio::test]
async fn an_account_that_is_never_answered_has_its_ticket_at_the_deadline_and_is_opened_after_all() {
    let app = TestApp::start().await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 503 }));
    let opening = sync(&app).plan(Plan::default());
    let answer = answered_while(&app, opening, async || {
        app.settle().await;
        app.pass(TimeDelta::seconds(1));
    })
    .await;
    assert_eq!(answer.status, 202);
    let id = answer.id();
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    let stuck = app.opening(&id).await;
    assert_eq!(stuck["state"], "requesting_account");
    assert!(stuck["outcome_unknown_since"].is_string(), "{stuck}");
    let tickets = app.items("/v1/tickets?status=open").await;
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!((&tickets[0]["kind"], &tickets[0]["opening_id"]), (&json!("AccountOpeningStepFailed"), &json!(id)));
    assert_eq!(super::count(&app, "select count(*) from inbox where source = 'poll'").await, 0);
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(45), TimeDelta::minutes(5)).await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert_eq!(calls(&app, &id).1, 1, "one key");
    assert_eq!(app.items("/v1/tickets?status=open").await.len(), 0);
    app.finish().await;
}

/// A webhook about it is believed as always: the answer that follows finds the account there.
#[tokio::test]
async fn a_webhook_that_names_our_reference_is_about_it_too() {
    let app = impatient().await;
    let opening = sync(&app).customer("cus_1").plan(Plan { open: Fault::HangAfter.times(1), ..Plan::by_hand() });
    let answer = answered_while(&app, opening, async || {
        app.settle().await;
        app.pass(TimeDelta::seconds(10));
    })
    .await;
    let id = answer.id();
    let account = app.world.opening(&id).unwrap().requests[0].account_opening_request_id.clone();
    let body = json!({"account_opening_request_id": account, "status": "COMPLETED", "iban": null, "bic": null});
    app.world.decide(&id, &world::Verdict::complete()).unwrap();
    let iban = app.world.opening(&id).unwrap().iban().unwrap().to_owned();
    let body = json!({"account_opening_request_id": body["account_opening_request_id"], "reference": id,
                      "status": "COMPLETED", "iban": iban, "bic": "NEXUBEBB"});
    let message =
        json!({"type": "account_opening_request.status_changed", "timestamp": "2026-01-01T00:00:00Z", "data": body});
    let webhook = world::RawWebhook { body: message.to_string(), ..Default::default() };
    assert_eq!(app.world.send_webhook(&webhook).await.unwrap().status, 200);
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    let done = app.opening(&id).await;
    assert_eq!((&done["state"], &done["iban"]), (&json!("completed"), &json!(iban)));
    assert_eq!(app.items("/v1/cases").await.len(), 0);
    app.finish().await;
}
