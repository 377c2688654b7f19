//! The share that a claim takes of each lane, and what it leaves to others.

use std::collections::{BTreeMap, BTreeSet};

use account_opening::db::inbox::{self, Claim, Pending};
use chrono::TimeDelta;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::flood;
use crate::support::TestApp;

/// Facts without an opening, so many in each of these lanes.
async fn fill(app: &TestApp, lanes: &[(&str, usize)]) {
    let names: Vec<&str> = lanes.iter().flat_map(|(lane, facts)| vec![*lane; *facts]).collect();
    let strangers: Vec<String> = (0..names.len()).map(|n| format!("aor_{n}")).collect();
    flood(app, &strangers, names.len()).await;
    sqlx::query(
        "update inbox set lane = n.lane
           from unnest($1::text[]) with ordinality as n (lane, number)
          where provider_ref = 'aor_' || number - 1",
    )
    .bind(names)
    .execute(&app.pool)
    .await
    .unwrap();
}

async fn claim(app: &TestApp, connection: &mut PgConnection, limit: i64) -> Vec<Pending> {
    inbox::claim(connection, app.now(), limit).await.unwrap().facts
}

/// How many of each lane.
async fn of_lanes(app: &TestApp, claimed: &[Pending]) -> BTreeMap<String, i64> {
    let ids: Vec<Uuid> = claimed.iter().map(|it| it.id).collect();
    let rows = sqlx::query("select lane, count(*) from inbox where id = any($1) group by lane").bind(ids);
    rows.fetch_all(&app.pool).await.unwrap().into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn shares(app: &TestApp, limit: i64) -> BTreeMap<String, i64> {
    let mut transaction = app.pool.begin().await.unwrap();
    let Claim { facts, may_be_more } = inbox::claim(&mut transaction, app.now(), limit).await.unwrap();
    transaction.rollback().await.unwrap();
    assert!(facts.is_sorted_by_key(|it| it.id), "in the order of receipt");
    let due: i64 = sqlx::query_scalar("select count(*) from inbox where due_at <= $1")
        .bind(app.now())
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert!(may_be_more || i64::try_from(facts.len()).unwrap() == due, "what is left is told");
    of_lanes(app, &facts).await
}

fn are(lanes: &[(&str, i64)]) -> BTreeMap<String, i64> {
    lanes.iter().map(|(lane, facts)| ((*lane).to_owned(), *facts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lane_has_an_equal_share() {
    let app = TestApp::start().await;
    fill(&app, &[("BE", 300)]).await;
    assert_eq!(shares(&app, 64).await, are(&[("BE", 64)]), "one lane alone takes all");
    assert_eq!(shares(&app, 1_000).await, are(&[("BE", 300)]));
    fill(&app, &[("BE", 300), ("", 10), ("NL", 3), ("hot/7", 200)]).await;
    assert_eq!(shares(&app, 4).await, are(&[("", 1), ("BE", 1), ("NL", 1), ("hot/7", 1)]));
    assert_eq!(shares(&app, 64).await, are(&[("", 10), ("BE", 16), ("NL", 3), ("hot/7", 16)]));
    assert_eq!(shares(&app, 2_000).await, are(&[("", 10), ("BE", 300), ("NL", 3), ("hot/7", 200)]), "all there is");
    app.finish().await;
}

/// With more lanes than places it is the turn of each.
#[tokio::test(flavor = "multi_thread")]
async fn more_lanes_than_places_take_turns() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..40).map(|n| format!("X{n}")).collect();
    fill(&app, &names.iter().map(|it| (it.as_str(), 2)).collect::<Vec<_>>()).await;
    let mut served = BTreeSet::new();
    for _ in 0..50 {
        let shares = shares(&app, 10).await;
        assert!(shares.len() == 10 && shares.values().all(|it| *it == 1), "{shares:?}");
        served.extend(shares.into_keys());
        app.pass(TimeDelta::milliseconds(1));
    }
    assert_eq!(served.len(), names.len());
    app.finish().await;
}

/// Facts that wait for later take no place, and a lane with nothing else takes no share.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_without_due_facts_takes_nothing() {
    let app = TestApp::start().await;
    fill(&app, &[("BE", 70), ("NL", 30), ("PT", 30)]).await;
    sqlx::query("update inbox set due_at = $1 where lane in ('NL', 'PT')")
        .bind(app.now() + TimeDelta::hours(1))
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(shares(&app, 64).await, are(&[("BE", 64)]));
    app.pass(TimeDelta::hours(1));
    assert_eq!(shares(&app, 63).await, are(&[("BE", 21), ("NL", 21), ("PT", 21)]));
    app.finish().await;
}

/// P3: and what one does not return, it does not hold.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once_hold_what_they_return_and_nothing_else() {
    let app = TestApp::start().await;
    fill(&app, &[("BE", 100), ("NL", 30), ("PT", 2)]).await;
    let (mut one, mut two, mut rest) =
        (app.pool.begin().await.unwrap(), app.pool.begin().await.unwrap(), app.pool.begin().await.unwrap());
    let ids = |claimed: Vec<Pending>| claimed.into_iter().map(|it| it.id).collect::<BTreeSet<_>>();
    let (first, second) = (ids(claim(&app, &mut one, 50).await), ids(claim(&app, &mut two, 50).await));
    assert_eq!((first.len(), second.len()), (16 + 16 + 2, 16 + 14));
    assert!(first.is_disjoint(&second));
    let free = "select id from inbox where status = 'pending' for update skip locked";
    let free: BTreeSet<Uuid> = sqlx::query_scalar(free).fetch_all(&mut *rest).await.unwrap().into_iter().collect();
    assert_eq!(free.len(), 132 - 64);
    rest.rollback().await.unwrap();
    // Facts that another claim has let go are there for the next.
    one.rollback().await.unwrap();
    let mut again = app.pool.begin().await.unwrap();
    let third = ids(claim(&app, &mut again, 1_000).await);
    assert_eq!(third, first.union(&free).copied().collect());
    again.rollback().await.unwrap();
    two.rollback().await.unwrap();
    app.finish().await;
}

