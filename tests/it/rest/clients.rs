//! Clients of the internal listener that are slow, or that hang up.

use std::time::Duration;

use account_opening::http::internal;
use account_opening::http::listener::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{TOKEN, TestApp, eventually, listen_as, wire};

fn post(path: &str, length: usize, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: it\r\nauthorization: Bearer {TOKEN}\r\nidempotency-key: key-1\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// A size alone would bound what it holds, and not for how long.
#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_told_so_and_its_connection_is_closed() {
    let app = TestApp::start().await;
    let inside = Limits { body_within: Duration::from_millis(200), ..Limits::inside(&app.state.settings) };
    let url = listen_as(internal::router(app.state.clone()), inside).await;
    let mut stream = wire::connect(&url).await;
    stream.write_all(post("/v1/account-openings", 1_000, r#"{"market":"#).as_bytes()).await.unwrap();
    let mut answer = String::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
    closed.expect("the connection is closed").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 408 ") && head.contains("application/problem+json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "request-timeout");
    assert!(app.items("/v1/account-openings").await.is_empty());
    app.finish().await;
}

/// The work goes on in a task of its own: nothing of it is left half done on a connection of the pool, and a repeat finds
/// its result.
#[tokio::test]
async fn an_opening_whose_caller_hung_up_while_it_was_being_written_is_started() {
    let app = TestApp::start().await;
    let body = json!({
        "market": "BE", "customer_type": "company", "currency": "EUR",
        "customer": {"reference": "cus_1", "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
    })
    .to_string();
    let mut lock = app.pool.begin().await.unwrap();
    sqlx::query("lock table account_openings in access exclusive mode").execute(&mut *lock).await.unwrap();
    let mut stream = wire::connect(&app.internal).await;
    stream.write_all(post("/v1/account-openings", body.len(), &body).as_bytes()).await.unwrap();
    let waits = "select exists (select 1 from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = 'account_openings'::regclass and not granted)";
    eventually("an insert that waits", async || {
        let waits: bool = sqlx::query_scalar(waits).fetch_one(&app.pool).await.unwrap();
        waits.then_some(())
    })
    .await;
    drop(stream);
    // The listener has noticed: others have gone through meanwhile.
    for _ in 0..20 {
        assert_eq!(app.client.get(format!("{}/livez", app.internal)).send().await.unwrap().status(), 200);
    }
    lock.rollback().await.unwrap();
    eventually("the opening", async || app.items("/v1/account-openings").await.pop()).await;
    app.finish().await;
}
