//! The writer of what is refused: a batch that fails, work that is done twice, and the end of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use account_opening::db::refused_webhooks::{Cause, NewRefusedWebhook, insert, trim};
use account_opening::faults::{FaultPoint, Step, When};
use account_opening::refused_webhooks::{Refused, RefusedWebhooks};
use axum::http::Request;
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;

use super::{MIN_BYTES, held};
use crate::process::external::{connect, migrated};
use crate::support::{TestApp, eventually};

fn row(app: &TestApp, n: u8) -> NewRefusedWebhook {
    NewRefusedWebhook {
        id: app.state.shell.ids.next(),
        provider: "nexusbank".to_owned(),
        cause: Cause::SignatureWrong,
        received_at: app.now(),
        source: format!("192.0.2.{n}"),
        method: "POST".to_owned(),
        path: "/webhooks/nexusbank".to_owned(),
        headers: json!({}),
        body: Some(vec![n; 100]),
        body_bytes: Some(100),
        bytes: 700,
    }
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from rejected_requests").fetch_one(pool).await.unwrap()
}

/// A lost reply to the commit: the work is done again, and counts once.
#[tokio::test]
async fn the_same_request_twice_is_kept_and_counted_once() {
    let app = TestApp::start().await;
    let (one, two) = (row(&app, 1), row(&app, 2));
    let mut connection = app.state.cell.pool.acquire().await.unwrap();
    for batch in [vec![&one], vec![&one, &two], vec![&two, &one]] {
        insert(&mut connection, &batch).await.unwrap();
    }
    drop(connection);
    assert_eq!(held(&app).await, [("192.0.2.1".to_owned(), 700), ("192.0.2.2".to_owned(), 700)]);
    app.finish().await;
}

/// Another transaction holds the oldest row, as an erasure does: the writer skips it instead of waiting.
#[tokio::test]
async fn a_locked_row_is_passed_over_when_room_is_made() {
    let app = TestApp::start().await;
    let kept: Vec<NewRefusedWebhook> = (0..4).map(|_| row(&app, 1)).collect();
    let mut connection = app.state.cell.pool.acquire().await.unwrap();
    insert(&mut connection, &kept.iter().collect::<Vec<_>>()).await.unwrap();
    let mut holder = app.pool.begin().await.unwrap();
    sqlx::query("select 1 from rejected_requests where id = $1 for update")
        .bind(kept[0].id)
        .execute(&mut *holder)
        .await
        .unwrap();
    // Half of it is one row and a half.
    assert_eq!(trim(&mut connection, &["192.0.2.1".to_owned()], 2_100).await.unwrap(), 3);
    holder.rollback().await.unwrap();
    let left: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from rejected_requests").fetch_all(&app.pool).await.unwrap();
    assert_eq!(left, [kept[0].id]);
    drop(connection);
    held(&app).await;
    app.finish().await;
}

/// An error that would come again fails a batch: its requests are kept one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_database_refuses_is_kept_one_by_one() {
    let app = TestApp::start().await;
    let (seen, struck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, strikes) = (Arc::clone(&seen), Arc::clone(&struck));
    let faults = FaultPoint::new(move |place| {
        let at = (place.worker, place.step, place.when) == ("rejected", Step::Settle, When::Before);
        // The second batch, which is those that queued while the first was written.
        let strikes_now = at && count.fetch_add(1, Ordering::SeqCst) == 1;
        strikes_now.then(|| {
            strikes.fetch_add(1, Ordering::SeqCst);
            sqlx::Error::RowNotFound
        })
    });
    let (refused_webhooks, writer) =
        RefusedWebhooks::start(app.state.cell.pool.clone(), app.state.shell.ids.clone(), faults, MIN_BYTES);
    let keep = async || {
        let head = Request::post("/webhooks/x").body(()).unwrap().into_parts().0;
        let (cause, body) = (Cause::UnknownProvider, Some(b"{}".to_vec()));
        let refused = Refused { cause, provider: None, head: &head, body, received_at: app.now() };
        refused_webhooks.keep(refused, Duration::from_secs(20)).await;
    };
    let mut lock = app.pool.begin().await.unwrap();
    sqlx::query("lock table rejected_requests in access exclusive mode").execute(&mut *lock).await.unwrap();
    let release = async {
        eventually("the first is being written", async || (seen.load(Ordering::SeqCst) == 1).then_some(())).await;
        let others = join_all((0..10).map(|_| keep()));
        let unlock = async {
            tokio::task::yield_now().await;
            lock.rollback().await.unwrap();
        };
        tokio::join!(others, unlock);
    };
    tokio::join!(keep(), release);
    assert_eq!((struck.load(Ordering::SeqCst), rows(&app.pool).await), (1, 11));
    assert!(seen.load(Ordering::SeqCst) > 2, "the second was a batch");
    // The writer ends with its last handle.
    drop(refused_webhooks);
    tokio::time::timeout(Duration::from_secs(10), writer).await.expect("it ends").unwrap();
    app.finish().await;
}

/// SIGTERM: what was refused before it is kept, and what secrets did is written down.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_leaves_nothing_unwritten() {
    let (serve, url, schema) = migrated().await;
    let service = serve.start().await;
    for n in 0..20 {
        assert_eq!(service.webhook(&format!("msg_{n}")).await, 200);
    }
    let refused = (0..20).map(|_| service.client.post(format!("{}/webhooks/swan", service.public)).body("{}").send());
    assert!(join_all(refused).await.into_iter().all(|it| it.unwrap().status() == 404));
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let mut database = connect(&url, &schema).await;
    let written: (i64, i64) = sqlx::query_as(
        "select (select count(*) from rejected_requests), (select sum(uses)::bigint from webhook_secret_uses)",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(written, (20, 20));
}
