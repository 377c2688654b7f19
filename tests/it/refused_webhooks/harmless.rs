//! Every refused webhook is answered in time and leaves signed ones alone, whether or not it could be stored.

use std::time::{Duration, Instant};

use chaos::Cut;
use futures::StreamExt;
use sqlx::{Postgres, Transaction};

use super::{client_from, forge, held};
use crate::support::{TestApp, eventually};

/// Nothing can be written to the table until the transaction ends.
async fn lock_table(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut transaction = app.pool.begin().await.unwrap();
    sqlx::query("lock table rejected_requests in access exclusive mode").execute(&mut *transaction).await.unwrap();
    transaction
}

/// The queue fills up: each is refused in time all the same, and signed ones are taken.
#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_can_be_kept_refusals_come_in_time_and_signed_webhooks_are_taken() {
    let app = TestApp::start().await;
    let lock = lock_table(&app).await;
    let client = client_from([127, 0, 0, 1]);
    let refusals = (0..2_000).map(|n| {
        let (app, client) = (&app, &client);
        async move {
            let started = Instant::now();
            assert_eq!(forge(client, app, &format!("msg_{n}"), "{}").await, 401);
            started.elapsed()
        }
    });
    let flood = async { futures::stream::iter(refusals).buffer_unordered(64).collect::<Vec<_>>().await };
    let signed = async {
        let mut slowest = Duration::ZERO;
        for n in 0..50 {
            let started = Instant::now();
            app.webhook().id(&format!("signed_{n}")).body(format!("{{\"type\":\"x\",\"n\":{n}}}")).acknowledged().await;
            slowest = slowest.max(started.elapsed());
        }
        slowest
    };
    let most = async {
        let waits =
            "select count(*) from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = 'rejected_requests'::regclass and not granted";
        let mut most = 0_i64;
        // Until the flood waits, and for as long as some of it lasts.
        for look in 0.. {
            most = most.max(sqlx::query_scalar(waits).fetch_one(&app.pool).await.unwrap());
            if most > 0 && look > 100 {
                break;
            }
        }
        most
    };
    let (refused, slowest, most) = tokio::join!(flood, signed, most);
    assert_eq!(most, 1, "connections that keep what is refused");
    // Far below ACK_TIMEOUT, on a machine that does much else.
    let last = refused.iter().max().unwrap();
    assert!(*last < Duration::from_secs(3) && slowest < Duration::from_secs(3), "{last:?} {slowest:?}");
    assert_eq!(app.inbox().await.len(), 50);
    lock.rollback().await.unwrap();
    // The requests that had found room in the queue are kept now; the rest was let go.
    let kept = eventually("what waited is kept", async || {
        let kept: i64 =
            sqlx::query_scalar("select count(*) from rejected_requests").fetch_one(&app.pool).await.unwrap();
        (kept > 1_000).then_some(kept)
    });
    assert!(kept.await <= 1_024 + 256);
    held(&app).await;
    app.finish().await;
}

/// The database is away: refusals come in time, and once it is back they are kept again.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_refusals_come_in_time() {
    let app = TestApp::with().through_proxy().start().await;
    let proxy = app.proxy.as_ref().unwrap();
    proxy.delay(Duration::from_mins(1));
    for n in 0..5 {
        let started = Instant::now();
        assert_eq!(forge(&app.client, &app, &format!("msg_{n}"), "{}").await, 401);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
    proxy.delay(Duration::ZERO);
    proxy.cut(Cut::Both);
    eventually("kept again", async || {
        assert_eq!(forge(&app.client, &app, "msg_after", "{}").await, 401);
        let after = "select exists (select from rejected_requests where headers ->> 'webhook-id' = 'msg_after')";
        let kept: bool = sqlx::query_scalar(after).fetch_one(&app.pool).await.unwrap();
        kept.then_some(())
    })
    .await;
    held(&app).await;
    app.finish().await;
}

/// A flood of forged requests while the bank sends: every signed one is taken, and soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_requests_leaves_signed_ones_alone() {
    let app = TestApp::start().await;
    let client = client_from([127, 0, 0, 2]);
    let large = "x".repeat(10_000);
    let flood = async {
        let forged = (0..1_500).map(|n| {
            let (app, client, large) = (&app, &client, &large);
            async move { forge(client, app, &format!("msg_{n}"), large).await }
        });
        futures::stream::iter(forged).buffer_unordered(48).collect::<Vec<_>>().await
    };
    let signed = async {
        let mut took = Vec::new();
        for n in 0..100 {
            let started = Instant::now();
            app.webhook().id(&format!("signed_{n}")).body(format!("{{\"type\":\"x\",\"n\":{n}}}")).acknowledged().await;
            took.push(started.elapsed());
        }
        took.sort_unstable();
        took
    };
    let (refused, took) = tokio::join!(flood, signed);
    assert!(refused.iter().all(|it| *it == 401));
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    assert_eq!(app.inbox().await.len(), 100);
    app.finish().await;
}
