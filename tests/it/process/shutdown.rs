//! P25: a signal stops the service in order and in time, during any work; a second one stops it at once.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;

use super::external::{migrated, not_in_inbox};
use crate::support::process::{Ended, Folder, WITHIN, eventually};
use crate::support::service::{GRACE, Service, ServiceBuilder};

/// The time beyond its own grace period that a process may take to be gone.
const SLACK: Duration = Duration::from_millis(500);

async fn ends(service: &mut Service, signal: Signal) -> Ended {
    service.process.signal(signal);
    service.process.ended(GRACE + SLACK).await
}

/// P25
#[tokio::test]
async fn sigterm_and_sigint_end_an_idle_service_with_exit_code_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (serve, ..) = migrated().await;
        let mut service = serve.start().await;
        let ended = ends(&mut service, signal).await;
        assert_eq!(ended.code(), Some(0), "{signal}: {}", ended.stderr);
        assert!(!ended.stderr.contains("\"level\":\"ERROR\""), "{}", ended.stderr);
    }
}

/// P25: the private Postgres is part of the service.
#[tokio::test]
async fn sigterm_ends_a_service_with_its_private_postgres_in_time() {
    let mut service = ServiceBuilder::new().start().await;
    let folder = Arc::clone(service.process.folder());
    let ended = ends(&mut service, Signal::SIGTERM).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(folder.postmasters(), Vec::<i32>::new());
}

/// P25: a service that is still starting stops at once.
#[tokio::test]
async fn sigterm_ends_a_service_that_still_waits_for_its_database() {
    let mut process = ServiceBuilder::on("postgres://user@127.0.0.1:9/x", "public").0.spawn();
    eventually("it waits", WITHIN, async || process.stderr().contains("retrying").then_some(())).await;
    process.signal(Signal::SIGTERM);
    let ended = process.ended(Duration::from_secs(2)).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

/// P25: wherever it is between nothing and ready, and the next start finds its way.
#[tokio::test]
async fn sigterm_ends_a_service_that_is_making_its_private_postgres_and_leaves_none() {
    let folder = Folder::new();
    let builder = ServiceBuilder::within(&folder);
    for made in ["data/lock", "data/postgres.log", "data/postgres/postmaster.pid"] {
        let mut process = builder.0.spawn();
        let made = folder.path().join(made);
        eventually("it is that far", WITHIN, async || made.exists().then_some(())).await;
        process.signal(Signal::SIGTERM);
        let ended = process.ended(GRACE + SLACK).await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        eventually("no Postgres is left", WITHIN, async || folder.postmasters().is_empty().then_some(())).await;
    }
    let ended = builder.start().await.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

/// P25, P1
#[tokio::test]
async fn webhooks_acknowledged_before_the_end_are_in_the_inbox() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let (serve, url, schema) = migrated().await;
        let mut service = serve.start().await;
        // Eight at once, until no connection is answered.
        let send = |sender| service.bank().webhooks((0..).map(move |number: u32| format!("msg_{sender}_{number}")));
        let sending = tokio::spawn(futures::future::join_all((0..8).map(send)));
        eventually("a hundred are stored", WITHIN, async || (stored(&service).await >= 100).then_some(())).await;
        let ended = ends(&mut service, signal).await;
        if signal == Signal::SIGTERM {
            assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        }
        let acknowledged = sending.await.unwrap().concat();
        assert!(acknowledged.len() >= 100, "{}", acknowledged.len());
        let lost = not_in_inbox(&url, &schema, &acknowledged).await;
        assert!(lost.is_empty(), "{signal}: acknowledged and lost: {lost:?}");
    }
}

/// How many webhooks were accepted.
async fn stored(service: &Service) -> u64 {
    let (_, metrics) = service.status(Method::GET, &format!("{}/metrics", service.internal)).await;
    let accepted = |line: &&str| line.starts_with("account_opening_webhooks_total") && line.contains("\"accepted\"");
    metrics.lines().find(accepted).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// A connection that never says all that it has to say.
fn half_a_request(service: &Service, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.public.trim_start_matches("http://")).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

const HALF_A_HEADER: &str = "POST /webhooks/nexusbank HTTP/1.1\r\nHost: x\r\nContent-";
const HALF_A_BODY: &str =
    "POST /webhooks/nexusbank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";

/// P25: a client that holds its connection does not hold the service.
#[tokio::test]
async fn half_sent_requests_do_not_keep_the_service_beyond_its_grace_period() {
    let (serve, ..) = migrated().await;
    let mut service = serve.start().await;
    let open = [half_a_request(&service, HALF_A_HEADER), half_a_request(&service, HALF_A_BODY)];
    // Later connections are accepted after earlier ones: now the service has both.
    assert_eq!(service.webhook("msg_1").await, 200);
    let ended = ends(&mut service, Signal::SIGTERM).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    drop(open);
}

/// P25
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (serve, ..) = migrated().await;
    // Long enough to tell that it was not waited for.
    let mut service = serve.env("SHUTDOWN_GRACE", "60s").start().await;
    let open = half_a_request(&service, HALF_A_HEADER);
    assert_eq!(service.webhook("msg_1").await, 200);
    service.process.signal(Signal::SIGINT);
    eventually("it is stopping", WITHIN, async || {
        service.process.stderr().contains("\"message\":\"stopping\"").then_some(())
    })
    .await;
    assert!(service.process.lives(), "the open connection held it up no longer than this test");
    service.process.signal(Signal::SIGINT);
    let ended = service.process.ended(Duration::from_secs(2)).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
    drop(open);
}
