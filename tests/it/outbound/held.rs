//! Work that was claimed and not let through, and work that waits because of an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::domain::Topic;
use account_opening::domain::retry::Nature;
use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Step};
use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Fault, Plan};

use super::{OPEN_FOR, bank_calls, force, hangs, impatient, nothing_is_used_up, rows};
use crate::support::{Subscriber, TestApp};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// P16: two replicas, or two ticks, each see room for the one probe.
#[tokio::test]
async fn work_held_before_a_second_look_is_as_if_it_had_not_been_claimed() {
    let app = impatient(1).await;
    hangs(&app, Api::Bank);
    for _ in 0..6 {
        app.open().start().await;
    }
    app.settle().await;
    let before = rows(&app, "submit_request").await;
    assert!(before.iter().all(|it| it["claims"] == 1 && it["attempt_log"][0]["nature"] == "indeterminate"));
    app.pass(OPEN_FOR);
    let calls = bank_calls(&app);
    let (one, other) = tokio::join!(app.relay(Topic::SubmitRequest), app.relay(Topic::SubmitRequest));
    assert_eq!(bank_calls(&app), calls + 1, "one probe");
    let mut ends = [one.attempts, other.attempts].concat();
    ends.sort_unstable();
    let topic = Topic::SubmitRequest;
    assert_eq!(ends, [(topic, "held", "probing"), (topic, "retry", "timeout")]);
    let after = rows(&app, "submit_request").await;
    let held: Vec<_> = after.iter().filter(|it| it["outcome"] == "probing").collect();
    assert_eq!((held.len(), &held[0]["claims"], held[0]["attempt_log"].as_array().unwrap().len()), (1, &json!(1), 1));
    assert_eq!(after.iter().filter(|it| it["claims"] == 2).count(), 1, "the probe");
    app.world.outage(Api::Bank, None);
    app.pass(OPEN_FOR);
    app.settle().await;
    let done = rows(&app, "submit_request").await;
    assert!(done.iter().all(|it| it["status"] == "delivered" && it["outcome"] == "accepted"));
    app.finish().await;
}

/// Each subscriber has its own breaker, and all share a topic: the rows of one that is down are left alone, however many.
#[tokio::test]
async fn events_for_a_subscriber_that_is_away_hold_up_no_other_and_are_sent_when_it_is_back() {
    let (down, sound) = (Subscriber::answering(503, SECRET).await, Subscriber::answering(204, SECRET).await);
    let app =
        TestApp::with().settings(|it| it.event_subscribers = [down.setting(), sound.setting()].join(",")).start().await;
    for _ in 0..20 {
        app.open().start().await;
    }
    app.settle().await;
    assert_eq!(sound.deliveries().len(), 40, "started and waiting, of each");
    let waiting = rows(&app, "deliver_event").await;
    let untried: Vec<_> =
        waiting.iter().filter(|it| it["status"] == "pending" && it["attempt_log"] == json!([])).collect();
    assert!(untried.len() > 20, "{}", untried.len());
    assert!(untried.iter().all(|it| (&it["attempts"], &it["claims"]) == (&json!(0), &json!(0))));
    // They are due and not claimed: another's, which are behind them all, are first.
    app.open().start().await;
    let now = app.relay(Topic::DeliverEvent).await;
    assert_eq!(now.attempts, [(Topic::DeliverEvent, "delivered", "")]);
    app.settle().await;
    assert_eq!(sound.deliveries().len(), 42);
    let before = down.deliveries().len();
    app.pass(OPEN_FOR);
    app.settle().await;
    assert_eq!(down.deliveries().len(), before + 1, "one probe");
    down.answer(204);
    app.pass(OPEN_FOR);
    app.settle().await;
    let sent = rows(&app, "deliver_event").await;
    assert!(sent.iter().all(|it| it["status"] == "delivered"), "and no more time has passed");
    app.finish().await;
}

