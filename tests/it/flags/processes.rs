//! Processes that end while a legacy call hangs. (P25, P9)

use std::time::Duration;

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use nix::sys::signal::Signal;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use world::{Endpoint, Options, Plan, Planner, Simulator, Verdict};

use crate::process::external::{connect, migrated};
use crate::support::process::{WITHIN, eventually};
use crate::support::service::{GRACE, Service, ServiceBuilder};

const SLACK: Duration = Duration::from_millis(500);

struct Stage {
    world: Simulator,
    serve: ServiceBuilder,
    url: String,
    schema: String,
}

impl Stage {
    async fn new() -> Self {
        let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
        options.planner = Planner::Fixed(Plan::by_hand());
        let world = Simulator::start(options).await.unwrap();
        let (serve, url, schema) = migrated().await;
        let serve = serve
            .outside_world(&world.base_url())
            .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
            .env("LEASE_MARGIN", "500ms");
        Self { world, serve, url, schema }
    }

    /// The one command of this topic.
    async fn command(&self) -> Value {
        let row = "select to_jsonb(outbox) from outbox where topic = 'open_account'";
        sqlx::query_scalar(row).fetch_one(&mut connect(&self.url, &self.schema).await).await.unwrap()
    }

    /// Waits until the bank has been called so often; the opening's id.
    async fn called(&self, times: u64) -> String {
        eventually("the bank is called", WITHIN, async || {
            let ledger = self.world.ledger();
            ledger.openings.values().find(|it| it.calls(Endpoint::OpenAccount) >= times).map(|it| it.reference.clone())
        })
        .await
    }

    /// P9: so many calls, all under one key, and one account.
    fn one_account(&self, id: &str, calls: usize) {
        let record = self.world.opening(id).unwrap();
        let opens = record.log.iter().filter(|it| it.endpoint == Endpoint::OpenAccount);
        let mut keys: Vec<_> = opens.map(|it| it.key.clone()).collect();
        assert_eq!(keys.len(), calls, "{record:?}");
        keys.dedup();
        assert_eq!((keys.len(), record.requests.len()), (1, 1), "{record:?}");
        assert_eq!(self.world.ledger().counts.double_effects, 0);
    }
}

/// A caller that starts an opening while the test disturbs the service.
struct Caller {
    client: reqwest::Client,
    url: String,
}

impl Caller {
    fn of(service: &Service) -> Self {
        Self { client: service.client.clone(), url: format!("{}/v1/account-openings", service.internal) }
    }

    async fn start(&self) -> reqwest::Result<Response> {
        let body = json!({
            "market": "BE", "customer_type": "company", "currency": "EUR", "flow": "sync",
            "customer": {"reference": "cus_1", "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
        });
        let request = self.client.post(&self.url).bearer_auth("development-token").header("Idempotency-Key", "k");
        request.json(&body).send().await
    }
}

/// P25: a call longer than the grace period is aborted, and is due at once for the next process.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_gives_up_a_hanging_call_in_time_and_the_next_start_repeats_it_under_the_same_key() {
    let stage = Stage::new().await;
    let mut service = stage.serve.start().await;
    let caller = Caller::of(&service);
    let ending = async {
        let id = stage.called(1).await;
        service.process.signal(Signal::SIGTERM);
        id
    };
    let (answer, id) = tokio::join!(caller.start(), ending);
    let ended = service.process.ended(GRACE + SLACK).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(answer.unwrap().status(), StatusCode::ACCEPTED, "nobody is kept waiting by a service that stops");
    let command = stage.command().await;
    assert_eq!((&command["status"], &command["lease_token"]), (&json!("pending"), &json!(null)), "{command}");
    let last = command["attempt_log"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["class"], &last["indeterminate"]), (&json!("shutdown"), &json!(true)), "{command}");

    let service = stage.serve.start().await;
    assert_eq!(stage.called(2).await, id);
    stage.world.decide(&id, &Verdict::complete()).unwrap();
    service.reaches(&id, "completed").await;
    stage.one_account(&id, 2);
    let again = Caller::of(&service).start().await.unwrap();
    assert_eq!(again.status(), StatusCode::ACCEPTED, "the first answer");
    assert_eq!(service.stop().await.code(), Some(0));
    stage.world.stop().await;
}

/// A call that ends while there is time is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_leaves_a_call_that_ends_in_time_to_its_end() {
    let stage = Stage::new().await;
    let mut service = stage.serve.start().await;
    let caller = Caller::of(&service);
    let ending = async {
        let id = stage.called(1).await;
        service.process.signal(Signal::SIGTERM);
        let stopping = || service.process.stderr().contains("\"stopping\"");
        eventually("it stops", WITHIN, async || stopping().then_some(())).await;
        stage.world.decide(&id, &Verdict::complete()).unwrap();
        id
    };
    let (answer, id) = tokio::join!(caller.start(), ending);
    assert!(answer.is_ok_and(|it| [201, 202].contains(&it.status().as_u16())));
    assert_eq!(service.process.ended(GRACE + SLACK).await.code(), Some(0));
    let command = stage.command().await;
    assert_eq!(command["status"], "delivered", "{command}");
    let service = stage.serve.start().await;
    service.reaches(&id, "completed").await;
    stage.one_account(&id, 1);
    assert_eq!(service.stop().await.code(), Some(0));
    stage.world.stop().await;
}

/// P9: neither the call nor the caller's wait is lost with the process that made them.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_the_call_to_another_and_the_answer_to_the_repeat() {
    let stage = Stage::new().await;
    // Longer than it takes to start again.
    let serve = stage.serve.clone().env("SYNC_PROVIDER_TIMEOUT", "2s").env("SYNC_WAIT", "6s");
    let mut service = serve.start().await;
    let caller = Caller::of(&service);
    let killing = async {
        let id = stage.called(1).await;
        service.process.kill().await;
        id
    };
    let (answer, id) = tokio::join!(caller.start(), killing);
    assert!(answer.is_err(), "{answer:?}");

    let service = serve.start().await;
    stage.world.decide(&id, &Verdict::complete()).unwrap();
    service.reaches(&id, "completed").await;
    let told = eventually("the wait is over", WITHIN, async || {
        let response = Caller::of(&service).start().await.unwrap();
        (response.status() != StatusCode::CONFLICT).then_some(response)
    })
    .await;
    assert_eq!(
        (told.status(), &told.headers()["idempotent-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    let told: Value = told.json().await.unwrap();
    let again: Value = Caller::of(&service).start().await.unwrap().json().await.unwrap();
    assert_eq!((&told["id"], &told), (&json!(id), &again));
    stage.one_account(&id, 2);
    assert_eq!(service.stop().await.code(), Some(0));
    stage.world.stop().await;
}
