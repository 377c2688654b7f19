//! The proof with real processes: killed, and started again.

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use futures::future::join_all;
use serde_json::Value;
use world::{Endpoint, Options, Plan, Planner, Simulator, Verdict};

use crate::process::external::migrated;
use crate::support::process::{WITHIN, eventually};
use crate::support::service::Service;

const OPENINGS: usize = 200;

async fn in_state(service: &Service, state: &str) -> Vec<Value> {
    let page = service.get(&format!("/v1/account-openings?state={state}&limit=200")).await;
    page["items"].as_array().unwrap().clone()
}

async fn all_are(service: &Service, state: &str) -> Vec<Value> {
    let look = async || Some(in_state(service, state).await).filter(|it| it.len() == OPENINGS);
    eventually(&format!("all are {state}"), WITHIN + WITHIN, look).await
}

/// Down while the bank decides 200 openings and gives up telling: after the start all are completed, and none was polled.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_killed_catches_up_with_200_decisions_at_its_next_start() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::by_hand());
    let world = Simulator::start(options).await.unwrap();
    let (serve, ..) = migrated().await;
    let serve = serve.outside_world(&world.base_url());
    let mut service = serve.start().await;
    world.deliver_to(format!("{}/webhooks/nexusbank", service.public));
    let caller = service.caller();
    for number in 0..OPENINGS {
        let answer = caller.start(&format!("key_{number}"), &format!("cus_{number}")).await.unwrap();
        assert_eq!(answer.status(), 202);
    }
    let waiting = all_are(&service, "awaiting_provider").await;

    service.process.kill().await;
    let told = waiting.iter().map(|it| world.decide(it["id"].as_str().unwrap(), &Verdict::complete()).unwrap().told());
    assert!(join_all(told).await.iter().all(Option::is_none), "nobody is there to be told");
    assert_eq!(world.counts().webhooks_given_up, OPENINGS as u64);

    let service = serve.start().await;
    let done = all_are(&service, "completed").await;
    for opening in &done {
        let history = service.get(&format!("/v1/account-openings/{}/history", opening["id"].as_str().unwrap())).await;
        assert_eq!(history["items"][3]["source"], "list", "{history}");
    }
    let lookups: u64 = world.ledger().openings.values().map(|it| it.calls(Endpoint::Lookup)).sum();
    assert_eq!((lookups, world.counts().double_effects), (0, 0));
    assert_eq!(service.stop().await.code(), Some(0));
    world.stop().await;
}
