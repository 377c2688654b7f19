//! Acts on a provider: its breakers and its list.

use account_opening::clock::Time;
use chrono::{NaiveDateTime, TimeDelta};
use reqwest::Method;
use serde_json::{Value, json};
use world::{Api, Fault, Plan, Verdict, Webhooks};

use super::{Announced, act, operator};
use crate::support::TestApp;

const BREAKER: &str = "/v1/breakers/profiles/create";
const FORCE: &str = "/providers/profiles/breakers/create";
const BACKFILL: &str = "/providers/nexusbank/backfill";
/// `BREAKER_OPEN_FOR` and `BREAKER_FAILURES` of the default settings.
const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);
const FAILURES: usize = 5;

async fn breaker(app: &TestApp) -> Value {
    let items = app.items("/v1/breakers").await;
    items.into_iter().find(|it| it["provider"] == "profiles" && it["operation"] == "create").unwrap()
}

async fn force(app: &TestApp, forced: Option<&str>) {
    let body = json!({"forced": forced, "reason": "before"});
    let answer = app.request(Method::PUT, BREAKER).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// The breaker in a state, from automatic control with no work waiting.
async fn breaker_in(app: &TestApp, state: &str) {
    match state {
        "forced open" => force(app, Some("open")).await,
        "forced closed" => force(app, Some("closed")).await,
        "open" => {
            app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 503 }));
            for _ in 0..FAILURES {
                app.open().start().await;
            }
            app.settle().await;
            app.world.outage(Api::Profiles, None);
        }
        _ => {}
    }
    let is = breaker(app).await;
    assert_eq!(
        (is["state"] == "open", is["forced"].is_null()),
        (state.ends_with("open"), !state.starts_with("forced"))
    );
}

/// Profiles that wait to be created.
async fn waiting(app: &TestApp) -> i64 {
    let waiting = "select count(*) from outbox where topic = 'create_profile' and status = 'pending'";
    sqlx::query_scalar(waiting).fetch_one(&app.pool).await.unwrap()
}

/// How often calls were tried in vain.
async fn attempts(app: &TestApp) -> i64 {
    sqlx::query_scalar("select coalesce(sum(attempts), 0)::bigint from outbox").fetch_one(&app.pool).await.unwrap()
}

/// Holds the announcement of a decision about a breaker against the calls that are made then.
async fn is_decided(app: &TestApp, before: &Value, announced: &Announced) {
    let (after, tried) = (breaker(app).await, attempts(app).await);
    app.open().start().await;
    app.settle().await;
    let (left, is_open) = (waiting(app).await, after["state"] == "open");
    match (&before["forced"], announced.last("replaces: forced ")) {
        (Value::String(forced), replaces) => {
            assert_eq!(replaces, Some(format!("{forced} by {}", before["by"].as_str().unwrap()).as_str()));
        }
        (_, replaces) => assert_eq!(replaces, None, "{announced:?}"),
    }
    if announced.says("changes nothing") {
        assert_eq!(&after, before, "{announced:?}");
        assert_eq!(left > 0, is_open);
    } else if announced.says("no call is made") {
        assert!(is_open && left > 0 && after["forced"] == "open", "{after}");
        assert_eq!(attempts(app).await, tried, "its work uses up no attempt");
    } else {
        let is_forced = announced.says("every call is made");
        assert!(is_forced || announced.says("beginning with a closed breaker"), "{announced:?}");
        assert_eq!((is_open, left, after["forced"] == "closed"), (false, 0, is_forced), "{announced:?}: {after}");
    }
}

#[tokio::test]
async fn every_decision_about_a_breaker_in_every_state_is_what_was_announced() {
    let app = TestApp::start().await;
    let visitor = operator(&app).await;
    for state in ["closed", "open", "forced open", "forced closed"] {
        for choice in ["open", "closed", "automatic"] {
            breaker_in(&app, state).await;
            let before = breaker(&app).await;
            let announced = act(&app, &visitor, FORCE, "force_breaker", &[("forced", choice)]).await;
            is_decided(&app, &before, &announced).await;
            force(&app, None).await;
            app.pass_settling(OPEN_FOR * 4, OPEN_FOR).await;
            assert_eq!((waiting(&app).await, &breaker(&app).await["state"]), (0, &json!("closed")), "{state} {choice}");
        }
    }
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

async fn backfills(app: &TestApp) -> Vec<Value> {
    app.items("/v1/providers/nexusbank/backfills").await
}

/// The time from which the page announces that the list is read.
fn announced_since(announced: &Announced) -> Time {
    let since = announced.last("reads the list page by page, with all changes since ").unwrap();
    since.split(" UTC").next().unwrap().replace(' ', "T").parse::<NaiveDateTime>().unwrap().and_utc()
}

/// Has the list read again, from a time or from where the page says; how many backfills there are then.
async fn read_again(app: &TestApp, since: &str) -> (Announced, usize) {
    let announced = act(app, &operator(app).await, BACKFILL, "backfill", &[("since", since)]).await;
    let all = backfills(app).await;
    let wanted = if since.is_empty() { announced_since(&announced) } else { since.parse().unwrap() };
    let begins = |it: &Value| it["since"].as_str().unwrap().parse::<Time>().unwrap();
    assert!(all.iter().any(|it| it["status"] == "pending" && begins(it) <= wanted), "{announced:?}: {all:?}");
    (announced, all.len())
}

#[tokio::test]
async fn a_list_is_read_again_in_every_state_as_was_announced() {
    let app = TestApp::start().await;
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (told, _) = app.open().waiting().await;
    app.world.decide(&told, &Verdict::complete()).unwrap().told().await;
    let (missed, _) = app.open().plan(silent).waiting().await;
    app.world.decide(&missed, &Verdict::complete()).unwrap();
    app.settle().await;
    let (before, serves) = (app.opening(&told).await, "a pending backfill goes back as far");
    let (announced, count) = read_again(&app, "").await;
    assert_eq!((announced.says(serves), count), (false, 1));
    // A backfill that has not begun serves a request that goes back as far, and none that goes back further.
    let (announced, count) = read_again(&app, "").await;
    assert_eq!((announced.says(serves), count), (true, 1));
    let (announced, count) = read_again(&app, "2025-12-01T00:00:00Z").await;
    assert_eq!((announced.says(serves) && announced.says("unless you type an earlier time"), count), (true, 2));
    app.settle().await;
    assert_eq!((&app.opening(&missed).await["state"], app.opening(&told).await), (&json!("completed"), before));
    assert!(backfills(&app).await.iter().all(|it| it["status"] == "done"));
    let (announced, count) = read_again(&app, "").await;
    assert_eq!((announced.says(serves), count), (false, 3));
    app.finish().await;
}
