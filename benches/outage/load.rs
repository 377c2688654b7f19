//! The load: openings and webhooks at a steady pace, answered or not, and a look at the breakers beside it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use account_opening::clock::{Clock, Time};
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use world::Plan;

use crate::world::{TOKEN, WAITING, World};

/// 20 a second.
const OPENINGS: Duration = Duration::from_millis(50);
/// 100 a second.
const WEBHOOKS: Duration = Duration::from_millis(10);
const LOOKS: Duration = Duration::from_millis(200);
/// Openings that webhooks are about.
const NUMBER_WAITING: usize = 200;

/// An answer.
#[derive(Clone, Copy)]
pub struct Answer {
    pub sent: Instant,
    pub took: Duration,
    /// 0: there was none.
    pub status: u16,
}

/// All answers and breaker states, as seen from outside.
#[derive(Default)]
pub struct Seen {
    pub webhooks: Vec<Answer>,
    pub openings: Vec<Answer>,
    /// The bank's breakers (submit, lookup), and when.
    pub breakers: Vec<(Time, [String; 2])>,
}

/// The load, running.
pub struct Load {
    seen: Arc<Mutex<Seen>>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Starts it, once there are openings for the webhooks to be about.
    pub async fn start(world: &World, stop: &CancellationToken) -> Self {
        Self::prepare(world).await;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let mut tasks = JoinSet::new();
        let references = references(world).await;
        let (client, internal) = (world.client.clone(), world.internal.clone());
        let opening = move |n: usize| opening(&client, &internal, &format!("ordinary_{n}"));
        tasks.spawn(paced(OPENINGS, opening, stop.clone(), Arc::clone(&seen), |seen| &mut seen.openings));
        let (client, url) = (world.client.clone(), format!("{}/webhooks/nexusbank", world.public));
        let secret = WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).expect("the development secret");
        let webhook = move |n: usize| webhook(&client, &url, &secret, &references[n % references.len()], n);
        tasks.spawn(paced(WEBHOOKS, webhook, stop.clone(), Arc::clone(&seen), |seen| &mut seen.webhooks));
        tasks.spawn(watch(world.client.clone(), world.internal.clone(), stop.clone(), Arc::clone(&seen)));
        Self { seen, tasks }
    }

    async fn prepare(world: &World) {
        for n in 0..NUMBER_WAITING {
            let customer = format!("{WAITING}{n}");
            world.simulator.set_plan(&customer, Plan::by_hand());
            let answer = opening(&world.client, &world.internal, &customer).send().await.expect("an answer");
            assert_eq!(answer.status(), 202, "an opening is started");
        }
    }

    /// Waits for the last answers; all that was seen.
    pub async fn ended(mut self) -> Seen {
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tracking ids of the openings that wait, as the bank knows them.
async fn references(world: &World) -> Vec<String> {
    loop {
        let ledger = world.simulator.ledger();
        let waiting = ledger
            .openings
            .values()
            .filter(|it| it.customer_reference.as_ref().is_some_and(|it| it.starts_with(WAITING)));
        let references: Vec<String> = waiting.filter_map(|it| it.tracking_id().map(str::to_owned)).collect();
        if references.len() == NUMBER_WAITING {
            return references;
        }
        tokio::time::sleep(LOOKS).await;
    }
}

fn opening(client: &Client, internal: &str, customer: &str) -> RequestBuilder {
    let body = json!({
        "market": "BE", "customer_type": "company", "currency": "EUR",
        "customer": {"reference": customer, "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
    });
    let request = client.post(format!("{internal}/v1/account-openings")).bearer_auth(TOKEN);
    request.header("Idempotency-Key", customer).json(&body)
}

/// A webhook with a new id: no cache spares the database.
fn webhook(client: &Client, url: &str, secret: &WebhookSecret, reference: &str, number: usize) -> RequestBuilder {
    let (now, id) = (Clock::system().now(), format!("msg_{number}"));
    let data = json!({"account_opening_request_id": reference, "status": "IN_PROGRESS"});
    let body = json!({"type": "account_opening_request.status_changed", "timestamp": now, "data": data}).to_string();
    client
        .post(url)
        .header("content-type", "application/json")
        .header(signature::ID, &id)
        .header(signature::TIMESTAMP, now.timestamp().to_string())
        .header(signature::SIGNATURE, signature::sign(secret, &id, now, body.as_bytes()))
        .body(body)
}

/// Sends a request at each beat, whether or not those before it are answered.
async fn paced(
    beat: Duration,
    request: impl Fn(usize) -> RequestBuilder,
    stop: CancellationToken,
    seen: Arc<Mutex<Seen>>,
    list: fn(&mut Seen) -> &mut Vec<Answer>,
) {
    let mut beats = interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for number in 0.. {
        if stop.run_until_cancelled(beats.tick()).await.is_none() {
            break;
        }
        let (request, seen, sent) = (request(number), Arc::clone(&seen), Instant::now());
        under_way.spawn(async move {
            let status = request.send().await.map_or(0, |it| it.status().as_u16());
            let answer = Answer { sent, took: sent.elapsed(), status };
            list(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)).push(answer);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn watch(client: Client, internal: String, stop: CancellationToken, seen: Arc<Mutex<Seen>>) {
    let mut beats = interval(LOOKS);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beats.tick()).await.is_some() {
        let request = client.get(format!("{internal}/v1/breakers")).bearer_auth(TOKEN).send();
        let Ok(answer) = request.await else { continue };
        let Ok(list) = answer.json::<Value>().await else { continue };
        let states = ["submit", "lookup"].map(|operation| {
            let items = list["items"].as_array().into_iter().flatten();
            let mut its = items.filter(|it| it["provider"] == "nexusbank" && it["operation"] == operation);
            its.next().and_then(|it| it["state"].as_str()).unwrap_or("unknown").to_owned()
        });
        seen.lock().unwrap_or_else(PoisonError::into_inner).breakers.push((Clock::system().now(), states));
    }
}
