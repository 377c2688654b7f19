//! P23: a version that knows no list items and no decisions of operators runs beside this one, claims what this one has
//! inserted, and buries what it cannot read.

use serde_json::json;

use super::{complete, restart, step, waiting};
use crate::support::TestApp;

/// What the version before does with a fact that it cannot read.
async fn an_older_neighbour_works(app: &TestApp) -> u64 {
    let bury = "update inbox set status = 'dead', outcome = 'unreadable',
                    attempt_log = attempt_log || '[{\"class\": \"unreadable\", \"cause\": \"an older version\"}]'
                 where status = 'pending' and source in ('list', 'operator')";
    sqlx::query(bury).execute(&app.pool).await.unwrap().rows_affected()
}

#[tokio::test]
async fn what_an_older_neighbour_cannot_read_is_decided_by_a_newer_one_all_the_same() {
    let mut app = TestApp::start().await;
    let ids = waiting(&app, 4).await;
    let (decided, by_hand) = ids.split_at(3);
    complete(&app, decided);
    restart(&mut app);
    while step(&app.context).await.unwrap().page.is_some() {}
    let path = format!("/v1/account-openings/{}/resolve", by_hand[0]);
    let decision = json!({"outcome": "failed", "reason": "asked for twice", "evidence": "a call with the customer"});
    assert_eq!(app.post(&path, &decision).await.0, 202);
    assert!(an_older_neighbour_works(&app).await >= 4);

    app.settle().await;
    for id in decided {
        assert_eq!(app.opening(id).await["state"], "completed");
        assert!(app.history(id).await.iter().any(|line| line.ends_with("(provider_reported, list)")));
    }
    assert_eq!(app.opening(&by_hand[0]).await["state"], "failed");
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

/// What no version can read stays where a person sees it.
#[tokio::test]
async fn an_item_that_nobody_can_read_stays_dead() {
    let app = TestApp::start().await;
    let ids = waiting(&app, 1).await;
    let bury = "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, received_at,
                                   retry_from, status, outcome, next_attempt_at)
                values (gen_random_uuid(), 'list:nexusbank', 'list:x', 'list', 'nexusbank', 'not json', sha256('x'), '{}', $1,
                        $1, 'dead', 'unreadable', $1)";
    sqlx::query(bury).bind(app.now()).execute(&app.pool).await.unwrap();
    app.settle().await;
    assert_eq!(app.items("/v1/dead-letters").await.len(), 1);
    assert_eq!(app.opening(&ids[0]).await["state"], "awaiting_provider");
    app.finish().await;
}
