//! Commands and deliveries: one market's do not delay another's, and a sink's none of the others'.

use std::collections::BTreeMap;

use account_opening::db::outbox::{self, Claimed, NewWork};
use account_opening::domain::{OpeningId, Topic};
use account_opening::driver::Worker;
use account_opening::outbox::Relay;
use chrono::TimeDelta;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn one_markets_commands_delay_no_other_markets() {
    let app = TestApp::start().await;
    for _ in 0..150 {
        app.open().market("BE").start().await;
    }
    let other = app.open().market("NL").start().await;
    let relay = Relay::of(app.context.clone(), Topic::CreateProfile);
    let relayed = relay.tick().await.unwrap();
    assert!(relayed.claimed < 150, "the flood is longer than a batch: {relayed:?}");
    let sent: String = sqlx::query_scalar("select status from outbox where opening_id = $1")
        .bind(other.parse::<uuid::Uuid>().unwrap())
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(sent, "delivered", "in the next batch");
    app.finish().await;
}

const ONE: &str = "one.example";
const TWO: &str = "two.example";

/// Deliveries, most of them for one sink and some for another.
async fn deliveries(app: &TestApp) {
    let opening = app.open().start().await.parse().unwrap();
    let work = |sink: &str| NewWork {
        id: app.state.shell.ids.next(),
        opening_id: Some(OpeningId(opening)),
        topic: Topic::DeliverEvent,
        lane: sink.to_owned(),
        payload: json!({"sink": sink}),
    };
    let mut all: Vec<NewWork> = (0..100).map(|_| work(ONE)).collect();
    all.extend((0..10).map(|_| work(TWO)));
    let mut connection = app.pool.acquire().await.unwrap();
    outbox::insert(&mut connection, &all, app.now()).await.unwrap();
}

fn by_sink(claimed: &[Claimed]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for work in claimed {
        *counts.entry(work.payload["sink"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// P11: each is claimed once, and none is left.
#[tokio::test(flavor = "multi_thread")]
async fn one_sinks_deliveries_delay_no_others() {
    let app = TestApp::start().await;
    deliveries(&app).await;
    let claim = async |shut: &[&str], limit: i64| {
        let shut: Vec<String> = shut.iter().map(|it| (*it).to_owned()).collect();
        let (token, until) = (app.state.shell.ids.next(), app.now() + TimeDelta::minutes(1));
        let mut connection = app.pool.acquire().await.unwrap();
        let claimed = outbox::claim(&mut connection, Topic::DeliverEvent, token, app.now(), until, &shut, limit);
        let claimed = claimed.await.unwrap();
        (by_sink(&claimed), claimed.iter().any(|it| it.fills_share))
    };
    let counts = |one: usize, two: usize| {
        let counts = [(ONE.to_owned(), one), (TWO.to_owned(), two)];
        counts.into_iter().filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(claim(&[], 6).await, (counts(3, 3), true));
    assert_eq!(claim(&[ONE], 50).await, (counts(0, 7), false), "a shut lane has no share");
    assert_eq!(claim(&[ONE], 50).await, (counts(0, 0), false));
    assert_eq!(claim(&[], 50).await, (counts(50, 0), true));
    assert_eq!(claim(&[], 1_000).await, (counts(47, 0), false));
    // The deliveries are for no sink that exists: what was claimed here need not be sent.
    // Rows that are in no archive cannot be deleted, unless the triggers are off.
    sqlx::raw_sql(
        "begin; set local session_replication_role = replica; delete from outbox where topic = 'deliver_event'; commit",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.finish().await;
}
