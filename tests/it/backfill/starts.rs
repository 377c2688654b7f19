//! At every start: since the last webhook, less an overlap.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use account_opening::clock::Time;
use account_opening::db::backfills::Cause;
use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Step, When};
use account_opening::workers::webhook_marks;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use world::Verdict;

use super::{ask_for, backfills, complete, completed, lookups, restart, started, step, waiting};
use crate::support::TestApp;

fn since(backfill: &Value) -> Time {
    backfill["since"].as_str().unwrap().parse().unwrap()
}

/// The proof: the bank decides 200 openings, tells a service that is not there until it gives up, and the next start has them.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_of_a_downtime_are_read_from_the_list_at_the_start_without_a_poll() {
    let mut app = TestApp::start().await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(app.open().start().await);
    }
    app.settle().await;
    app.world.deliver_to("http://127.0.0.1:9/webhooks/nexusbank");
    app.pass(TimeDelta::minutes(10));
    let decided: Vec<_> = ids.iter().map(|id| app.world.decide(id, &Verdict::complete()).unwrap().told()).collect();
    assert!(join_all(decided).await.iter().all(Option::is_none));
    assert_eq!(app.world.counts().webhooks_given_up, 200);
    assert_eq!(completed(&app).await, 0);

    restart(&mut app);
    app.settle().await;
    assert_eq!(completed(&app).await, 200);
    assert_eq!((app.world.counts().lists, lookups(&app)), (2, 0), "two pages, and nobody was polled");
    for id in &ids {
        let history = app.history(id).await;
        assert_eq!(history[3], "awaiting_provider -> issuing_card (provider_reported, list)");
    }
    let done = &backfills(&app).await[0];
    let expected = json!({"cause": "start", "status": "done", "pages": 2, "items": 200, "new_facts": 200});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&done[name], value, "{done}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_second_start_finds_everything_there_and_changes_nothing() {
    let mut app = TestApp::start().await;
    let ids = waiting(&app, 3).await;
    complete(&app, &ids);
    restart(&mut app);
    app.settle().await;
    let before = app.opening(&ids[0]).await;
    app.pass(TimeDelta::seconds(1));
    restart(&mut app);
    // Everything is at its end, and no webhook ever came: this start owes nothing to anybody.
    app.settle().await;
    assert_eq!(backfills(&app).await.len(), 1);
    app.webhook()
        .completed(before["provider_reference"].as_str().unwrap(), before["iban"].as_str().unwrap())
        .acknowledged()
        .await;
    app.settle().await;
    app.pass(TimeDelta::seconds(1));
    restart(&mut app);
    app.settle().await;
    let all = backfills(&app).await;
    assert_eq!((all.len(), &all[0]["items"], &all[0]["new_facts"]), (2, &json!(3), &json!(0)), "{all:?}");
    assert_eq!(app.opening(&ids[0]).await, before);
    assert_eq!((app.world.counts().cards, app.items("/v1/cases").await.len()), (3, 0));
    app.finish().await;
}

/// A replica that starts after the backfill is done makes a short one of its own: webhooks may have been missed in between.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_share_one_backfill() {
    let app = TestApp::start().await;
    let ids = waiting(&app, 5).await;
    complete(&app, &ids);
    let replicas: Vec<_> = (0..4).map(|_| started(&app)).collect();
    for it in &replicas {
        it.webhook_activity.asked();
    }
    let asked = join_all(replicas.iter().map(|it| ask_for(it, "nexusbank", Cause::Start, None))).await;
    let asked: BTreeSet<_> = asked.into_iter().map(|it| it.unwrap().unwrap()).collect();
    assert_eq!(asked.len(), 1);
    join_all(replicas.iter().map(async |it| step(it).await.unwrap())).await;
    app.settle().await;
    assert_eq!((backfills(&app).await.len(), app.world.counts().lists), (1, 1));
    assert_eq!(completed(&app).await, 5);
    app.finish().await;
}

