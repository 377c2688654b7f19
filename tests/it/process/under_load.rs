//! P25: SIGTERM under load: acknowledged work is there, nothing stays leased, no client is left hanging.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use nix::sys::signal::Signal;
use sqlx::PgConnection;
use world::{Api, Fault, Options, Plan, Planner, Simulator};

use super::external::{connect, migrated};
use crate::support::kept::Acknowledged;
use crate::support::load::Load;
use crate::support::process::{WITHIN, eventually};

/// Long enough to be in the middle of when the signal comes.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(8);
const SLACK: Duration = Duration::from_secs(1);

/// P25, P1
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_keeps_what_was_acknowledged_and_leaves_no_lease() {
    ends_in_order(None).await;
}

/// P25, P1: calls that hang are given until their own deadline, and what they were made for is given back.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_while_calls_hang_keeps_what_was_acknowledged_and_leaves_no_lease() {
    ends_in_order(Some(Fault::HangBefore)).await;
}

async fn ends_in_order(outage: Option<Fault>) {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::default());
    let world = Simulator::start(options).await.unwrap();
    world.outage(Api::Bank, outage);
    let (serve, url, schema) = migrated().await;
    let serve = serve
        .outside_world(&world.base_url())
        .env("PROVIDER_TIMEOUT", humantime::format_duration(PROVIDER_TIMEOUT).to_string())
        .env("SHUTDOWN_GRACE", humantime::format_duration(GRACE).to_string());
    let mut service = serve.start().await;
    world.deliver_to(format!("{}/webhooks/nexusbank", service.public));
    let mut database = connect(&url, &schema).await;
    let load = Load::on(&[&service]);
    load.is_taken(WITHIN).await;
    if outage.is_some() {
        eventually("a call hangs", WITHIN, async || (leased(&mut database).await > 0).then_some(())).await;
    }

    service.process.signal(Signal::SIGTERM);
    // New clients are refused at once.
    for listener in [&service.public, &service.internal] {
        let addr = listener.trim_start_matches("http://");
        let connect = async || TcpStream::connect(addr).err().filter(|it| it.kind() == ErrorKind::ConnectionRefused);
        eventually("new connections are refused", SLACK, connect).await;
    }
    assert!(outage.is_none() || service.process.lives(), "it gives the calls that hang their time");
    let ended = service.process.ended(GRACE + SLACK).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);

    assert_eq!(leased(&mut database).await, 0, "nothing is leased by a process that is gone");
    let acknowledged = Acknowledged::in_(&load.abandon().await);
    acknowledged.is_there(&url, &schema).await;

    // The next one goes on where this one ended.
    world.outage(Api::Bank, None);
    let service = serve.env("POLL_SCHEDULE", "1s").start().await;
    acknowledged.is_completed(&url, &schema).await;
    assert_eq!(world.ledger().counts.double_effects, 0, "P9: {:?}", world.ledger().counts);
    assert_eq!(service.stop().await.code(), Some(0));
    world.stop().await;
}

/// Work that is under a lease.
async fn leased(connection: &mut PgConnection) -> i64 {
    let leased = "select count(*) from outbox where lease_token is not null and due_at > now()";
    sqlx::query_scalar(leased).fetch_one(connection).await.unwrap()
}
