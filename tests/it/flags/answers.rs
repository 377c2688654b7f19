//! The answer to a caller on the synchronous flow, and its time.

use std::sync::Arc;
use std::time::Duration;

use account_opening::app::Parts;
use account_opening::domain::chain::HistoryKey;
use account_opening::http::internal;
use account_opening::http::listener::Limits;
use account_opening::outbound::breaker::Forced;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use world::{Decision, Endpoint, Plan, Verdict};

use super::{Answer, answered, answered_while, calls, count, sync};
use crate::support::{KEY, TestApp, eventually, listen_as, problem};

const WAIT: TimeDelta = TimeDelta::seconds(8);

fn rejecting() -> Plan {
    Plan { decision: Decision::By(Verdict::reject("risk")), ..Plan::default() }
}

#[tokio::test]
async fn an_account_that_is_opened_in_time_is_answered_201_and_went_the_way_of_all_openings() {
    let app = TestApp::start().await;
    let first = answered(&app, sync(&app).key("k").customer("cus_1").plan(Plan::default())).await;
    assert_eq!((first.status, first.replayed), (201, false), "{first:?}");
    let told = first.resource();
    assert_eq!((&told["status"], &told["flow"]), (&json!("succeeded"), &json!("sync")));
    assert!(told["iban"].is_string() && told["bic"].is_string(), "{told}");
    let id = first.id();
    assert_eq!(first.location, format!("/v1/account-openings/{id}"));

    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["iban"]), (&json!("completed"), &told["iban"]));
    assert!(opening["provider_reference"].as_str().unwrap().starts_with("acc_"), "{opening}");
    assert_eq!(
        app.history(&id).await,
        [
            "start -> creating_profile (started, api)",
            "creating_profile -> requesting_account (profile_created, command)",
            "requesting_account -> awaiting_provider (submission_accepted, command)",
            "awaiting_provider -> issuing_card (submission_accepted, command)",
            "issuing_card -> completed (card_issued, command)",
        ]
    );
    assert_eq!(calls(&app, &id), (1, 1, 1));
    let record = app.world.opening(&id).unwrap();
    assert_eq!((record.calls(Endpoint::Submit), record.calls(Endpoint::Lookup)), (0, 0));

    let again = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..first });
    app.finish().await;
}

#[tokio::test]
async fn a_rejection_is_answered_200_and_again_200() {
    let app = TestApp::start().await;
    let first = answered(&app, sync(&app).key("k").customer("cus_1").plan(rejecting())).await;
    assert_eq!(first.status, 200, "{first:?}");
    let told = first.resource();
    assert_eq!((&told["status"], &told["reason"]), (&json!("rejected"), &json!("risk")));
    assert_eq!(told["provider_reference"], json!(null), "a no has no account");
    let again = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..first });
    app.finish().await;
}

#[tokio::test]
async fn an_opening_that_is_not_decided_in_time_is_answered_202_for_good() {
    let app = TestApp::start().await;
    let opening = sync(&app).key("k").customer("cus_1").plan(Plan::default());
    let begun = app.now();
    let first = answered_while(&app, opening, async || {
        // Until then it is kept waiting.
        if count(&app, "select count(*) from account_openings").await == 1 && app.now() < begun + WAIT {
            app.pass(WAIT);
        }
    })
    .await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.resource()["status"], "in_progress");
    app.settle().await;
    assert_eq!(app.opening(&first.id()).await["state"], "completed");
    let again = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..first });
    app.finish().await;
}

/// The wait also ends by real time: a clock that is set back keeps no caller waiting.
#[tokio::test]
async fn the_wait_ends_also_when_the_clock_stands_still() {
    let app = TestApp::with().settings(|it| it.sync_wait = "50ms".to_owned()).start().await;
    let first = Answer::of(sync(&app).plan(Plan::default()).send().await).await;
    assert_eq!(first.status, 202, "{first:?}");
    app.finish().await;
}

