//! A rolling restart, as an orchestrator does it. (P25, P1, P9)

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use futures::future::join_all;
use nix::sys::signal::Signal;
use world::{Options, Plan, Planner, Simulator};

use crate::process::external::migrated;
use crate::support::kept::Acknowledged;
use crate::support::load::Load;
use crate::support::process::WITHIN;
use crate::support::service::{GRACE, Service, ServiceBuilder};

/// P25: each instance ends and another takes its place, at the same addresses. A client that simply repeats a request that was
/// not taken notices no more than that. Nothing that was acknowledged is lost, and nothing happens twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_three_instances_under_load_loses_nothing() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::default());
    let world = Simulator::start(options).await.unwrap();
    let (serve, url, schema) = migrated().await;
    let serve = serve
        .outside_world(&world.base_url())
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        // The bank knows one instance: what it has to say while that one is away is found by polling.
        .env("POLL_SCHEDULE", "1s");
    let mut instances: Vec<(ServiceBuilder, Service)> = join_all((0..3).map(|_| at_fixed_addresses(&serve))).await;
    world.deliver_to(format!("{}/webhooks/nexusbank", instances[0].1.public));
    let all: Vec<&Service> = instances.iter().map(|(_, service)| service).collect();
    let load = Load::on(&all);
    load.is_taken(WITHIN).await;

    for (serve, service) in &mut instances {
        let (public, internal) = (service.public.clone(), service.internal.clone());
        service.process.signal(Signal::SIGTERM);
        let ended = service.process.ended(GRACE + Duration::from_secs(1)).await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        load.is_taken(WITHIN).await;
        *service = serve.start().await;
        assert_eq!((&service.public, &service.internal), (&public, &internal));
        load.is_taken(WITHIN).await;
    }

    let answers = load.finish().await;
    let acknowledged = Acknowledged::in_(&answers);
    acknowledged.is_there(&url, &schema).await;
    acknowledged.is_completed(&url, &schema).await;
    for answer in &answers {
        // No answer: refused, or cut off in the middle of being sent.
        assert!(answer.acknowledges() || [0, 503].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(world.ledger().counts.double_effects, 0, "P9: {:?}", world.ledger().counts);
    for (_, service) in instances {
        assert_eq!(service.stop().await.code(), Some(0));
    }
    world.stop().await;
}

async fn at_fixed_addresses(serve: &ServiceBuilder) -> (ServiceBuilder, Service) {
    let serve = serve.clone().env("PUBLIC_ADDR", address()).env("INTERNAL_ADDR", address());
    let service = serve.start().await;
    (serve, service)
}

/// A free address outside the ephemeral ports, so that it stays free while an instance is away.
fn address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other runs of the tests begin elsewhere.
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let address = format!("127.0.0.1:{}", first + NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
