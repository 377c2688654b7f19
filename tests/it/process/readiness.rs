//! P20: a database that answers and takes no write is not ready, and is again by itself.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;

use super::external::{connect, execute, migrated};
use crate::support::cluster::{create_role, fresh_schema};
use crate::support::process::WITHIN;
use crate::support::service::{Service, ServiceBuilder};

/// A service with a separate role, with the superuser's URL, the schema and the role.
async fn service() -> (Service, String, String, String) {
    let (url, schema) = fresh_schema().await;
    let role = format!("ready_{schema}");
    let service = create_role(&url, &role, "").await;
    let ended = super::external::migrate_for(&service, &url, &schema).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    (ServiceBuilder::on(&service, &schema).start().await, url, schema, role)
}

/// Sets something for the role, and makes its connections anew.
async fn set(url: &str, schema: &str, role: &str, setting: &str) {
    execute(url, schema, &format!("alter role {role} {setting}")).await;
    execute(url, schema, &format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"))
        .await;
}

#[tokio::test]
async fn a_database_that_takes_no_write_is_not_ready_until_it_does_again() {
    let (service, url, schema, role) = service().await;
    let alive = async || service.status(Method::GET, &format!("{}/livez", service.internal)).await.0;

    set(&url, &schema, &role, "set default_transaction_read_only = on").await;
    let body = service.answers_ready(503, WITHIN).await;
    assert!(body.contains("read-only") && alive().await == 200, "{body}");
    set(&url, &schema, &role, "reset default_transaction_read_only").await;
    service.answers_ready(200, WITHIN).await;

    for (breaks, mends) in [
        (format!("revoke update on heartbeats from {role}"), format!("grant update on heartbeats to {role}")),
        (
            "alter table heartbeats add constraint broken check (at < '2000-01-01') not valid".to_owned(),
            "alter table heartbeats drop constraint broken".to_owned(),
        ),
    ] {
        execute(&url, &schema, &breaks).await;
        let body = service.answers_ready(503, WITHIN).await;
        assert!(body.contains("the database does not take a write") && alive().await == 200, "{body}");
        execute(&url, &schema, &mends).await;
        service.answers_ready(200, WITHIN).await;
    }
    assert!(service.process.stderr().contains("42501"), "the log says why");
}

/// An update that finds room on its page needs no new block. What shows a full disk is that more room is asked for: a limit
/// on that is met in the same way.
#[tokio::test]
async fn a_database_that_has_no_room_for_another_block_is_not_ready_until_it_has() {
    let (service, url, schema, role) = service().await;
    set(&url, &schema, &role, "set temp_file_limit = '64kB'").await;
    let body = service.answers_ready(503, WITHIN).await;
    assert!(body.contains("the database does not take a write"), "{body}");
    set(&url, &schema, &role, "reset temp_file_limit").await;
    service.answers_ready(200, WITHIN).await;
}

#[tokio::test]
async fn a_write_that_hangs_makes_it_not_ready_in_time_for_every_caller() {
    let (service, url, schema, _) = service().await;
    let mut holder = connect(&url, &schema).await;
    let mut transaction = sqlx::Connection::begin(&mut holder).await.unwrap();
    sqlx::query("lock table heartbeats in access exclusive mode").execute(&mut *transaction).await.unwrap();
    service.answers_ready(503, WITHIN).await;
    let asked = Instant::now();
    for (status, body) in join_all((0..30).map(|_| service.ready())).await {
        assert_eq!(status, 503, "{body}");
    }
    // Two seconds of patience, and a machine that is slow.
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    // Nothing else waits for it: a start is taken all the while.
    assert_eq!(service.open("order-1").await.0, 202);
    transaction.rollback().await.unwrap();
    service.answers_ready(200, WITHIN).await;
}

#[tokio::test]
async fn however_often_it_is_asked_it_writes_once_a_second() {
    let (serve, url, schema) = migrated().await;
    let count = "create table beats (n int);
         create function count_beat() returns trigger language plpgsql security definer set search_path = $schema
             as 'begin insert into beats values (1); return null; end';
         create trigger count_beat after insert or update on heartbeats for each row execute function count_beat()";
    execute(&url, &schema, &count.replace("$schema", &schema)).await;
    let started = Instant::now();
    let service = serve.start().await;
    for _ in 0..10 {
        join_all((0..20).map(|_| service.ready())).await;
    }
    let beats: i64 =
        sqlx::query_scalar("select count(*) from beats").fetch_one(&mut connect(&url, &schema).await).await.unwrap();
    let most = i64::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=most).contains(&beats), "{beats} in {:?}", started.elapsed());

    let rows = "select count(*) from heartbeats";
    let rows: i64 = sqlx::query_scalar(rows).fetch_one(&mut connect(&url, &schema).await).await.unwrap();
    assert_eq!(rows, 1);
}
