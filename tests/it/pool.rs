//! The open transaction that a cancelled `begin` leaves behind in a pool, and what becomes of it (P1; measured fact 1).

use std::time::Duration;

use account_opening::db::{PoolOptions, connect};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::support::cluster::fresh_schema;

/// Cancelled begins, each followed by an insert.
const ROUNDS: i32 = 200;

/// Polls `begin` so many times, with time for an answer in between, and drops it: what a client that hangs up does to a
/// handler. A guarded connection has a round trip before that of `begin`.
async fn cancelled_begin(pool: &PgPool, polls: i32) {
    let mut begin = Box::pin(pool.begin());
    for poll in 1..=polls {
        if futures::poll!(&mut begin).is_ready() || poll == polls {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Inserts that were answered OK after a cancelled `begin`, and that no other session sees.
async fn invisible(pool: &PgPool, other: &PgPool, table: &str) -> usize {
    let insert = format!("insert into {table} values ($1)");
    for n in 0..ROUNDS {
        cancelled_begin(pool, n % 3 + 1).await;
        sqlx::query(sqlx::AssertSqlSafe(insert.as_str())).bind(n).execute(pool).await.unwrap();
    }
    let seen: Vec<i32> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select n from {table}"))).fetch_all(other).await.unwrap();
    (0..ROUNDS).filter(|n| !seen.contains(n)).count()
}

/// P1. Our pool and one without our guard, on the same database: should the second find nothing any more, the defect has
/// been mended upstream, and the guard may go.
#[tokio::test]
async fn an_insert_after_a_cancelled_begin_is_seen_by_others_thanks_to_the_guard() {
    let (url, schema) = fresh_schema().await;
    let options = PoolOptions {
        url: url.clone(),
        schema: "public".to_owned(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
    };
    let (guarded, other) = (connect(&options).unwrap(), connect(&options).unwrap());
    let unguarded = PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect(&url).await.unwrap();
    for table in ["ours", "theirs"] {
        let create = format!("create table {schema}_{table} (n int)");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&other).await.unwrap();
    }
    assert_eq!(invisible(&guarded, &other, &format!("{schema}_ours")).await, 0);
    let lost = invisible(&unguarded, &other, &format!("{schema}_theirs")).await;
    assert!(lost > 0, "the driver no longer leaves a transaction open");
    for pool in [guarded, other, unguarded] {
        pool.close().await;
    }
}
