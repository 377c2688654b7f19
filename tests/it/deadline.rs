//! Twelve hours on the test clock.

use chrono::TimeDelta;
use serde_json::json;
use world::{Endpoint, Fault, Plan};

use crate::support::TestApp;

/// P14: polls at 30 minute steps, exactly one escalation and one ticket, none before.
#[tokio::test]
async fn an_opening_is_polled_every_half_hour_and_escalated_once_after_twelve_hours() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let began = app.now();
    let mut polls = 0;
    for minute in 1..=(13 * 60) {
        app.pass(TimeDelta::minutes(1));
        // The minute of a poll, and those around it.
        if !matches!(minute % 30, 0 | 1 | 29) {
            continue;
        }
        app.settle().await;
        let made = app.world.opening(&id).unwrap().calls(Endpoint::Lookup);
        assert_eq!(made - polls, u64::from(minute % 30 == 0 && minute <= 720), "at minute {minute}");
        polls = made;
        let escalated = minute >= 720;
        if minute % 60 == 0 || minute == 719 {
            assert_eq!(app.opening(&id).await["state"] == "escalated", escalated, "at minute {minute}");
            assert_eq!(app.items("/v1/tickets").await.len(), usize::from(escalated), "at minute {minute}");
        }
    }
    assert_eq!(polls, 24);
    let opening = app.opening(&id).await;
    assert_eq!(opening["escalated_at"], json!(began + TimeDelta::hours(12)));
    let events = app.eventually_all_events().await;
    assert_eq!(events.iter().filter(|it| it["type"] == "account_opening.escalated").count(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_word_from_the_bank_every_twenty_minutes_postpones_nothing() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for step in 1..=36 {
        app.pass_settling(TimeDelta::minutes(20), TimeDelta::minutes(10)).await;
        app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
        app.settle().await;
        let escalated = app.opening(&id).await["state"] == "escalated";
        assert_eq!(escalated, step == 36, "after {} minutes", step * 20);
    }
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 24);
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// The last poll escalates with any result: here the bank is down the whole time.
#[tokio::test]
async fn a_bank_that_is_down_is_escalated_all_the_same() {
    let app = TestApp::start().await;
    let plan = Plan { lookup: Fault::ErrorBefore { status: 500 }.times(100), ..Plan::by_hand() };
    let (id, _) = app.open().plan(plan).waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    assert_eq!(app.opening(&id).await["state"], "escalated");
    app.finish().await;
}

/// An answer that came before the deadline and is read at it wins over the deadline.
#[tokio::test]
async fn an_answer_that_waits_to_be_read_at_the_deadline_wins() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(11), TimeDelta::minutes(30)).await;
    app.pass(TimeDelta::hours(1));
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert!(app.items("/v1/tickets").await.is_empty());
    app.finish().await;
}

/// P21: a step that is stuck elsewhere gets its own ticket, once, and completes later.
#[tokio::test]
async fn a_submission_that_never_succeeds_has_a_ticket_at_the_deadline() {
    let app = TestApp::start().await;
    let plan = Plan { submit: Fault::ErrorBefore { status: 503 }.times(10_000), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    app.pass_settling(TimeDelta::hours(12) - TimeDelta::minutes(1), TimeDelta::minutes(10)).await;
    assert!(app.items("/v1/tickets").await.is_empty());
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(10)).await;
    let tickets = app.items("/v1/tickets").await;
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!(tickets[0]["kind"], "AccountOpeningStepFailed");
    assert_eq!(app.opening(&id).await["state"], "requesting_account");
    app.finish().await;
}

#[tokio::test]
async fn an_operator_may_ask_the_bank_at_once_also_when_it_is_escalated() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let path = format!("/v1/account-openings/{id}/poll");
    assert_eq!(app.post(&path, &json!({})).await.0, 202);
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 1);
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    let polls = app.world.opening(&id).unwrap().calls(Endpoint::Lookup);
    assert_eq!(app.post(&path, &json!({})).await.0, 202);
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), polls + 1);
    assert_eq!(app.opening(&id).await["state"], "escalated");
    let unknown = format!("/v1/account-openings/{}/poll", uuid::Uuid::nil());
    assert_eq!(app.post(&unknown, &json!({})).await.0, 404);
    let (early, answer) = {
        let id = app.open().start().await;
        app.post(&format!("/v1/account-openings/{id}/poll"), &json!({})).await
    };
    assert_eq!((early, &answer["type"]), (409, &"wrong-state".into()));
    app.finish().await;
}

/// The last poll and the answer meet in one commit: the ticket is opened and closed in it.
#[tokio::test]
async fn a_ticket_that_is_opened_and_answered_in_one_commit_is_closed() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.pass_settling(TimeDelta::minutes(11 * 60 + 30), TimeDelta::minutes(30)).await;
    app.pass(TimeDelta::minutes(30));
    // The poller asks and leaves its fact to be read; the webhook comes behind it.
    app.round().await;
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    let history = app.history(&id).await;
    assert_eq!(history[3], "awaiting_provider -> escalated (provider_polled, poll)", "{history:?}");
    assert_eq!(app.opening(&id).await["state"], "completed");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!((tickets.len(), &tickets[0]["status"]), (1, &"closed".into()), "{tickets:?}");
    app.finish().await;
}
