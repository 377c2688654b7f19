//! How many openings there are, and how much waits: known without reading all of it.

use account_opening::db::openings::{self, Filter};
use account_opening::db::{Page, gauges, opening_counts};
use account_opening::domain::StateName;
use chrono::TimeDelta;
use sqlx::PgConnection;
use world::Verdict;

use crate::support::TestApp;

/// `state market count`, those that are none left out.
async fn counts(app: &TestApp) -> Vec<String> {
    let mut connection = app.context.cell.pool.acquire().await.unwrap();
    let all = opening_counts::all(&mut connection).await.unwrap();
    let mut lines: Vec<String> =
        all.iter().filter(|it| it.count != 0).map(|it| format!("{} {} {}", it.first, it.second, it.count)).collect();
    lines.sort();
    lines
}

async fn changes(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from opening_count_changes").fetch_one(&app.pool).await.unwrap()
}

/// Each test ends with the same comparison of what is counted to what stands.
#[tokio::test]
async fn openings_are_counted_as_they_move_whether_or_not_it_is_added_up() {
    let app = TestApp::start().await;
    app.open().market("LU").start().await;
    assert_eq!((counts(&app).await, changes(&app).await), (vec!["creating_profile LU 1".to_owned()], 1));
    app.settle().await;
    assert_eq!((counts(&app).await, changes(&app).await), (vec!["awaiting_provider LU 1".to_owned()], 0));
    let (id, _) = app.open().market("BE").waiting().await;
    app.world.decide(&id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    assert_eq!(counts(&app).await, ["awaiting_provider LU 1", "completed BE 1"]);
    app.finish().await;
}

/// Changes are added up by two replicas at once, while there are more.
#[tokio::test]
async fn a_count_is_added_up_once() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        app.open().market("LU").start().await;
    }
    let add_up = async || {
        let mut connection = app.context.cell.pool.acquire().await.unwrap();
        opening_counts::add_up(&mut connection, 3).await.unwrap()
    };
    for _ in 0..5 {
        tokio::join!(add_up(), add_up());
        assert_eq!(counts(&app).await, ["creating_profile LU 10"]);
    }
    assert_eq!(changes(&app).await, 0);
    app.finish().await;
}

/// P23: what stood when the counts came is counted then, and a count by hand mends what was put in past the trigger.
#[tokio::test]
async fn a_count_of_all_is_right_over_any_earlier_counts() {
    let app = TestApp::start().await;
    for market in ["LU", "BE"] {
        app.open().market(market).waiting().await;
    }
    let wrong = "insert into opening_counts values ('failed', 'XX', 3), ('awaiting_provider', 'LU', 7)
                 on conflict (state, market) do update set count = excluded.count";
    sqlx::query(wrong).execute(&app.pool).await.unwrap();
    app.open().market("LU").start().await;
    sqlx::query("select count_openings()").execute(&app.pool).await.unwrap();
    assert_eq!(changes(&app).await, 0);
    assert_eq!(counts(&app).await, ["awaiting_provider BE 1", "awaiting_provider LU 1", "creating_profile LU 1"]);
    let refused = sqlx::query("select count_openings()").execute(&app.context.cell.pool).await.unwrap_err();
    assert_eq!(refused.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("42501"));
    app.finish().await;
}

pub async fn read(connection: &mut PgConnection, table: &str) -> i64 {
    let sql = "select sum(pg_stat_get_xact_tuples_returned(oid))::bigint from pg_class
                where oid = $1::regclass or oid in (select indexrelid from pg_index where indrelid = $1::regclass)";
    sqlx::query_scalar(sql).bind(table).fetch_one(connection).await.unwrap()
}

