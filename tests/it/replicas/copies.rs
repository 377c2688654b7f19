//! The same message, very often, everywhere at once.

use std::time::Duration;

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::PgConnection;
use world::{Options, Plan, Planner, Simulator};

use crate::process::external::{connect, migrated};
use crate::support::process::{WITHIN, eventually};
use crate::support::service::Service;

const COPIES: usize = 200;
const IBAN: &str = "BE68539007547034";

/// P3, P5: 200 copies at once over three instances are all acknowledged, stored once and applied once; again when no burst
/// cache knows them any more, it is the inbox that does.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_copies_over_three_instances_are_stored_once_and_applied_once() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::by_hand());
    let world = Simulator::start(options).await.unwrap();
    let (serve, url, schema) = migrated().await;
    let serve = serve
        .outside_world(&world.base_url())
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("BURST_DEDUP_TTL", "1s");
    let (one, two, three) = tokio::join!(serve.start(), serve.start(), serve.start());
    let instances = [one, two, three];
    let mut database = connect(&url, &schema).await;

    let (status, _, opening) = instances[0].open("order-1").await;
    assert_eq!(status, 202, "{opening}");
    let id = opening["id"].as_str().unwrap();
    let waiting = instances[0].reaches(id, "awaiting_provider").await;
    let data = json!({"account_opening_request_id": waiting["provider_reference"], "status": "COMPLETED",
                      "iban": IBAN, "bic": "NEXUBEBB"});
    let copy = async |instance: &Service| instance.bank().send("msg_1", &data).await.unwrap().status().as_u16();

    let copies = (0..COPIES).map(|n| copy(&instances[n % instances.len()]));
    assert_eq!(join_all(copies).await, [200; COPIES]);
    instances[1].reaches(id, "completed").await;
    let counted = Counted::on(&instances).await;
    assert_eq!(counted.accepted, 1, "{counted:?}");
    assert_eq!(counted.accepted + counted.duplicates + counted.burst_duplicates, COPIES, "{counted:?}");
    let first = Effects::of(&mut database, id).await;
    assert_eq!(first, Effects { rows: 1, applied: 1, versions: 5, cards: 1, cases: 0 });

    // Each instance, until its own cache has forgotten.
    for instance in &instances {
        let before = Counted::on(std::slice::from_ref(instance)).await.duplicates;
        eventually("a copy that the inbox knows and the burst cache does not", WITHIN, async || {
            assert_eq!(copy(instance).await, 200);
            (Counted::on(std::slice::from_ref(instance)).await.duplicates > before).then_some(())
        })
        .await;
    }
    let copies = (0..COPIES).map(|n| copy(&instances[n % instances.len()]));
    assert_eq!(join_all(copies).await, [200; COPIES]);
    nothing_is_pending(&mut database).await;
    assert_eq!(Effects::of(&mut database, id).await, first);
    assert_eq!(Counted::on(&instances).await.accepted, 1);

    let ledger = world.ledger();
    assert_eq!((ledger.counts.cards, ledger.counts.double_effects), (1, 0), "P9: {:?}", ledger.counts);
    for instance in instances {
        let ended = instance.stop().await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    }
    world.stop().await;
}

/// The instances' counts of the webhooks that they took.
#[derive(Debug, Default)]
struct Counted {
    accepted: usize,
    duplicates: usize,
    burst_duplicates: usize,
}

impl Counted {
    async fn on(instances: &[Service]) -> Self {
        let mut all = Self::default();
        for instance in instances {
            let (_, metrics) = instance.status(Method::GET, &format!("{}/metrics", instance.internal)).await;
            let value = |outcome: &str| -> usize {
                let label = format!("outcome=\"{outcome}\"");
                let counts = |line: &&str| line.starts_with("account_opening_webhooks_total") && line.contains(&label);
                let line = metrics.lines().find(counts);
                line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
            };
            all.accepted += value("accepted");
            all.duplicates += value("duplicate");
            all.burst_duplicates += value("burst_duplicate");
        }
        all
    }
}

/// The effects of the message.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Effects {
    /// In the inbox.
    rows: i64,
    /// Of those, decided to mean something.
    applied: i64,
    /// Steps of the opening: it was started, got its profile, was submitted, got its account, got its card.
    versions: i64,
    /// Commands to issue a card.
    cards: i64,
    cases: i64,
}

impl Effects {
    async fn of(connection: &mut PgConnection, id: &str) -> Self {
        sqlx::query_as(
            "select (select count(*) from inbox where source = 'webhook') as rows,
                    (select count(*) from inbox where source = 'webhook' and outcome = 'applied') as applied,
                    (select count(*) from opening_history where opening_id = $1::uuid) as versions,
                    (select count(*) from outbox where opening_id = $1::uuid and topic = 'issue_card') as cards,
                    (select count(*) from cases) as cases",
        )
        .bind(id)
        .fetch_one(connection)
        .await
        .unwrap()
    }
}

/// Every fact and every command has come to its end.
async fn nothing_is_pending(connection: &mut PgConnection) {
    let pending = "select (select count(*) from inbox where status = 'pending')
                        + (select count(*) from outbox where status = 'pending')";
    let mut settled = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while sqlx::query_scalar::<_, i64>(pending).fetch_one(&mut *connection).await.unwrap() > 0 {
            settled.tick().await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.expect("nothing is pending in the end");
}
