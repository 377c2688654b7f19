//! Starts that come at once are written at once, and each is answered as if it were alone.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::Value;
use sqlx::{Postgres, Transaction};

use crate::support::{TestApp, eventually, problem};

/// How many batches are written at once.
const PERMITS: i64 = 2;

/// Blocks inserts of openings until this transaction ends.
async fn hold(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut lock = app.pool.begin().await.unwrap();
    sqlx::query("lock table account_openings in share mode").execute(&mut *lock).await.unwrap();
    lock
}

/// Waits until so many writers wait for the lock.
async fn held_up(app: &TestApp, writers: i64) {
    let waiting =
        "select count(*) from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = 'account_openings'::regclass and not granted";
    eventually("writers that wait", async || {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&app.pool).await.unwrap();
        (waiting == writers).then_some(())
    })
    .await;
}

/// Sends requests that wait for a permit, since other starts hold both, and then go on together.
async fn together(app: &TestApp, requests: impl IntoIterator<Item = (String, &str)>) -> Vec<reqwest::Response> {
    let lock = hold(app).await;
    let others = join_all((0..PERMITS).map(|n| async move {
        // The starts go one after the other, so that each takes a permit.
        held_up(app, n).await;
        app.open().send().await
    }));
    let queue = async {
        held_up(app, PERMITS).await;
        let requests: Vec<_> = requests.into_iter().collect();
        let queued = requests.len();
        let mut sent = Vec::new();
        for (n, (key, customer)) in requests.into_iter().enumerate() {
            sent.push(async move {
                // In their order.
                eventually("those before it", async || (app.state.starts.waiting_now() == n).then_some(())).await;
                app.open().key(&key).customer(customer).send().await
            });
        }
        let release = async {
            eventually("starts that wait", async || (app.state.starts.waiting_now() == queued).then_some(())).await;
            lock.rollback().await.unwrap();
        };
        tokio::join!(join_all(sent), release).0
    };
    let (others, answers) = tokio::join!(others, queue);
    assert!(others.iter().all(|it| it.status() == 202), "{others:?}");
    answers
}

async fn body(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 202);
    response.json().await.unwrap()
}

/// P10: each with its history, command and key, in far fewer commits than there are openings.
#[tokio::test]
async fn starts_that_wait_together_share_a_commit() {
    let app = TestApp::start().await;
    let answers = together(&app, (0..40).map(|n| (format!("key-{n}"), "cus_1"))).await;
    let mut ids = BTreeSet::new();
    for answer in answers {
        ids.insert(body(answer).await["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 40);
    let commits: i64 = sqlx::query_scalar("select count(distinct xmin::text) from account_openings")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert!(commits <= PERMITS + 2, "{commits} commits");
    app.finish().await;
}

/// P9: one key is one opening, also where its requests meet in one batch.
#[tokio::test]
async fn of_one_key_in_a_batch_the_first_is_written_and_the_others_are_judged_by_it() {
    let app = TestApp::start().await;
    let keys = ["same", "same", "other", "same", "same"];
    let customers = ["cus_1", "cus_1", "cus_1", "cus_2", "cus_1"];
    let mut answers = together(&app, keys.map(str::to_owned).into_iter().zip(customers)).await.into_iter();
    let mut next = || answers.next().unwrap();
    let (first, again, other, another, last) = (next(), next(), next(), next(), next());
    let replayed = |it: &reqwest::Response| it.headers().get("idempotent-replayed").is_some();
    assert_eq!([&first, &again, &other, &last].map(replayed), [false, true, false, true]);
    let (first, again, other, last) = (body(first).await, body(again).await, body(other).await, body(last).await);
    assert_eq!((&first, &first), (&again, &last));
    assert_ne!(first["id"], other["id"]);
    problem(another, 422, "idempotency-key-reused").await;
    assert_eq!(app.items("/v1/account-openings").await.len(), 4, "with the two that held the others up");
    app.finish().await;
}

/// P15: what the database refuses for good fails alone.
#[tokio::test]
async fn one_start_that_is_refused_fails_none_of_its_neighbours() {
    let app = TestApp::start().await;
    sqlx::query("alter table account_openings add constraint no_poison check (customer_reference <> 'poison')")
        .execute(&app.pool)
        .await
        .unwrap();
    let customer = |n| if n == 7 { "poison" } else { "cus_1" };
    let answers = together(&app, (0..20).map(|n| (format!("key-{n}"), customer(n)))).await;
    for (n, answer) in answers.into_iter().enumerate() {
        if n == 7 {
            problem(answer, 500, "internal").await;
        } else {
            body(answer).await;
        }
    }
    assert_eq!(app.items("/v1/account-openings").await.len(), 2 + 19);
    app.finish().await;
}

/// P19: a replica that hangs during a commit delays only repeats of its own key.
#[tokio::test]
async fn a_locked_key_delays_no_other_start() {
    let app = TestApp::start().await;
    let first = app.open().start().await;
    let mut other = app.pool.begin().await.unwrap();
    sqlx::query(
        "select pg_advisory_xact_lock(hashtextextended(current_schema() || '.idempotency_keys.admin held', 0))",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    sqlx::query(
        "insert into idempotency_keys (token_name, key, digest, status, body, opening_id, expires_at)
         values ('admin', 'held', sha256('another'), 202, '', $1::uuid, 'infinity')",
    )
    .bind(&first)
    .execute(&mut *other)
    .await
    .unwrap();
    let held = async { app.open().key("held").send().await };
    let others = async {
        let waiting = "select exists (select from pg_stat_activity where datname = current_database()
             and query like '%idempotency::insert%'
                                         and wait_event_type = 'Lock')";
        eventually("a start that waits", async || {
            let waits: bool = sqlx::query_scalar(waiting).fetch_one(&app.pool).await.unwrap();
            waits.then_some(())
        })
        .await;
        for _ in 0..5 {
            app.open().start().await;
        }
        other.rollback().await.unwrap();
    };
    let (held, ()) = tokio::join!(held, others);
    body(held).await;
    app.finish().await;
}
