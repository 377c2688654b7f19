//! Several replicas and manual changes: the counters always match the rows.

use std::time::Duration;

use futures::StreamExt;

use super::{MIN_BYTES, client_from, held, successor};
use crate::support::{TestApp, eventually};

/// Two replicas write at once, each at its bound, while the test deletes rows as an erasure does. There is no deadlock, no
/// counter that is off, and never more than the bound at any commit.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_and_an_erasure_that_write_at_once_keep_the_counters_right() {
    let app = TestApp::with().settings(|it| it.rejected_max_bytes = MIN_BYTES.to_string()).start().await;
    let other = successor(&app, |_| {}).await;
    let urls = [&app.public, &other.public];
    let clients = [client_from([127, 0, 0, 1]), client_from([127, 0, 0, 2]), client_from([127, 0, 0, 3])];
    let sent =
        (0..1_200_usize).map(|n| {
            let request = clients[n % 3].post(format!("{}/webhooks/nexusbank", urls[n % 2]));
            let body = format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(n % 7 * 300));
            async move {
                request.header("content-type", "application/json").body(body).send().await.unwrap().status().as_u16()
            }
        });
    let flood = async { futures::stream::iter(sent).buffer_unordered(24).collect::<Vec<_>>().await };
    let watch = async {
        for n in 0..60 {
            let delete = "delete from rejected_requests where position($1::bytea in body) > 0";
            sqlx::query(delete).bind(format!("\"n\":{n}").into_bytes()).execute(&app.pool).await.unwrap();
            let (total, rows): (i64, i64) = sqlx::query_as(
                "select (select bytes from rejected_total), (select coalesce(sum(bytes), 0)::bigint from rejected_requests)",
            )
            .fetch_one(&app.pool)
            .await
            .unwrap();
            assert!(total == rows && total <= MIN_BYTES, "{total} {rows}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (answers, ()) = tokio::join!(flood, watch);
    assert!(answers.iter().all(|it| *it == 401));
    let kept = eventually("both have written", async || {
        let kept: i64 =
            sqlx::query_scalar("select count(*) from rejected_requests").fetch_one(&app.pool).await.unwrap();
        (kept > 50).then_some(kept)
    });
    assert!(kept.await < 1_200);
    assert!(held(&app).await.iter().map(|(_, bytes)| bytes).sum::<i64>() <= MIN_BYTES);
    // Emptying the table leaves no source behind.
    sqlx::query("truncate rejected_requests").execute(&app.pool).await.unwrap();
    assert_eq!(held(&app).await, []);
    app.finish().await;
}
