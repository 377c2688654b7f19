//! The coming events of an opening happen as foretold, to the microsecond, from each state to its end. (P34)

use account_opening::domain::next::ComingKind::{Call, Deadline, Nothing, Poll};
use chrono::TimeDelta;
use serde_json::json;
use world::{Fault, Plan, Verdict};

use crate::support::TestApp;

fn failing(count: usize, status: u16) -> Vec<Fault> {
    vec![Fault::ErrorBefore { status }; count]
}

#[tokio::test]
async fn a_silent_bank_is_polled_as_was_foretold_and_then_people_are_told() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    assert_eq!(app.all_foretold_events_happen(&id).await, [Poll, Nothing]);
    assert_eq!(app.opening(&id).await["state"], "escalated");
    assert_eq!(app.items("/v1/tickets").await.len(), 1);
    app.finish().await;
}

/// A question between two polls moves the next one, and an escalated opening is asked when a person asks.
#[tokio::test]
async fn a_question_of_a_person_is_foretold_too() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::hours(1)).await;
    assert_eq!(app.post(&format!("/v1/account-openings/{id}/poll"), &json!({})).await.0, 202);
    app.tick_inbox().await;
    let foretold = app.foretold(&id).await;
    assert!(matches!(foretold.coming[..], [account_opening::domain::next::Coming::Poll { is_last: false, .. }]));
    app.settle().await;
    foretold.holds(&app).await;
    assert_eq!(app.the_next_foretold_event_happens(&id).await, Nothing);
    app.finish().await;
}

#[tokio::test]
async fn a_call_that_fails_for_a_while_is_repeated_as_was_foretold() {
    let app = TestApp::start().await;
    let plans = [
        Plan { profile: failing(2, 503), ..Plan::by_hand() },
        Plan { submit: failing(2, 503), ..Plan::by_hand() },
        Plan { card: failing(2, 503), ..Plan::by_hand() },
    ];
    for plan in plans {
        let id = app.open().plan(plan).start().await;
        app.settle().await;
        if app.opening(&id).await["state"] == "awaiting_provider" {
            app.world.decide(&id, &Verdict::complete()).unwrap().told().await;
            app.settle().await;
        }
        for _ in 0..2 {
            assert_eq!(app.the_next_foretold_event_happens(&id).await, Call);
        }
        let state = app.opening(&id).await["state"].clone();
        assert!(state == "awaiting_provider" || state == "completed", "{state}");
    }
    app.finish().await;
}

/// People are told when the call is given up; the deadline tells them nothing new.
#[tokio::test]
async fn of_a_call_that_was_given_up_nothing_more_happens_until_it_is_redriven() {
    let app = TestApp::start().await;
    let plan = Plan { profile: failing(1, 422), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    assert_eq!(app.the_next_foretold_event_happens(&id).await, Nothing);
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    let redrive = format!("/v1/dead-letters/{letter}/redrive");
    assert_eq!(app.post(&redrive, &json!({"reason": "the form was wrong"})).await.0, 202);
    let foretold = app.foretold(&id).await;
    assert_eq!(foretold.coming[0].kind(), Call);
    app.settle().await;
    assert_ne!(app.opening(&id).await["state"], "creating_profile");
    app.finish().await;
}

/// While a call is repeated past the deadline, people are told at the deadline.
#[tokio::test]
async fn a_deadline_that_passes_while_a_call_is_repeated_is_foretold() {
    let app = TestApp::with().settings(|it| it.retry_for = "30h".to_owned()).start().await;
    let plan = Plan { profile: failing(500, 503), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let mut foretold = app.foretold(&id).await;
    assert!(foretold.coming.iter().any(|it| it.kind() == Deadline), "{foretold:?}");
    for _ in 0..27 {
        app.pass(TimeDelta::minutes(30));
        app.settle().await;
        foretold.holds(&app).await;
        foretold = app.foretold(&id).await;
    }
    assert_eq!(app.items("/v1/tickets").await.len(), 1);
    assert!(foretold.coming.iter().all(|it| it.kind() == Call), "{foretold:?}");
    let end = json!({"outcome": "failed", "reason": "given up", "evidence": "an outage"});
    assert_eq!(app.post(&format!("/v1/account-openings/{id}/resolve"), &end).await.0, 202);
    assert_eq!(app.the_next_foretold_event_happens(&id).await, Nothing);
    app.finish().await;
}

/// The check can fail: an event that is foretold for another time does not hold.
#[tokio::test]
#[should_panic(expected = "foretold at")]
async fn a_poll_that_did_not_happen_is_noticed() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let foretold = app.foretold(&id).await;
    app.pass(TimeDelta::minutes(30));
    // The workers did not run.
    foretold.holds(&app).await;
}