#[tokio::test]
async fn while_it_waits_the_same_request_is_in_progress_and_another_one_has_no_right_to_its_key() {
    let app = TestApp::start().await;
    let opening = sync(&app).key("k").customer("cus_1").plan(Plan::default());
    let waiting = async { Answer::of(opening.send().await).await };
    let others = async {
        eventually("it is started", async || {
            (count(&app, "select count(*) from account_openings").await == 1).then_some(())
        })
        .await;
        for _ in 0..3 {
            problem(sync(&app).key("k").customer("cus_1").send().await, 409, "request-in-progress").await;
            problem(sync(&app).key("k").customer("cus_2").send().await, 422, "idempotency-key-reused").await;
            problem(app.open().key("k").customer("cus_1").send().await, 422, "idempotency-key-reused").await;
        }
        app.settle().await;
    };
    let (first, ()) = tokio::join!(waiting, others);
    assert_eq!(first.status, 201, "{first:?}");
    let again = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..first });
    problem(sync(&app).key("k").customer("cus_2").send().await, 422, "idempotency-key-reused").await;
    assert_eq!(count(&app, "select count(*) from account_openings").await, 1);
    app.finish().await;
}

/// A raced key: many at once make one opening, and each is told the same in the end.
#[tokio::test]
async fn many_at_once_with_one_key_are_one_opening() {
    let app = TestApp::start().await;
    app.world.set_plan("cus_1", Plan::default());
    let one = |_| async { Answer::of(sync(&app).key("k").customer("cus_1").send().await).await };
    let sending = futures::future::join_all((0..8).map(one));
    let working = async {
        eventually("it is started", async || {
            (count(&app, "select count(*) from account_openings").await == 1).then_some(())
        })
        .await;
        // Until the one that waits is told, by the clock: the others are refused.
        app.settle().await;
    };
    let (answers, ()) = tokio::join!(sending, working);
    let told: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
    assert!(!told.is_empty() && told.iter().all(|it| it.body == told[0].body), "{answers:?}");
    assert!(answers.iter().all(|it| [201, 409].contains(&it.status)), "{answers:?}");
    assert_eq!(told.iter().filter(|it| !it.replayed).count(), 1, "{answers:?}");
    assert_eq!(count(&app, "select count(*) from account_openings").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_lose_the_answer() {
    let app = TestApp::start().await;
    let hanging_up = tokio::time::timeout(
        Duration::from_millis(500),
        sync(&app).key("k").customer("cus_1").plan(Plan::default()).send(),
    );
    assert!(hanging_up.await.is_err(), "it was kept waiting");
    problem(sync(&app).key("k").customer("cus_1").send().await, 409, "request-in-progress").await;
    app.settle().await;
    // The clock stands still: it is the wait that went on which settles the key, not the repeat.
    let again = eventually("the answer stands", async || {
        let answer = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert_eq!((again.status, again.replayed), (201, true), "{again:?}");
    app.finish().await;
}

#[tokio::test]
async fn the_answer_comes_also_when_the_workers_of_another_replica_do_the_work() {
    let app = TestApp::start().await;
    let settings = (*app.state.settings).clone();
    let parts = Parts::new(settings, app.state.cell.pool.clone(), HistoryKey::new(&KEY), app.clock.clone()).unwrap();
    let limits = Limits::inside(&parts.state.settings);
    let mut other = listen_as(internal::router(parts.state), limits).await;
    let own = app.internal.clone();
    let mut app = app;
    std::mem::swap(&mut app.internal, &mut other);
    // The request goes to the replica that has no workers; those that run here have wakers of their own.
    let first = answered(&app, sync(&app).plan(Plan::default())).await;
    assert_eq!(first.status, 201, "{first:?}");
    app.internal = own;
    assert_eq!(app.opening(&first.id()).await["state"], "completed");
    app.finish().await;
}

/// As a killed process leaves it: the key says that a caller waits, but none does.
#[tokio::test]
async fn the_repeat_of_a_request_whose_waiter_died_is_told_what_stands_once_the_wait_would_be_over() {
    for decided in [true, false] {
        let app = TestApp::with().settings(|it| it.sync_wait = "50ms".to_owned()).start().await;
        let first = Answer::of(sync(&app).key("k").customer("cus_1").plan(Plan::default()).send().await).await;
        assert_eq!(first.status, 202);
        sqlx::query("update idempotency_keys set waits_until = $1")
            .bind(app.now() + TimeDelta::milliseconds(50))
            .execute(&app.pool)
            .await
            .unwrap();
        if decided {
            app.settle().await;
        }
        problem(sync(&app).key("k").customer("cus_1").send().await, 409, "request-in-progress").await;
        app.pass(WAIT);
        problem(sync(&app).key("k").customer("cus_2").send().await, 422, "idempotency-key-reused").await;
        let told = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
        assert_eq!((told.status, told.replayed), (if decided { 201 } else { 202 }, true), "{told:?}");
        app.settle().await;
        let again = Answer::of(sync(&app).key("k").customer("cus_1").send().await).await;
        assert_eq!(again, told, "what was told first is the first answer");
        app.finish().await;
    }
}

#[tokio::test]
async fn while_a_breaker_is_open_it_is_refused_at_once_and_nothing_is_left() {
    let app = TestApp::start().await;
    let first = answered(&app, sync(&app).key("old").customer("cus_1").plan(Plan::default())).await;
    assert_eq!(first.status, 201);
    for (system, operation) in [("nexusbank", "open"), ("profiles", "create")] {
        let gate = app.state.outside.gates.gate(system, operation);
        gate.decide(Some(Forced::Open));
        let response = sync(&app).key("new").customer("cus_2").send().await;
        let after: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&after), "{after}");
        problem(response, 503, "unavailable").await;
        assert_eq!(count(&app, "select count(*) from account_openings").await, 1);
        assert_eq!(count(&app, "select count(*) from idempotency_keys").await, 1);
        let again = Answer::of(sync(&app).key("old").customer("cus_1").send().await).await;
        assert_eq!((again.status, again.replayed), (201, true), "what was answered is answered again");
        gate.decide(None);
    }
    let other = app.state.outside.gates.gate("nexusbank", "submit");
    other.decide(Some(Forced::Open));
    let second = answered(&app, sync(&app).key("new").customer("cus_2").plan(Plan::default())).await;
    assert_eq!(second.status, 201, "the refused key is free, and another operation's breaker is of no concern");
    other.decide(None);
    app.state.outside.gates.gate("nexusbank", "open").decide(Some(Forced::Open));
    let third = app.open().send().await;
    assert_eq!(third.status(), 202, "the asynchronous flow waits by itself");
    app.state.outside.gates.gate("nexusbank", "open").decide(None);
    app.finish().await;
}

/// A breaker that calls have opened says how long it will be.
#[tokio::test]
async fn retry_after_is_what_is_left_of_the_breakers_time() {
    let app = TestApp::with().settings(|it| it.breaker_open_for = "30s".to_owned()).start().await;
    let gate = Arc::new(app.state.outside.gates.gate("nexusbank", "open"));
    for _ in 0..5 {
        let failing = async { Err::<(), _>(account_opening::outbound::CallError::timeout()) };
        gate.pass(failing).await.unwrap_err();
    }
    app.pass(TimeDelta::milliseconds(10_500));
    let response = sync(&app).send().await;
    assert_eq!(response.headers()["retry-after"], "20");
    problem(response, 503, "unavailable").await;
    app.pass(TimeDelta::seconds(20));
    let answer = answered(&app, sync(&app).plan(Plan::default())).await;
    assert_eq!(answer.status, 201, "the probe is let through");
    app.finish().await;
}

/// P19: of all callers that wait only one reads at a time, so that a table that is locked takes the pool from no webhook.
#[tokio::test]
async fn callers_that_wait_for_a_locked_table_hold_one_connection() {
    const CALLERS: i64 = 30;
    let app = TestApp::with().settings(|it| it.sync_wait = "60s".to_owned()).start().await;
    let callers = join_all((0..CALLERS).map(|_| sync(&app).plan(Plan::default()).send()));
    let most = async {
        let started = async || (count(&app, "select count(*) from account_openings").await == CALLERS).then_some(());
        eventually("all are started", started).await;
        let mut lock = app.pool.begin().await.unwrap();
        sqlx::query("lock table account_openings in access exclusive mode").execute(&mut *lock).await.unwrap();
        let reading = "select count(*) from pg_stat_activity
                        where datname = current_database() and wait_event_type = 'Lock' and query like '%openings::rows%'";
        eventually("one waits", async || (count(&app, reading).await > 0).then_some(())).await;
        let mut most = 0;
        // In this time each of them would read ten times.
        for _ in 0..100 {
            most = most.max(count(&app, reading).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lock.rollback().await.unwrap();
        app.pass(TimeDelta::seconds(60));
        most
    };
    let (answers, most) = tokio::join!(callers, most);
    assert_eq!(most, 1, "connections that wait");
    for answer in answers {
        assert_eq!(answer.status(), 202);
    }
    app.settle().await;
    app.finish().await;
}
