//! When polls come: the schedule, a little drift, and a budget.

use chrono::TimeDelta;
use world::{Api, Endpoint, Fault, Plan};

use super::{lookups, waiting};
use crate::support::TestApp;

/// The minutes of the wait in which an opening is polled.
async fn minutes_of_polls(app: &TestApp, id: &str, minutes: i64) -> Vec<i64> {
    let polls = || app.world.opening(id).unwrap().calls(Endpoint::Lookup);
    let mut found = Vec::new();
    let mut made = polls();
    for minute in 1..=minutes {
        app.pass(TimeDelta::minutes(1));
        app.settle().await;
        if polls() > made {
            found.push(minute);
            made = polls();
        }
    }
    found
}

#[tokio::test]
async fn each_step_of_a_dense_schedule_is_used_in_order_and_the_last_repeats() {
    let app = TestApp::with().settings(|it| it.poll_schedule = "2m,5m,10m,20m,30m".to_owned()).start().await;
    let (id, _) = app.open().waiting().await;
    assert_eq!(minutes_of_polls(&app, &id, 130).await, [2, 7, 17, 37, 67, 97, 127]);
    app.finish().await;
}

/// A deadline that passed while the submission was still under way is no poll.
#[tokio::test]
async fn the_schedule_begins_with_the_wait_after_any_earlier_use_of_the_timer() {
    let building = TestApp::with().settings(|it| {
        it.poll_schedule = "2m,5m,10m".to_owned();
        it.backoff_cap = "1m".to_owned();
    });
    let app = building.start().await;
    app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 500 }));
    let id = app.open().start().await;
    app.pass_settling(TimeDelta::minutes(721), TimeDelta::minutes(30)).await;
    assert_eq!(app.items("/v1/tickets").await.len(), 1, "the deadline was seen to pass");
    app.world.outage(Api::Profiles, None);
    while app.opening(&id).await["state"] != "awaiting_provider" {
        app.pass(TimeDelta::seconds(10));
        app.settle().await;
    }
    assert_eq!(minutes_of_polls(&app, &id, 20).await, [2, 7, 17]);
    app.finish().await;
}

/// P13: each poll comes at its time or a little before, never later, and the first at its time.
#[tokio::test]
async fn timers_in_line_drift_apart_after_the_first_poll() {
    let app = TestApp::with().settings(|it| it.poll_jitter = "20%".to_owned()).start().await;
    waiting(&app, 20).await;
    app.pass(TimeDelta::minutes(30) - TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(lookups(&app), 0);
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(lookups(&app), 20, "the first poll is everybody's at once");
    app.pass(TimeDelta::minutes(24) - TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(lookups(&app), 20, "never by more than 20 %");
    let mut at_once = Vec::new();
    for _ in 0..37 {
        let before = lookups(&app);
        app.pass(TimeDelta::seconds(10));
        app.settle().await;
        at_once.push(lookups(&app) - before);
    }
    assert!(at_once.iter().all(|polls| *polls < 8), "{at_once:?}");
    assert_eq!(at_once.iter().sum::<u64>(), 20, "none comes later than its interval");
    app.finish().await;
}

#[tokio::test]
async fn a_budget_bounds_the_polls_of_a_minute_with_the_oldest_first_and_deadlines_regardless() {
    let app = TestApp::with().settings(|it| it.poll_budget = "60".to_owned()).start().await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.extend(waiting(&app, 1).await);
        app.pass(TimeDelta::seconds(1));
    }
    app.pass(TimeDelta::minutes(30));
    let polled =
        || -> Vec<u64> { ids.iter().map(|id| app.world.opening(id).unwrap().calls(Endpoint::Lookup)).collect() };
    for turn in 1..=8 {
        app.settle().await;
        let expected: Vec<u64> = (1..=8).map(|it| u64::from(it <= turn + 1)).collect();
        assert_eq!(polled(), expected, "one a second, the oldest first, and one that was saved up");
        app.pass(TimeDelta::seconds(1));
    }
    app.pass(TimeDelta::hours(12));
    app.settle().await;
    assert_eq!(polled(), [2; 8], "a last poll is not put off");
    assert_eq!(app.items("/v1/tickets").await.len(), 8);
    app.finish().await;
}

/// A deadline without a poll uses none of the poll budget.
#[tokio::test]
async fn a_deadline_outside_the_wait_leaves_the_budget_to_polls() {
    let app = TestApp::with().settings(|it| it.poll_budget = "1".to_owned()).start().await;
    let plan = Plan { card: Fault::ErrorBefore { status: 500 }.times(10_000), ..Plan::by_hand() };
    let (stuck, tracking_id) = app.open().plan(plan).waiting().await;
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    app.pass_settling(TimeDelta::seconds(41_401), TimeDelta::minutes(30)).await;
    let (waiting, _) = app.open().waiting().await;
    app.pass(TimeDelta::seconds(1_799));
    app.settle().await;
    assert_eq!(app.opening(&stuck).await["state"], "issuing_card");
    assert_eq!(app.items("/v1/tickets").await.len(), 1, "its deadline was seen to pass");
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(app.world.opening(&waiting).unwrap().calls(Endpoint::Lookup), 1);
    app.finish().await;
}
