//! Webhooks beyond the capacity are told to come again, and nothing grows without end. (P19)

use account_opening::workers::backlog;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;

use super::{batch, flood, waiting};
use crate::support::TestApp;

/// 30 KiB and what a fact takes beside its body: two of them fill 64 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_in_bytes() {
    let app = TestApp::with()
        .settings(|it| {
            it.webhook_max_bytes = "65536".to_owned();
            it.ingest_queue_bytes = "65536".to_owned();
            it.ack_timeout = "60s".to_owned();
        })
        .start()
        .await;
    let send = async |n: usize| {
        let data = json!({"account_opening_request_id": format!("aor_{n}"), "status": "IN_PROGRESS",
                          "padding": "x".repeat(30 * 1_024 - 200)});
        let response = app.webhook().id(&format!("msg_{n}")).data(data).send().await;
        (n, response.status().as_u16(), response.headers().contains_key("retry-after"))
    };
    let lock = app.lock_inbox().await;
    let mut answers: FuturesUnordered<_> = (0..10).map(&send).collect();
    let mut refused = Vec::new();
    for _ in 0..8 {
        let (n, status, says_when) = answers.next().await.unwrap();
        assert_eq!((status, says_when), (503, true), "the inbox is locked: only who finds no room is answered");
        refused.push(n);
    }
    lock.rollback().await.unwrap();
    let taken: Vec<u16> = answers.map(|(_, status, _)| status).collect().await;
    assert_eq!(taken, [200, 200]);
    assert_eq!(app.inbox().await.len(), 2);
    for n in refused {
        assert_eq!(send(n).await.1, 200, "and who comes again is taken");
    }
    assert_eq!(app.inbox().await.len(), 10);
    app.finish().await;
}

/// Beyond the bound nothing is taken from outside; below it nothing is refused, and what we make ourselves never is.
#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_whose_workers_do_not_keep_up_takes_no_more_until_they_do() {
    let app = TestApp::with().settings(|it| it.inbox_backlog = "100".to_owned()).start().await;
    let look = async || backlog::check(&app.context, app.state.ingest.backlog()).await.unwrap();
    let send = async |n: usize| {
        let data = json!({"account_opening_request_id": format!("aor_of_nobody_{n}"), "status": "IN_PROGRESS"});
        app.webhook().data(data).send().await
    };
    let strangers: Vec<String> = (0..99).map(|n| format!("aor_{n}")).collect();
    flood(&app, &strangers, strangers.len()).await;
    assert_eq!(look().await, 99);
    assert_eq!(send(99).await.status(), 200, "99 are not 100");
    assert_eq!(look().await, 100);
    let refused = send(100).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(send(99).await.status(), 200, "what is stored already is not refused");
    assert_eq!(waiting(&app).await, 100);

    // Facts of our own go on: the profile is made, and known.
    let id = app.open().start().await;
    while waiting(&app).await == 100 {
        app.try_round().await;
    }
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");

    // All of them were put off: what waits for later is not behind.
    assert_eq!(batch(&app).await.claimed, 0);
    assert_eq!((look().await, waiting(&app).await), (0, 100));
    assert_eq!(send(100).await.status(), 200);
    app.finish().await;
}
