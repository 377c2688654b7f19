//! The sweeper's parts stand by themselves: what one of them meets holds up none of the others.

use account_opening::driver::{Counts as _, tick};
use account_opening::workers::sweeper::Sweeper;
use chrono::TimeDelta;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::TestApp;

async fn execute(app: &TestApp, sql: String) {
    app.pool.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

async fn count(app: &TestApp, what: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&app.pool).await.unwrap()
}

/// An opening that is completed and may be archived in a month; and a fact about an opening that does not exist.
async fn past(app: &TestApp) {
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.webhook().status("aor_of_nobody", "IN_PROGRESS").acknowledged().await;
    app.settle().await;
}

/// G6: logical replication needs a key of every table, the archives and the counts included.
#[tokio::test]
async fn every_table_of_a_cell_has_a_primary_key() {
    let app = TestApp::start().await;
    let without: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c
          where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
            and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(without.is_empty(), "without a key: {without:?}");
    app.finish().await;
}

/// G6: a publication of all tables of the cell, as `create publication … for all tables` makes it, changes nothing.
#[tokio::test]
async fn a_publication_of_all_tables_stops_no_sweep() {
    let app = TestApp::start().await;
    let tables: String = sqlx::query_scalar(
        "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables where schemaname = current_schema()",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    let name: String =
        sqlx::query_scalar("select 'publication_of_' || current_schema()").fetch_one(&app.pool).await.unwrap();
    execute(&app, format!("create publication {name} for table {tables}")).await;
    past(&app).await;
    app.pass_settling(TimeDelta::days(100), TimeDelta::days(1)).await;
    assert_eq!((count(&app, "inbox where status <> 'dead'").await, count(&app, "outbox").await), (0, 0));
    assert!(count(&app, "inbox_archive").await > 0);
    execute(&app, format!("drop publication {name}")).await;
    app.finish().await;
}

/// G6, P21: each sweep in turn is one that the database refuses. The others do their work in the same tick, and the failure is
/// counted under its name.
#[tokio::test]
async fn a_sweep_that_fails_holds_up_none_of_the_others() {
    // The table that the sweep changes, and the right that it lacks.
    for (sweep, right) in [
        ("idempotency_keys", "delete on idempotency_keys"),
        ("opening_counts", "delete on opening_count_changes"),
        ("fee_sums", "delete on fee_sums"),
        ("archived_facts", "insert on inbox_archive"),
        ("archived_work", "insert on outbox_archive"),
    ] {
        let app = TestApp::start().await;
        past(&app).await;
        app.pass(TimeDelta::days(31));
        let failures = failures(&app, sweep).await;
        app.open().market("SM").start().await;
        execute(&app, format!("revoke {right} from service")).await;
        let swept = tick(&Sweeper(app.context.clone())).await.unwrap_or_else(|error| panic!("{sweep}: {error}"));
        swept.record();
        assert_eq!(count(&app, "idempotency_keys").await, if sweep == "idempotency_keys" { 2 } else { 1 }, "{sweep}");
        assert_eq!(count(&app, "inbox where status = 'dead'").await, 1, "{sweep}: nobody's fact is a dead letter");
        assert_eq!(count(&app, "opening_count_changes").await > 0, sweep == "opening_counts", "{sweep}");
        assert_eq!(count(&app, "inbox_archive").await == 0, sweep == "archived_facts", "{sweep}");
        assert_eq!(count(&app, "outbox_archive").await == 0, sweep == "archived_work", "{sweep}");
        assert_eq!(self::failures(&app, sweep).await, failures + 1, "{sweep}");
        assert!(swept.found_work() && swept.may_be_more(), "{sweep}: what the others left goes on at once");
        execute(&app, format!("grant {right} to service")).await;
        app.finish().await;
    }
}

/// How often a sweep failed in this process.
async fn failures(app: &TestApp, sweep: &str) -> u64 {
    let text = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    let series = format!("account_opening_sweep_failures_total{{sweep=\"{sweep}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0)
}