/// A scrape of a long queue costs no more than of one that is long enough; what is settled costs nothing.
#[tokio::test]
async fn a_scrape_reads_no_opening_and_no_more_of_a_queue_than_a_bound() {
    let app = TestApp::with().unused_cell().start().await;
    app.open().waiting().await;
    let filled =
        "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, received_at,
                      retry_from, status, due_at, settled_at)
                  select gen_random_uuid(), 'herd', n::text, 'poll', 'nexusbank', '', sha256(''), '{}', $1, $1, $2,
                         case when $2 = 'pending' then $1 end, case when $2 = 'ignored' then $1 end
                    from generate_series($3, $4) as n";
    let mut transaction = app.pool.begin().await.unwrap();
    for (status, first, last) in [("ignored", 1, 5_000), ("pending", 5_001, 20_000)] {
        let fill = sqlx::query(filled).bind(app.now()).bind(status).bind(first).bind(last);
        fill.execute(&mut *transaction).await.unwrap();
    }
    // The connection's earlier reads may not be in the server's statistics yet.
    let before = [read(&mut transaction, "inbox").await, read(&mut transaction, "account_openings").await];
    gauges::by_index(&mut transaction).await.unwrap();
    let queues = gauges::queues(&mut transaction, app.now()).await.unwrap();
    let depths: Vec<_> = queues.iter().map(|it| (it.name.as_str(), it.depth)).collect();
    assert_eq!(depths, [("inbox", gauges::MAX_COUNTED), ("outbox", 0), ("timers", 0)]);
    // And the entries of the few facts of the opening, which pended once.
    assert!(
        (gauges::MAX_COUNTED..gauges::MAX_COUNTED + 10).contains(&(read(&mut transaction, "inbox").await - before[0]))
    );
    gauges::dead_letters(&mut transaction).await.unwrap();
    opening_counts::all(&mut transaction).await.unwrap();
    assert_eq!(read(&mut transaction, "account_openings").await, before[1]);
    transaction.rollback().await.unwrap();
    app.finish().await;
}

/// Of many openings a page looks at so many, says from where to go on, and what is rare stands apart.
#[tokio::test]
async fn a_list_of_what_is_rare_reads_no_more_than_a_bound() {
    let app = TestApp::with().unused_cell().start().await;
    let mut ids = Vec::new();
    for verdict in [Verdict::complete(), Verdict::reject("no")] {
        let (id, _) = app.open().market("LU").waiting().await;
        app.world.decide(&id, &verdict).unwrap().told().await;
        ids.push(id);
    }
    ids.push(app.open().market("LU").waiting().await.0);
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    ids.push(app.open().market("LU").waiting().await.0);
    // Newer than all of them, and completed long ago.
    let many = "insert into account_openings (id, market, customer_type, customer_reference, currency, flow, provider, state,
                    profile_id, provider_ref, iban, bic, card_id, deadline_at, version, head_hash, created_at, updated_at)
                select ('ffffffff' || substr(gen_random_uuid()::text, 9))::uuid, 'BE', 'company', 'herd', 'EUR', 'async',
                       'nexusbank', 'completed', 'p', n, n, 'b', 'c', $1, 1, sha256(''), $1, $1
                  from generate_series(1, 10500) as n";
    let mut transaction = app.pool.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    sqlx::query(many).bind(app.now()).execute(&mut *transaction).await.unwrap();
    sqlx::query("analyze account_openings").execute(&mut *transaction).await.unwrap();

    let list = async |connection: &mut PgConnection, states: &[StateName], after| {
        let filter = Filter { states: Some(states.to_vec()), market: Some("LU".to_owned()), ..Filter::default() };
        let before = read(connection, "account_openings").await;
        let listed = openings::list(connection, &filter, Page { limit: 50, after }).await.unwrap();
        let ids: Vec<String> = listed.openings.iter().map(|it| it.id.to_string()).collect();
        (ids, listed.next, read(connection, "account_openings").await - before)
    };
    for (states, expected) in [
        (&[StateName::Rejected, StateName::Failed][..], vec![&ids[1]]),
        (&[StateName::Escalated], vec![&ids[2]]),
        (&[StateName::AwaitingProvider], vec![&ids[3]]),
        (&[StateName::AwaitingProvider, StateName::Escalated], vec![&ids[3], &ids[2]]),
    ] {
        let (found, next, looks) = list(&mut transaction, states, None).await;
        assert_eq!((found.iter().collect::<Vec<_>>(), next), (expected, None), "{states:?}");
        assert!(looks <= 8, "{states:?}: {looks}");
    }
    let (none, next, looks) = list(&mut transaction, &[StateName::Completed], None).await;
    // An entry and a row of each that is looked at, and what the planner looks up.
    assert!(none.is_empty() && looks < 2 * 10_000 + 10, "{looks}");
    let (found, end, _) = list(&mut transaction, &[StateName::Completed], Some(next.unwrap())).await;
    assert_eq!((found, end), (vec![ids[0].clone()], None));
    // Where just as many are left as a page looks at, it is the last.
    let last_page = "select id from account_openings order by id desc offset (select count(*) - 10001 from account_openings) limit 1";
    let after: uuid::Uuid = sqlx::query_scalar(last_page).fetch_one(&mut *transaction).await.unwrap();
    let (found, end, _) = list(&mut transaction, &[StateName::Completed], Some(after)).await;
    assert_eq!((found, end), (vec![ids[0].clone()], None));
    transaction.rollback().await.unwrap();
    app.finish().await;
}
