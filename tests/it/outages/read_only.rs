//! A Postgres that answers and does not write: frozen by an operator, or a primary that was demoted.

use std::time::Instant;

use super::Scene;
use crate::support::process::WITHIN;

const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity 
     where application_name = 'account-opening' and datname = current_database()";

/// P19, P20: present sessions learn of it as well as later ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_read_only_is_answered_in_time_and_is_over_once_it_writes_again() {
    let scene = Scene::new().await;
    scene.execute("alter system set default_transaction_read_only = on").await;
    scene.execute("select pg_reload_conf()").await;
    scene.is_felt().await;
    let body = scene.service.answers_ready(503, WITHIN).await;
    assert!(body.contains("read-only"), "{body}");

    scene.execute("alter system reset default_transaction_read_only").await;
    scene.execute("select pg_reload_conf()").await;
    scene.recovers(Instant::now()).await;
    scene.finish().await;
}

/// P19, P20: a session keeps the default that its database had when it began. Those that began meanwhile must not stay
/// read-only for as long as a pool keeps them.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_from_the_time_when_the_database_was_read_only_do_not_outlive_it() {
    let scene = Scene::new().await;
    scene.execute("alter database account_opening set default_transaction_read_only = on").await;
    scene.execute(TERMINATE).await;
    scene.is_felt().await;
    scene.service.answers_ready(503, WITHIN).await;

    scene.execute("begin read write; alter database account_opening reset default_transaction_read_only; commit").await;
    scene.recovers(Instant::now()).await;
    scene.finish().await;
}
