//! Clients that send a whole webhook and hang up at once. (P1, P2, P19)

use std::time::Duration;

use account_opening::clock::Clock;
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use futures::StreamExt;
use reqwest::Method;
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncWriteExt;

use crate::support::cluster::fresh_schema;
use crate::support::process::{Program, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};
use crate::support::{memory, wire};

const CLIENTS: usize = 5_000;
/// Webhooks that are acknowledged first, so that connections to Postgres, their statements and the allocator have their usual size.
const WARM_UP: usize = 1_000;
/// At once.
const CROWD: usize = 100;
/// The most that the hang-ups may add to the service's peak memory. They add 4 to 14 MB; five thousand connections that stay open add 31 to
/// 36 MB (13 and 2 runs, two cores).
const ENOUGH: u64 = 24 * 1024 * 1024;

/// The same bytes each time it is sent. Every other one is of no concern: nothing but the inbox knows it.
fn body(n: usize) -> String {
    if n.is_multiple_of(2) {
        return format!(r#"{{"type":"customer.created","n":{n}}}"#);
    }
    format!(
        r#"{{"type":"account_opening_request.status_changed","data":{{"account_opening_request_id":"aor_{n}","status":"IN_PROGRESS"}}}}"#
    )
}

fn headers(n: usize) -> [(&'static str, String); 3] {
    let (now, secret) = (Clock::system().now(), WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).unwrap());
    let id = format!("msg_{n}");
    let signature = signature::sign(&secret, &id, now, body(n).as_bytes());
    [(signature::ID, id), (signature::TIMESTAMP, now.timestamp().to_string()), (signature::SIGNATURE, signature)]
}

async fn send_and_hang_up(service: &Service, n: usize) {
    let body = body(n);
    let headers = headers(n).map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let length = body.len();
    let request =
        format!("POST /webhooks/nexusbank HTTP/1.1\r\nhost: it\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    let mut stream = wire::connect(&service.public).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    if n.is_multiple_of(3) {
        // A reset in place of an end: the worst that a client can do.
        stream.set_zero_linger().unwrap();
    }
}

/// As the bank does: it comes again until it is taken.
async fn send_until_acknowledged(service: &Service, n: usize) {
    eventually("the acknowledgement", WITHIN, async || {
        let url = format!("{}/webhooks/nexusbank", service.public);
        let request = service.client.post(url).body(body(n));
        let request = headers(n).into_iter().fold(request, |request, (name, value)| request.header(name, value));
        match request.send().await.unwrap().status().as_u16() {
            200 => Some(()),
            503 => None,
            other => panic!("{other}"),
        }
    })
    .await;
}

/// P1: an insert on a connection that a cancelled `begin` left in a transaction would be acknowledged here, and missing.
#[tokio::test(flavor = "multi_thread")]
async fn after_five_thousand_hang_ups_every_webhook_that_comes_again_is_taken_and_is_there() {
    let (url, schema) = fresh_schema().await;
    let ended = Program::new(&["migrate"]).env("DATABASE_URL", &*url).env("DATABASE_SCHEMA", &*schema).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let service = ServiceBuilder::on(&url, &schema).start().await;
    let again = |n| send_until_acknowledged(&service, n);
    futures::stream::iter(CLIENTS..CLIENTS + WARM_UP).for_each_concurrent(CROWD, again).await;
    let before = memory::peak(service.process.pid());
    let crowd = |n| send_and_hang_up(&service, n);
    futures::stream::iter(0..CLIENTS).for_each_concurrent(CROWD, crowd).await;
    futures::stream::iter(0..CLIENTS).for_each_concurrent(CROWD, again).await;

    let mut other = PgConnection::connect(&url).await.unwrap();
    let set = format!("set search_path to {schema}");
    sqlx::query(sqlx::AssertSqlSafe(set)).execute(&mut other).await.unwrap();
    let stored: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select event_id, body from inbox").fetch_all(&mut other).await.unwrap();
    assert_eq!(stored.len(), CLIENTS + WARM_UP, "each once");
    for (event_id, stored) in stored {
        let n = event_id.strip_prefix("msg_").and_then(|it| it.parse().ok()).expect("what was sent, and nothing else");
        assert_eq!(stored, body(n).as_bytes(), "{event_id}");
    }
    // No transaction was left behind, and the pool has connections for everybody.
    eventually("no locks", WITHIN, async || {
        let held =
            "select count(*) from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = 'inbox'::regclass and mode = 'RowExclusiveLock'
                    and pid <> pg_backend_pid()";
        let held: i64 = sqlx::query_scalar(held).fetch_one(&mut other).await.unwrap();
        (held == 0).then_some(())
    })
    .await;
    service.answers_ready(200, Duration::from_secs(5)).await;
    let (status, _) = service.status(Method::GET, &format!("{}/v1/account-openings", service.internal)).await;
    assert_eq!(status, 200);
    let grown = memory::peak(service.process.pid()).saturating_sub(before);
    assert!(grown < ENOUGH, "grown by {grown} bytes");
    let ended = service.stop().await;
    assert!(ended.code() == Some(0) && !ended.stderr.contains("panicked"), "{}", ended.stderr);
}
