//! A hundred thousand timers due at once, here some thousands: timers elsewhere are not delayed, and a claim reads what it
//! takes. Counted, not timed.

use account_opening::clock::Time;
use account_opening::db::gauges;
use account_opening::db::timers::{self, ClaimCursor, Due, PollCapacity};
use account_opening::driver::tick;
use account_opening::workers::poller::Poller;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use world::Endpoint;

use crate::support::TestApp;

/// As many as the poller claims at once.
const BATCH: usize = 32;
const OPEN: &[PollCapacity] = &[PollCapacity { provider: "nexusbank", most: BATCH }];
const SHUT: &[PollCapacity] = &[PollCapacity { provider: "nexusbank", most: 0 }];

/// Openings that wait for a provider, of no use but to stand in its line. Their history is missing, so they go before the
/// invariants are checked.
struct Herd<'a>(&'a TestApp);

impl Herd<'_> {
    async fn run(&self, sql: String) {
        let mut transaction = self.0.pool.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn waits(&self, count: usize, provider: &str, due_at: Time, deadline_at: Time) {
        let anchors = format!(
            "with herd as (
                insert into account_openings (id, market, customer_type, customer_reference, currency, flow, provider, state,
                    profile_id, provider_ref, deadline_at, version, head_hash, created_at, updated_at)
                select gen_random_uuid(), 'BE', 'company', 'herd', 'EUR', 'async', '{provider}', 'awaiting_provider', 'p',
                       gen_random_uuid(), '{deadline_at}', 1, sha256(''), '{due_at}', '{due_at}'
                  from generate_series(1, {count})
                returning id
             )
             insert into timers (opening_id, due_at, asks, urgent_from)
             select id, '{due_at}', case when timestamptz '{due_at}' < '{deadline_at}' then '{provider}' end, '{deadline_at}'
               from herd"
        );
        self.run(anchors).await;
        // As autovacuum does after so many.
        self.run("analyze timers".to_owned()).await;
    }

    async fn goes(&self) {
        let herd = "(select id from account_openings where customer_reference = 'herd')";
        self.run(format!("delete from inbox where opening_id in {herd}")).await;
        self.run(format!("delete from timers where opening_id in {herd}")).await;
        self.run("delete from account_openings where customer_reference = 'herd'".to_owned()).await;
    }
}

async fn claim(
    connection: &mut PgConnection,
    cursor: &ClaimCursor,
    now: Time,
    capacities: &[PollCapacity],
) -> Vec<Due> {
    timers::claim(connection, cursor, now, now + TimeDelta::seconds(15), capacities, BATCH as i64).await.unwrap()
}

/// Entries of the indexes and rows of the table that this connection has read, since some time before the transaction.
async fn read(connection: &mut PgConnection) -> i64 {
    let sql = "select sum(pg_stat_get_xact_tuples_returned(oid))::bigint from pg_class
                where oid = 'timers'::regclass or oid in (select indexrelid from pg_index where indrelid = 'timers'::regclass)";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Pages from the root to a leaf of an index or two, and one of each index to make a plan. All of a line would be forty and more.
const FEW: i64 = 20;

/// Pages of timers and their indexes that this connection has read, since some time before the transaction.
async fn pages(connection: &mut PgConnection) -> i64 {
    let sql = "select sum(pg_stat_get_xact_blocks_fetched(oid))::bigint from pg_class
                where oid = 'timers'::regclass or oid in (select indexrelid from pg_index where indrelid = 'timers'::regclass)";
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// P14. Two looks a second, however many wait, and however many of another provider are due. The same for a scrape.
#[tokio::test]
async fn a_look_does_not_read_over_those_that_are_not_due_nor_over_other_providers() {
    let app = TestApp::with().unused_cell().start().await;
    let (herd, now) = (Herd(&app), app.now());
    let (earlier, later) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
    herd.waits(5_000, "nexusbank", later, later + TimeDelta::hours(1)).await;
    herd.waits(5_000, "nexusbank", later, later).await;
    let mut transaction = app.pool.begin().await.unwrap();
    let before = pages(&mut transaction).await;
    gauges::by_index(&mut transaction).await.unwrap();
    let queues = gauges::queues(&mut transaction, now).await.unwrap();
    let timers = queues.iter().find(|it| it.name == "timers").unwrap();
    let read = pages(&mut transaction).await - before;
    assert!(timers.depth == 0 && read <= FEW, "a scrape of 10,000 that wait read {read} pages: {timers:?}");
    transaction.rollback().await.unwrap();

    herd.waits(5_000, "another", earlier, later).await;
    let mut transaction = app.pool.begin().await.unwrap();
    let before = pages(&mut transaction).await;
    let due = claim(&mut transaction, &ClaimCursor::default(), now, OPEN).await;
    let read = pages(&mut transaction).await - before;
    assert!(due.is_empty() && read <= FEW, "a look at 15,000 that wait read {read} pages for {} due", due.len());
    transaction.rollback().await.unwrap();

    herd.waits(BATCH, "nexusbank", earlier, later).await;
    let mut transaction = app.pool.begin().await.unwrap();
    assert_eq!(claim(&mut transaction, &ClaimCursor::default(), now, OPEN).await.len(), BATCH);
    transaction.rollback().await.unwrap();
    herd.goes().await;
    app.finish().await;
}

/// P13, P14: neither the length of a line nor what was taken from it before makes a look longer. All looks are in one transaction, so
/// that nothing is vacuumed between them: what the earlier ones took is dead to the later ones and stands before them.
#[tokio::test]
async fn a_look_reads_what_it_takes_and_no_more() {
    let app = TestApp::with().unused_cell().start().await;
    let (herd, now) = (Herd(&app), app.now());
    let due = now - TimeDelta::minutes(5);
    herd.waits(4_000, "nexusbank", due, now + TimeDelta::hours(5)).await;
    let mut transaction = app.pool.begin().await.unwrap();
    let before = read(&mut transaction).await;
    assert!(claim(&mut transaction, &ClaimCursor::default(), now, SHUT).await.is_empty());
    assert_eq!(read(&mut transaction).await, before, "none of those that wait for room");
    transaction.rollback().await.unwrap();

    herd.waits(1_000, "nexusbank", due, due).await;
    for (capacities, most) in [(OPEN, 2 * BATCH), (SHUT, BATCH)] {
        let mut transaction = app.pool.begin().await.unwrap();
        let cursor = ClaimCursor::default();
        let mut before = read(&mut transaction).await;
        for look in 1..=25 {
            assert_eq!(claim(&mut transaction, &cursor, now, capacities).await.len(), most, "look {look}");
            let after = read(&mut transaction).await;
            // An entry to find each, one to claim it and one of a claim that was rolled back, and one where a line's scan ends.
            assert!(after - before <= 3 * most as i64 + 2, "look {look} of {most} read {}", after - before);
            before = after;
        }
        transaction.rollback().await.unwrap();
    }
    herd.goes().await;
    app.finish().await;
}

/// P14: with and without capacity, regardless of other due timers.
#[tokio::test]
async fn a_deadline_that_passes_behind_two_thousand_polls_is_seen_in_the_next_tick() {
    let app = TestApp::start().await;
    let (herd, began) = (Herd(&app), app.now());
    for breaker in [Some("open"), None] {
        let (id, _) = app.open().waiting().await;
        herd.waits(2_000, "nexusbank", began, app.now() + TimeDelta::hours(24)).await;
        app.pass(TimeDelta::hours(12));
        let force = json!({"forced": breaker, "reason": "a test"});
        let forced =
            app.request(reqwest::Method::PUT, "/v1/breakers/nexusbank/lookup").json(&force).send().await.unwrap();
        assert_eq!(forced.status(), 200);
        let polled = tick(&Poller(app.context.clone())).await.unwrap();
        assert_eq!(polled.claimed, if breaker.is_some() { 1 } else { 33 });
        herd.goes().await;
        app.settle().await;
        assert_eq!(app.opening(&id).await["state"], "escalated");
        assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), u64::from(breaker.is_none()));
    }
    app.finish().await;
}

