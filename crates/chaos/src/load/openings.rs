//! Callers that open accounts: each repeats its request with its key until it gets 202, also after a hang-up or a lost
//! answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::pace::Pace;
use super::run::{Run, count};
use super::wire::{Call, Listener, Reply};
use crate::files::now;
use crate::provider::{Deck, rng};
use crate::record::Seen;

const TYPES: [&str; 3] = ["company", "freelancer", "individual"];

/// Begins openings at their rate.
pub struct Openings {
    run: Arc<Run>,
    pace: Pace,
    begun: u64,
    hang_ups: Deck<bool>,
    asked_again: Deck<bool>,
}

struct Caller {
    run: Arc<Run>,
    rng: StdRng,
    key: String,
    call: Call,
}

#[derive(Deserialize)]
struct Started {
    id: String,
}

impl Openings {
    pub fn new(run: Arc<Run>, now: Instant) -> Self {
        let seed = run.config.seed;
        Self {
            pace: Pace::new(run.config.openings_per_second, now),
            begun: 0,
            hang_ups: Deck::of(seed, "openings hung up", &[(5, true), (95, false)]),
            asked_again: Deck::of(seed, "openings asked again", &[(3, true), (97, false)]),
            run,
        }
    }

    /// Begins what is due.
    pub fn tick(&mut self, now: Instant) {
        self.pace.tick(now);
        while self.pace.is_due() {
            self.pace.send();
            let caller = Caller::new(&self.run, self.begun);
            let (hang_up, again) = (self.hang_ups.deal(), self.asked_again.deal());
            self.begun += 1;
            count(&self.run.counts.openings);
            self.run.spawn(caller.open(hang_up == Some(true), again == Some(true)));
        }
    }
}

impl Caller {
    fn new(run: &Arc<Run>, number: u64) -> Self {
        let seed = run.config.seed;
        let mut rng = rng(seed, "opening", number);
        let key = format!("c-{seed}-{number}");
        let markets = run.config.bank.markets();
        let market = markets[rng.random_range(0..markets.len())];
        let body = json!({
            "market": market,
            "customer_type": TYPES[rng.random_range(0..TYPES.len())],
            "currency": "EUR",
            "customer": {
                "reference": key, "name": format!("Customer {number}"),
                "email": format!("customer.{number}@example.com"), "country": market,
            },
        });
        let headers = vec![
            ("authorization", format!("Bearer {}", run.config.token)),
            ("idempotency-key", key.clone()),
            ("content-type", "application/json".to_owned()),
        ];
        let body = Bytes::from(body.to_string());
        let path = "/v1/account-openings".to_owned();
        let call = Call { listener: Listener::Internal, method: Method::POST, path, headers, body };
        Self { run: Arc::clone(run), rng, key, call }
    }

    async fn open(mut self, hang_up: bool, again: bool) {
        let id = if hang_up {
            self.hang_up().await;
            self.pause().await;
            self.until_acked(false).await
        } else {
            self.until_acked(true).await
        };
        count(&self.run.counts.acked);
        if let Some(id) = id {
            self.run.know(id);
        }
        if again {
            let after = Duration::from_millis(self.rng.random_range(1_000..15_000));
            self.run.later(after).await;
            self.until_acked(false).await;
        }
    }

    /// The id in the answer.
    async fn until_acked(&mut self, mut first: bool) -> Option<String> {
        loop {
            let replica = self.ask(first, false);
            let reply = self.run.net.send(replica, &self.call).await;
            let id = self.answered(replica, &reply);
            if reply.status == 202 {
                return id;
            }
            first = false;
            self.pause().await;
        }
    }

    async fn hang_up(&mut self) {
        let replica = self.ask(true, true);
        let after = Duration::from_micros(self.rng.random_range(0..20_000));
        self.run.net.hang_up(replica, &self.call, after).await;
        self.answered(replica, &Reply::default());
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(800..1_200))).await;
    }

    fn ask(&mut self, first: bool, hang_up: bool) -> usize {
        let replica = self.run.replica(&mut self.rng);
        self.run.history.record(&Seen::Open { at: now(), key: self.key.clone(), replica, first, hang_up });
        replica
    }

    fn answered(&self, replica: usize, reply: &Reply) -> Option<String> {
        let started = (reply.status == 202).then(|| serde_json::from_slice::<Started>(&reply.body).ok()).flatten();
        let (id, key) = (started.map(|it| it.id), self.key.clone());
        let Reply { status, replayed, .. } = *reply;
        let opened = Seen::Opened { at: now(), key, replica, status, id: id.clone(), replayed };
        self.run.history.record(&opened);
        id
    }
}
