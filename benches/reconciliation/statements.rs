//! Counts the statements of reconciliation, where Postgres has `pg_stat_statements`.

use std::path::Path;

use sqlx::PgConnection;

use crate::fill::run;
use crate::report::aligned;

/// Rows in a slice.
pub const SLICE: u64 = 10_000;

/// The settings that the cluster must be started with. Empty: it has no such library.
pub fn settings() -> Vec<(String, String)> {
    let library = |major: u32| format!("/usr/lib/postgresql/{major}/lib/pg_stat_statements.so");
    let is_there = (14..=20).any(|it| Path::new(&library(it)).exists());
    let setting = ("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned());
    if is_there { vec![setting] } else { Vec::new() }
}

/// Whether statements can be counted.
pub async fn install(connection: &mut PgConnection) -> bool {
    let loaded = "select current_setting('shared_preload_libraries') like '%pg_stat_statements%'";
    let loaded: bool = sqlx::query_scalar(loaded).fetch_one(&mut *connection).await.expect("Postgres answers");
    if loaded {
        run(connection, "create extension pg_stat_statements").await;
    }
    loaded
}

pub async fn forget(connection: &mut PgConnection) {
    run(connection, "select pg_stat_statements_reset()").await;
}

/// Those of the modules that only reconciliation uses, and what is read of openings for it; less than one in two slices is none
/// of a slice.
pub async fn per_slice(connection: &mut PgConnection, slices: u64) -> String {
    let counted = "select substring(query from '^-- ([a-z_:]+)') as name, sum(calls)::int8, sum(total_exec_time)
                     from pg_stat_statements
                    where query ~ '^-- (reports|report_rows|mismatches|openings|fee_ledger|charge_lines|bank_words|bank_statements|settlements)::'
                      -- The upload, and questions that are asked all the while.
                      and query !~ '^-- reports::(insert_chunks|list_by_id|claim)'
                    group by name having sum(calls) * 2 >= $1 order by name";
    let slices = i64::try_from(slices).expect("a small number");
    let counted: Vec<(String, i64, f64)> =
        sqlx::query_as(counted).bind(slices).fetch_all(connection).await.expect("Postgres answers");
    let mut lines = vec![["statement", "per 10,000 rows", "ms each"].map(str::to_owned).to_vec()];
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per = |calls: i64| calls as f64 / slices as f64;
    let total: i64 = counted.iter().map(|it| it.1).sum();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    for (name, calls, millis) in counted {
        lines.push(vec![name, format!("{:.1}", per(calls)), format!("{:.1}", millis / calls as f64)]);
    }
    lines.push(vec!["all".to_owned(), format!("{:.1}", per(total)), String::new()]);
    aligned(&lines)
}