/// A plan by id must not scan the queue. The statistics that mislead the planner are of an empty queue, which then fills.
#[tokio::test(flavor = "multi_thread")]
async fn facts_that_are_claimed_by_id_are_found_without_the_queues_index() {
    let app = TestApp::with().unused_cell().start().await;
    let settled =
        "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, received_at, retry_from,
                            status, outcome, settled_at)
         select gen_random_uuid(), 'herd', n::text, 'poll', 'nexusbank', '', sha256(''), '{}', $1, $1, 'ignored', 'unknown', $1
           from generate_series(1, 2000) as n";
    sqlx::query(settled).bind(app.now()).execute(&app.pool).await.unwrap();
    sqlx::query("analyze inbox").execute(&app.pool).await.unwrap();
    fill(&app, &[("BE", 300)]).await;

    let mut transaction = app.pool.begin().await.unwrap();
    let ids = "select id from inbox where lane = 'BE' order by id limit 64";
    let ids: Vec<Uuid> = sqlx::query_scalar(ids).fetch_all(&mut *transaction).await.unwrap();
    let before = scans_of_queue(&mut transaction).await;
    assert_eq!(inbox::claim_these(&mut transaction, &ids, app.now()).await.unwrap().len(), 64);
    inbox::unpark_matched(&mut transaction, &ids, app.now()).await.unwrap();
    assert_eq!(scans_of_queue(&mut transaction).await, before, "it scanned the queue");
    claim(&app, &mut transaction, 1).await;
    assert!(scans_of_queue(&mut transaction).await > before, "a claim of the queue does, and is seen");
    transaction.rollback().await.unwrap();
    app.finish().await;
}

/// Scans of the queue's index by this transaction.
async fn scans_of_queue(connection: &mut PgConnection) -> i64 {
    let scans = "select pg_stat_get_xact_numscans('inbox_lanes'::regclass)";
    sqlx::query_scalar(scans).fetch_one(connection).await.unwrap()
}