/// Work with a distant next attempt, after many failures, is due when the breaker closes.
#[tokio::test]
async fn a_breaker_that_closes_makes_what_failed_due_at_once() {
    let app = TestApp::start().await;
    app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 503 }));
    let id = app.open().start().await;
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(10)).await;
    force(&app, "profiles/create", Some("open")).await;
    let row = &rows(&app, "create_profile").await[0];
    assert_eq!(row["attempt_log"][0]["nature"], Nature::Indeterminate.as_str());
    // As far away as it ever is.
    sqlx::query("update outbox set due_at = $1 where topic = 'create_profile' and due_at is not null")
        .bind(app.now() + TimeDelta::minutes(15))
        .execute(&app.pool)
        .await
        .unwrap();
    app.world.outage(Api::Profiles, None);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "creating_profile");
    force(&app, "profiles/create", None).await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider", "no time has passed");
    app.finish().await;
}

/// P16: what was answered, though not in a way that could be used, keeps its time: it would use up its attempts while a breaker opens
/// and closes. What was throttled is due.
#[tokio::test]
async fn a_breaker_that_closes_leaves_alone_what_does_not_wait_for_it() {
    let app = TestApp::start().await;
    let throttled = Plan { profile: vec![Fault::Throttle { retry_after_seconds: 90 }], ..Plan::by_hand() };
    let unusable = Plan { profile: Fault::Garbage.times(1), ..Plan::by_hand() };
    app.open().plan(unusable).start().await;
    app.settle().await;
    app.open().plan(throttled).start().await;
    app.settle().await;
    let times = async |app: &TestApp| -> Vec<_> {
        rows(app, "create_profile").await.iter().map(|it| it["due_at"].clone()).collect()
    };
    let before = times(&app).await;
    force(&app, "profiles/create", Some("open")).await;
    force(&app, "profiles/create", None).await;
    let recovered = tick(&app.context.recovery()).await.unwrap();
    assert_eq!((recovered.closed, recovered.made_due), (1, 1));
    let after = times(&app).await;
    assert_eq!((&after[0], after[1].as_str().unwrap().parse()), (&before[0], Ok(app.now())));
    app.finish().await;
}

/// P18: the work becomes due once despite faults of the database; much of it in several commits.
#[tokio::test]
async fn work_becomes_due_also_when_the_database_was_away_and_when_it_is_much() {
    let mut app = TestApp::start().await;
    app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 503 }));
    app.open().start().await;
    app.settle().await;
    force(&app, "profiles/create", Some("open")).await;
    sqlx::query(
        "insert into outbox (id, opening_id, topic, payload, status, outcome, due_at, created_at, retry_from)
         select gen_random_uuid(), id, 'create_profile', '{}', 'pending', 'breaker_open', $1, $1, $1
           from account_openings, generate_series(1, 4499)",
    )
    .bind(app.now() + TimeDelta::minutes(15))
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::query("update outbox set due_at = $1 where due_at < $1 and topic = 'create_profile'")
        .bind(app.now() + TimeDelta::minutes(15))
        .execute(&app.pool)
        .await
        .unwrap();
    let failures = Arc::new(AtomicU32::new(2));
    let left = Arc::clone(&failures);
    app.context.shell.faults = FaultPoint::new(move |place| {
        let strikes = (place.worker, place.step) == ("recovery", Step::Settle)
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        strikes.then(|| sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()))
    });
    force(&app, "profiles/create", Some("closed")).await;
    let mut made_due = Vec::new();
    for _ in 0..6 {
        made_due.push(tick(&app.context.recovery()).await.ok().map(|it| it.made_due));
    }
    // The first two ticks failed before they made any row due.
    assert_eq!(made_due, [None, None, Some(2_000), Some(2_000), Some(500), Some(0)]);
    nothing_is_used_up(&app).await;
    // Rows that are in no archive cannot be deleted, unless the triggers are off.
    sqlx::raw_sql(
        "begin; set local session_replication_role = replica;
         delete from outbox where payload = '{}' and attempt_log = '[]'; commit",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.world.outage(Api::Profiles, None);
    app.finish().await;
}