/// P13: polls are behind neither the deadlines of their provider nor the polls of another.
#[tokio::test]
async fn a_poll_is_claimed_in_the_next_tick_beside_thousands_of_due_timers() {
    let app = TestApp::start().await;
    let (herd, now) = (Herd(&app), app.now());
    let due = now - TimeDelta::hours(1);
    let later = now + TimeDelta::hours(5);
    let (id, _) = app.open().waiting().await;
    herd.waits(2_000, "otherbank", due, later).await;
    herd.waits(2_000, "nexusbank", due, due).await;
    app.pass(TimeDelta::minutes(30));
    let mut connection = app.pool.acquire().await.unwrap();
    let claimed = claim(&mut connection, &ClaimCursor::default(), app.now(), OPEN).await;
    let ours = |it: &&Due| it.opening_id.to_string() == id;
    assert_eq!((claimed.len(), claimed.iter().filter(ours).count()), (BATCH + 1, 1));
    // This service has no adapter for the other bank: its poll is not claimed, its deadline is.
    herd.goes().await;
    herd.waits(1, "otherbank", due, due).await;
    herd.waits(1, "otherbank", due, later).await;
    let claimed = claim(&mut connection, &ClaimCursor::default(), app.now(), OPEN).await;
    assert_eq!(claimed.iter().map(|it| it.deadline_at).collect::<Vec<_>>(), [due]);
    drop(connection);
    herd.goes().await;
    app.pass(TimeDelta::minutes(1));
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 1);
    app.finish().await;
}

/// Claims that go on behind each other leave no timer behind for long: here a poll that is wanted at once comes in before them.
#[tokio::test]
async fn an_opening_that_becomes_due_in_front_of_the_herd_is_found() {
    let app = TestApp::start().await;
    let (herd, now) = (Herd(&app), app.now());
    let (due, later) = (now - TimeDelta::minutes(5), now + TimeDelta::hours(5));
    herd.waits(500, "nexusbank", due, later).await;
    let (cursor, mut connection) = (ClaimCursor::default(), app.pool.acquire().await.unwrap());
    assert_eq!(claim(&mut connection, &cursor, now, OPEN).await.len(), BATCH);
    herd.waits(1, "nexusbank", due - TimeDelta::minutes(1), later - TimeDelta::minutes(1)).await;
    let first = |claimed: &[Due]| claimed.iter().filter(|it| it.deadline_at < later).count();
    assert_eq!(first(&claim(&mut connection, &cursor, now + TimeDelta::seconds(1), OPEN).await), 0);
    assert_eq!(first(&claim(&mut connection, &cursor, now + TimeDelta::seconds(5), OPEN).await), 1);
    drop(connection);
    herd.goes().await;
    app.finish().await;
}
