//! The migration from the legacy flow, market by market, under load on two instances.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::{Options, Plan, Planner, Simulator};

use crate::process::external::{connect, migrated};
use crate::support::process::{WITHIN, eventually};
use crate::support::service::Service;

/// The scopes that openings are started for.
const KINDS: [(&str, &str); 4] = [("NL", "company"), ("NL", "freelancer"), ("BE", "company"), ("BE", "freelancer")];
/// The time within which a flip is seen everywhere.
const SEEN: Duration = Duration::from_secs(2);

/// One start.
#[derive(Clone, Debug)]
struct Started {
    kind: (&'static str, &'static str),
    key: String,
    sent: Instant,
    answered: Instant,
    id: String,
    flow: String,
}

/// A flip: when it was asked for, and when it was answered.
#[derive(Debug)]
struct Flip {
    asked: Instant,
    done: Instant,
}

/// Starts openings of a kind, on one instance, until it is told to stop.
async fn sender(
    (client, internal): (reqwest::Client, String),
    (kind, name): ((&'static str, &'static str), String),
    record: Arc<Mutex<Vec<Started>>>,
    stop: CancellationToken,
) {
    for number in 0_u32.. {
        if stop.is_cancelled() {
            return;
        }
        let key = format!("{name}_{number}");
        let body = json!({
            "market": kind.0, "customer_type": kind.1, "currency": "EUR",
            "customer": {"reference": key, "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
        });
        let request = client.post(format!("{internal}/v1/account-openings")).bearer_auth("development-token");
        let sent = Instant::now();
        let response = request.header("Idempotency-Key", &key).json(&body).send().await.unwrap();
        let (status, answered) = (response.status().as_u16(), Instant::now());
        let resource: Value = response.json().await.unwrap();
        assert!([201, 202].contains(&status), "{status} {resource}");
        let word = |name: &str| resource[name].as_str().unwrap().to_owned();
        let started = Started { kind, key, sent, answered, id: word("id"), flow: word("flow") };
        record.lock().unwrap().push(started);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn set(service: &Service, body: Value) -> Flip {
    let asked = Instant::now();
    let url = format!("{}/v1/feature-flags/async-account-opening", service.internal);
    let response = service.client.put(url).bearer_auth("development-token").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    Flip { asked, done: Instant::now() }
}

/// Waits until every kind has been started on both instances this long after the flip.
async fn goes_on(record: &Mutex<Vec<Started>>, flip: &Flip) {
    // Answers on the legacy flow may take their time on a machine that has other things to do.
    eventually("openings of every kind after the flip", WITHIN * 3, async || {
        let record = record.lock().unwrap();
        let after = |kind, instance: &str| {
            let sent = |it: &&Started| it.kind == kind && it.key.starts_with(instance) && it.sent > flip.done + SEEN;
            record.iter().filter(sent).count()
        };
        KINDS.iter().all(|kind| ["one", "two"].iter().all(|it| after(*kind, it) >= 2)).then_some(())
    })
    .await;
}

/// Every opening keeps the flow it started on, none is lost, and a flip is seen within 2 s.
#[tokio::test(flavor = "multi_thread")]
async fn companies_then_freelancers_of_nl_then_be_are_flipped_under_load_on_two_instances() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan { decide_after: Duration::from_millis(200), ..Plan::default() });
    let world = Simulator::start(options).await.unwrap();
    let (serve, url, schema) = migrated().await;
    let serve = serve
        .outside_world(&world.base_url())
        .env("HISTORY_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        .env("PROVIDER_TIMEOUT", "5s")
        .env("SHUTDOWN_GRACE", "15s")
        .env("POLL_SCHEDULE", "1s");
    let (one, two) = tokio::join!(serve.start(), serve.start());
    world.deliver_to(format!("{}/webhooks/nexusbank", one.public));

    let legacy = set(&one, json!({"enabled": false, "reason": "as it was"})).await;
    tokio::time::sleep(SEEN.saturating_sub(legacy.done.elapsed())).await;
    let (record, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let mut senders = JoinSet::new();
    for (service, instance) in [(&one, "one"), (&two, "two")] {
        for kind in KINDS {
            let name = format!("{instance}_{}_{}", kind.0, kind.1);
            let target = (service.client.clone(), service.internal.clone());
            senders.spawn(sender(target, (kind, name), Arc::clone(&record), stop.clone()));
        }
    }
    goes_on(&record, &legacy).await;
    // Each is set at one instance and has to be seen at both.
    let companies = json!({"market": "NL", "customer_type": "company", "enabled": true, "reason": "companies"});
    let companies = set(&one, companies).await;
    goes_on(&record, &companies).await;
    let freelancers = json!({"market": "NL", "customer_type": "freelancer", "enabled": true, "reason": "freelancers"});
    let freelancers = set(&two, freelancers).await;
    goes_on(&record, &freelancers).await;
    let belgium = set(&one, json!({"market": "BE", "enabled": true, "reason": "Belgium"})).await;
    goes_on(&record, &belgium).await;
    stop.cancel();
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }

    let started = record.lock().unwrap().clone();
    for it in &started {
        let flip = match it.kind {
            ("NL", "company") => &companies,
            ("NL", _) => &freelancers,
            _ => &belgium,
        };
        if it.answered < flip.asked {
            assert_eq!(it.flow, "sync", "before it was asked for: {it:?}");
        }
        if it.sent > flip.done + SEEN {
            assert_eq!(it.flow, "async", "a flip is seen within 2 s: {it:?} {flip:?}");
        }
    }
    all_are_there(&started, &url, &schema).await;
    assert_eq!(world.ledger().counts.double_effects, 0, "P9: {:?}", world.ledger().counts);
    for service in [one, two] {
        assert_eq!(service.stop_within(Duration::from_secs(16)).await.code(), Some(0));
    }
    world.stop().await;
}

/// Each is completed, on the flow that its caller was told, by that flow's command alone; and there are no others.
async fn all_are_there(started: &[Started], url: &str, schema: &str) {
    let mut connection = connect(url, schema).await;
    let unfinished = "select count(*) from account_openings where state <> 'completed'";
    eventually("all are completed", WITHIN + WITHIN, async || {
        let left: i64 = sqlx::query_scalar(unfinished).fetch_one(&mut connection).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    let rows: Vec<(String, String, String, Vec<String>)> = sqlx::query_as(
        "select o.id::text, o.customer_reference, o.flow,
                array(select topic from outbox where opening_id = o.id and topic in ('submit_request', 'open_account'))
           from account_openings o",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(rows.len(), started.len());
    for (id, key, flow, topics) in rows {
        let told = started.iter().find(|it| it.key == key).unwrap_or_else(|| panic!("{key} was never answered"));
        assert_eq!((&told.id, &told.flow), (&id, &flow));
        assert_eq!(topics, [if flow == "sync" { "open_account" } else { "submit_request" }], "{told:?}");
    }
}