#[tokio::test]
async fn a_start_without_a_waiting_opening_asks_for_nothing() {
    let mut app = TestApp::start().await;
    restart(&mut app);
    app.settle().await;
    assert!(backfills(&app).await.is_empty());
    assert_eq!(app.world.counts().lists, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_start_goes_back_to_the_last_webhook_or_to_the_oldest_opening_that_waits_less_the_overlap() {
    let mut app = TestApp::with().settings(|it| it.catch_up_overlap = "7m".to_owned()).start().await;
    let oldest = app.now();
    let (_, tracking_id) = app.open().waiting().await;
    app.pass(TimeDelta::minutes(1));
    app.open().waiting().await;
    restart(&mut app);
    app.settle().await;
    assert_eq!(since(&backfills(&app).await[0]), oldest - TimeDelta::minutes(7));

    app.pass(TimeDelta::minutes(5));
    let heard = app.now();
    app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    app.pass(TimeDelta::minutes(5));
    restart(&mut app);
    app.settle().await;
    assert_eq!(since(&backfills(&app).await[0]), heard - TimeDelta::minutes(7));
    app.finish().await;
}

/// A mark of a clock that ran ahead says nothing, and the next webhook takes its place.
#[tokio::test]
async fn a_mark_in_the_future_hides_nothing_that_was_missed() {
    let mut app = TestApp::start().await;
    let oldest = app.now();
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    sqlx::query("update webhook_marks set last_received_at = last_received_at + interval '5 days'")
        .execute(&app.pool)
        .await
        .unwrap();
    app.pass(TimeDelta::hours(1));
    restart(&mut app);
    app.settle().await;
    assert_eq!(since(&backfills(&app).await[0]), oldest - TimeDelta::minutes(10));

    let heard = app.now();
    let again = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "again": heard});
    app.webhook().status(&tracking_id, "IN_PROGRESS").data(again).acknowledged().await;
    app.settle().await;
    let marked: Vec<Time> =
        sqlx::query_scalar("select last_received_at from webhook_marks").fetch_all(&app.pool).await.unwrap();
    assert_eq!(marked, [heard]);
    app.finish().await;
}

/// A webhook that comes right after the start must not move the mark that says where the backfill starts.
#[tokio::test]
async fn a_start_that_the_database_did_not_let_ask_asks_again_and_from_where_it_would_have() {
    let mut app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    let ids = waiting(&app, 2).await;
    app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    let heard = app.now();
    complete(&app, &ids);
    app.pass(TimeDelta::minutes(20));

    restart(&mut app);
    let away = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&away);
    app.context.shell.faults = FaultPoint::new(move |place| {
        let strikes = shared.load(Ordering::SeqCst) && place.worker == "catch_up" && place.when == When::Before;
        (strikes && place.step == Step::Commit).then_some(sqlx::Error::PoolTimedOut)
    });
    for _ in 0..3 {
        assert!(step(&app.context).await.is_err());
        // Other work goes on meanwhile.
        app.webhook()
            .status(&tracking_id, "IN_PROGRESS")
            .data(json!({
                "account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "again": app.now()
            }))
            .acknowledged()
            .await;
        tick(&account_opening::inbox::InboxWorker::new(app.context.clone())).await.unwrap();
        webhook_marks::exchange(&app.context).await.unwrap();
        app.pass(TimeDelta::minutes(1));
    }
    away.store(false, Ordering::SeqCst);
    app.settle().await;
    assert_eq!(since(&backfills(&app).await[0]), heard - TimeDelta::minutes(10));
    assert_eq!((completed(&app).await, lookups(&app)), (2, 0));
    app.finish().await;
}

/// A webhook that was stored and not decided is not lost: it is decided, and what the list says of the same is a duplicate.
#[tokio::test]
async fn a_webhook_that_was_stored_but_not_decided_before_the_end_counts_once() {
    let mut app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    assert_eq!(app.world.decide(&id, &Verdict::complete()).unwrap().told().await, Some(200));
    restart(&mut app);
    let page = step(&app.context).await.unwrap();
    assert_eq!(page.items, ["new"]);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let facts: Vec<(String, Option<String>)> = sqlx::query_as(
        "select source, outcome from inbox where opening_id = $1::uuid and source in ('webhook', 'list') order by id",
    )
    .bind(&id)
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let mut outcomes: Vec<String> = facts.into_iter().filter_map(|(_, outcome)| outcome).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["applied", "duplicate"]);
    assert!(app.items("/v1/cases").await.is_empty());
    app.finish().await;
}
