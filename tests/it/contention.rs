//! P18: what the database refuses for a moment is done again, within bounds; a COMMIT without an answer is looked up.

use sqlx::{AssertSqlSafe, Executor};
use world::Verdict;

use crate::support::TestApp;

/// `serialization_failure`, `deadlock_detected`, `lock_not_available`, `query_canceled`
const MOMENTARY: [&str; 4] = ["40001", "40P01", "55P03", "57014"];

/// From now on a statement that writes this table fails with `code`, `times` times in all. A sequence counts them, since it
/// does not go back with the transaction.
async fn fails(app: &TestApp, (table, verb): (&str, &str), code: &str, times: u32) {
    let sql = format!(
        "drop sequence if exists failures cascade;
         create sequence failures;
         create or replace function fail() returns trigger language plpgsql security definer set search_path from current as $$
         begin
             if nextval('failures') <= {times} then
                 raise exception 'a fault of the test' using errcode = '{code}';
             end if;
             return null;
         end $$;
         create or replace trigger fails before {verb} on {table} for each statement execute function fail()"
    );
    app.pool.acquire().await.unwrap().execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

async fn ends(app: &TestApp, table: &str) -> i64 {
    let mut connection = app.pool.acquire().await.unwrap();
    connection.execute(AssertSqlSafe(format!("drop trigger fails on {table}"))).await.unwrap();
    sqlx::query_scalar("select last_value from failures").fetch_one(&mut *connection).await.unwrap()
}

/// Every kind of write meets every transient error twice, invisibly to callers.
#[tokio::test]
async fn a_momentary_error_is_tried_again_and_noticed_by_no_caller() {
    let app = TestApp::start().await;
    for code in MOMENTARY {
        fails(&app, ("account_openings", "insert"), code, 2).await;
        let id = app.open().start().await;
        assert_eq!(ends(&app, "account_openings").await, 3, "{code}: twice in vain, then well");

        // The settlement of a call, and the decision about it.
        fails(&app, ("outbox", "update"), code, 0).await;
        app.settle().await;
        ends(&app, "outbox").await;
        let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();

        fails(&app, ("inbox", "insert"), code, 2).await;
        app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
        assert_eq!(ends(&app, "inbox").await, 3, "{code}");

        fails(&app, ("account_openings", "update"), code, 2).await;
        app.settle().await;
        assert!(ends(&app, "account_openings").await >= 3, "{code}");
        let opening = app.opening(&id).await;
        assert_eq!(opening["provider_status"], "IN_PROGRESS", "{code}: {opening}");
        app.world.decide(&id, &Verdict::complete()).unwrap().told().await;
        app.settle().await;
    }
    app.finish().await;
}

/// Retries are bounded: a permanent error reaches the caller, and a refused write leaves nothing behind.
#[tokio::test]
async fn an_error_that_stays_is_told_in_the_end() {
    let app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    fails(&app, ("inbox", "insert"), "40001", u32::MAX).await;
    let response = app.webhook().id("msg_1").status(&tracking_id, "IN_PROGRESS").send().await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!((2..=10).contains(&ends(&app, "inbox").await), "it is not tried for ever");

    fails(&app, ("account_openings", "insert"), "40P01", u32::MAX).await;
    let response = app.open().key("refused").send().await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert!((2..=10).contains(&ends(&app, "account_openings").await));
    assert_eq!(app.items("/v1/account-openings").await.len(), 1);

    // Relieved, both are taken.
    app.webhook().id("msg_1").status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.open().key("refused").start().await;
    app.finish().await;
}

/// A COMMIT took effect but its reply was lost: exactly one opening, one fact, one of every effect exists.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up_and_not_done_twice() {
    let app = TestApp::with().through_proxy().start().await;
    let proxy = app.proxy.as_ref().unwrap();
    proxy.lose_commits(1);
    let response = app.open().key("lost").send().await;
    assert_eq!((response.status().as_u16(), proxy.seen().commits_lost), (202, 1));
    let body: serde_json::Value = response.json().await.unwrap();
    let id = body["id"].as_str().unwrap();
    assert_eq!(app.items("/v1/account-openings").await.len(), 1, "its own repeat found it");

    // The first commit of every worker that has something to commit is lost, and the next, until all is done.
    for _ in 0..20 {
        proxy.lose_commits(1);
        app.try_round().await;
        proxy.lose_commits(0);
        if app.opening(id).await["state"] == "awaiting_provider" {
            break;
        }
        app.pass(chrono::TimeDelta::minutes(1));
    }
    assert!(proxy.seen().commits_lost >= 4, "a commit of each step until here was lost: {:?}", proxy.seen());
    let opening = app.opening(id).await;
    assert_eq!(opening["state"], "awaiting_provider", "{opening}");
    let tracking_id = opening["provider_reference"].as_str().unwrap();

    let before = proxy.seen().commits_lost;
    proxy.lose_commits(1);
    let webhook = || app.webhook().id("msg_1").status(tracking_id, "IN_PROGRESS");
    assert_eq!(webhook().answered().await, 503, "it is there, but nobody knows: the bank comes again");
    assert_eq!(proxy.seen().commits_lost, before + 1);
    webhook().acknowledged().await;
    let stored: Vec<_> = app.inbox().await.into_iter().filter(|it| it.event_id == "msg_1").collect();
    assert_eq!(stored.len(), 1, "P3");

    app.settle().await;
    app.world.decide(id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    assert_eq!(app.opening(id).await["state"], "completed");
    app.finish().await;
}
