//! A database that restarts while the service starts is waited for, longer than a request would wait. (P1)

use account_opening::app::{history_key, keep_price_list};
use account_opening::domain::chain::HistoryKey;
use sqlx::{Postgres, Transaction};

use crate::support::{KEY, TestApp};

/// The test cuts the service's connection while a statement waits for the table, five times: more often than the service tries a request.
/// Then it ends the lock, and the next statement passes.
async fn cut_five_times(app: &TestApp, table: &str, lock: Transaction<'static, Postgres>) {
    for _ in 0..5 {
        app.a_statement_waits(table).await;
        app.cut_waiting(table).await;
    }
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn the_price_list_is_stored_by_a_start_whose_connections_are_cut() {
    let app = TestApp::with().prices().start().await;
    let lock = app.lock_table("price_lists").await;
    let cutting = cut_five_times(&app, "price_lists", lock);
    let (kept, ()) = tokio::join!(keep_price_list(&app.context), cutting);
    kept.unwrap();
    app.finish().await;
}

#[tokio::test]
async fn the_history_key_is_checked_by_a_start_whose_connections_are_cut() {
    let app = TestApp::start().await;
    let key = HistoryKey::new(&KEY);
    let folder = tempfile::tempdir().unwrap();
    let lock = app.lock_table("account_openings").await;
    let checking = history_key(&app.pool, Some(&key), folder.path());
    let (found, ()) = tokio::join!(checking, cut_five_times(&app, "account_openings", lock));
    found.unwrap();
    app.finish().await;
}
