//! Waits that another system asks for: none is longer than `BACKOFF_CAP`, and an operator ends each at once.

use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Endpoint, Fault, Plan, Verdict};

use super::{calls, expect_state};
use crate::support::TestApp;

/// `BACKOFF_CAP` of the default settings.
const CAP: TimeDelta = TimeDelta::minutes(15);
/// Milliseconds that were meant, and seconds that are read: 16 hours and 40 minutes.
const MILLISECONDS: Fault = Fault::Throttle { retry_after_seconds: 60_000 };

/// An operator forces a breaker.
async fn force(app: &TestApp, breaker: &str, forced: Option<&str>) {
    let request = app.request_as("operator-token", reqwest::Method::PUT, &format!("/v1/breakers/{breaker}"));
    let body = json!({"forced": forced, "reason": "the provider says it is well"});
    assert_eq!(request.json(&body).send().await.unwrap().status(), 200);
}

/// F2, P21
#[tokio::test]
async fn no_call_waits_longer_than_the_cap_for_any_retry_after() {
    let app = TestApp::start().await;
    let once = || vec![MILLISECONDS];
    let plan = Plan { profile: once(), submit: once(), card: once(), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    for state in ["creating_profile", "requesting_account"] {
        app.settle().await;
        expect_state(&app, &id, state).await;
        app.pass(CAP);
    }
    app.settle().await;
    assert_eq!(app.world.decide(&id, &Verdict::complete()).unwrap().told().await, Some(200));
    app.settle().await;
    app.pass(CAP);
    app.settle().await;
    expect_state(&app, &id, "completed").await;
    app.finish().await;
}

/// F2: the list of what was missed, and a subscriber, wait no longer either.
#[tokio::test]
async fn no_row_is_due_later_than_the_cap_from_now() {
    let app = TestApp::with().tracker().start().await;
    for endpoint in [Endpoint::SearchIssues, Endpoint::CreateIssue] {
        app.world.fail_next(endpoint, [MILLISECONDS]);
    }
    app.world.outage(Api::Bank, Some(MILLISECONDS));
    app.open().start().await;
    let (status, _) = app.post("/v1/providers/nexusbank/backfill", &json!({"reason": "to be sure"})).await;
    assert_eq!(status, 202);
    app.pass_settling(TimeDelta::hours(13), CAP).await;
    let latest: i64 = sqlx::query_scalar(
        "select count(*) from (select due_at as at from outbox where due_at is not null
                               union all select next_attempt_at from backfills where status = 'pending') as waiting
          where at > $1",
    )
    .bind(app.now() + CAP)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(latest, 0, "something waits for longer");
    app.world.outage(Api::Bank, None);
    app.pass_settling(CAP, CAP).await;
    assert_eq!(app.world.issues().len(), 1, "the ticket about the step that was stuck");
    app.finish().await;
}

/// F2, P16: also where the breaker was closed all the time, and where it is forced closed already.
#[tokio::test]
async fn forcing_the_breaker_closed_makes_throttled_work_due_at_once() {
    let app = TestApp::start().await;
    let throttled = Fault::Throttle { retry_after_seconds: 600 };
    let plan = Plan { submit: throttled.times(2), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    assert_eq!(calls(&app, &id, Endpoint::Submit), 1);
    for made in 2..=3 {
        expect_state(&app, &id, "requesting_account").await;
        force(&app, "nexusbank/submit", Some("closed")).await;
        app.settle().await;
        assert_eq!(calls(&app, &id, Endpoint::Submit), made, "no time has passed");
    }
    expect_state(&app, &id, "awaiting_provider").await;
    app.finish().await;
}

/// F2: the breaker releases the work for each cause of the wait. A call with an unusable answer waits for its repeat like any other.
#[tokio::test]
async fn forcing_the_breaker_closed_makes_all_work_due_that_waits_for_it() {
    let app = TestApp::start().await;
    let plan = Plan { profile: Fault::Garbage.times(1), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    sqlx::query("update outbox set due_at = $1 where topic = 'create_profile' and due_at is not null")
        .bind(app.now() + CAP)
        .execute(&app.pool)
        .await
        .unwrap();
    force(&app, "profiles/create", Some("closed")).await;
    app.settle().await;
    expect_state(&app, &id, "awaiting_provider").await;
    app.finish().await;
}

/// F2, P16: a breaker that closes by its probes makes due what was throttled; the pause that was asked for holds it, if that is
/// not over.
#[tokio::test]
async fn a_breaker_that_closes_by_its_probes_makes_throttled_work_due() {
    let app = TestApp::start().await;
    let plan = |submit| Plan { submit, ..Plan::by_hand() };
    let throttled = app.open().plan(plan(vec![Fault::Throttle { retry_after_seconds: 1 }])).start().await;
    app.settle().await;
    sqlx::query("update outbox set due_at = $1 where topic = 'submit_request' and due_at is not null")
        .bind(app.now() + CAP)
        .execute(&app.pool)
        .await
        .unwrap();
    app.pass(TimeDelta::seconds(2));
    for _ in 0..5 {
        app.open().plan(plan(Fault::ErrorBefore { status: 503 }.times(1))).start().await;
    }
    app.settle().await;
    expect_state(&app, &throttled, "requesting_account").await;
    app.pass(TimeDelta::seconds(30));
    app.open().start().await;
    app.settle().await;
    expect_state(&app, &throttled, "awaiting_provider").await;
    app.finish().await;
}

/// F2, P13: an operator forces the breaker closed, and then asks again for a poll that was throttled.
#[tokio::test]
async fn a_throttled_poll_is_made_when_an_operator_asks_for_it() {
    let app = TestApp::start().await;
    let plan = Plan { lookup: vec![MILLISECONDS], ..Plan::by_hand() };
    let (id, _) = app.open().plan(plan).waiting().await;
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    assert_eq!(calls(&app, &id, Endpoint::Lookup), 1);
    assert_eq!(app.post(&format!("/v1/account-openings/{id}/poll"), &json!({})).await.0, 202);
    app.settle().await;
    assert_eq!(calls(&app, &id, Endpoint::Lookup), 1, "the bank asked for a pause");
    force(&app, "nexusbank/lookup", Some("closed")).await;
    app.settle().await;
    assert_eq!(calls(&app, &id, Endpoint::Lookup), 2, "no time has passed");
    app.finish().await;
}
