//! All that a database holds, to see that nothing was written.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::TestApp;

/// When a session was last seen is no content of it.
const NOT_READ: [&str; 1] = ["sessions"];

impl TestApp {
    /// The rows of every table, counted and hashed.
    pub async fn rows(&self) -> BTreeMap<String, (i64, i64)> {
        let tables: Vec<String> =
            sqlx::query_scalar("select tablename::text from pg_tables where schemaname = current_schema()")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        let mut all = BTreeMap::new();
        for table in tables.into_iter().filter(|it| !NOT_READ.contains(&it.as_str())) {
            let sql = format!("select count(*), coalesce(sum(hashtext(t::text)::bigint), 0)::bigint from {table} t");
            let counted: (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap();
            all.insert(table, counted);
        }
        all
    }
}
