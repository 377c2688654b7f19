//! The outside world as the service meets it.

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::signature::{ID, SIGNATURE, TIMESTAMP};
use super::{Config, Provider, Secret};
use crate::files::{Recorder, now};
use crate::record::{Did, Fault, Seen};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Town {
    provider: Provider,
    history: Recorder,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Town {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Recorder::create(&folder.path().join(name)).unwrap();
        let (ledger, history) = (file("ledger.jsonl"), file("history.jsonl"));
        let config = Config { bank: super::Bank::NexusBank, port: None, seed: 1, event_secret: SECRET.to_owned() };
        let provider = Provider::start(config, ledger, history.clone()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { provider, history, client, folder }
    }

    async fn submit(&self, key: &str, number: u64) -> (StatusCode, Value) {
        let url = format!("{}/v1/account-opening-requests", self.provider.url());
        let body = json!({
            "reference": format!("opening-{number}"), "market": "BE", "customer_type": "company", "currency": "EUR",
            "profile_id": "prf_1", "customer": { "reference": format!("c-1-{number}") },
        });
        let answer = self.client.post(url).header("idempotency-key", key).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn look(&self, path: &str) -> Value {
        let url = format!("{}/v1/account-opening-requests{path}", self.provider.url());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    fn ledger(&self) -> Vec<Did> {
        lines(&self.folder.path().join("ledger.jsonl"))
    }

    fn requests(&self) -> usize {
        self.ledger().iter().filter(|it| matches!(it, Did::Request { .. })).count()
    }
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_key_makes_an_effect_once_and_another_key_a_second_one() {
    let town = Town::new().await;
    let ((_, first), (_, second)) = tokio::join!(town.submit("k1", 1), town.submit("k1", 1));
    assert_eq!(first, second);
    assert_eq!(town.requests(), 1);
    assert_eq!(town.submit("k1", 2).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, other) = town.submit("k2", 1).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_ne!(other["account_opening_request_id"], first["account_opening_request_id"]);
    assert_eq!(town.requests(), 2);
    let both = town.look("?reference=opening-1").await;
    assert_eq!(both["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn half_of_the_failed_calls_have_taken_effect_and_a_repeat_is_told_so() {
    let town = Town::new().await;
    town.provider.strike(Some(Fault::ProviderError), 1.0);
    for number in 0..4 {
        assert_eq!(town.submit(&format!("k{number}"), number).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(town.requests(), 2);
    town.provider.strike(None, 0.0);
    for number in 0..4 {
        assert_eq!(town.submit(&format!("k{number}"), number).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!(town.requests(), 4);
    assert_eq!(town.provider.counts().suffered, 4);
}

#[tokio::test]
async fn a_decision_is_looked_up_said_and_in_the_ledger() {
    let town = Town::new().await;
    let mut words = town.provider.world().listen();
    for number in 0..20 {
        town.submit(&format!("k{number}"), number).await;
    }
    let decided = tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(word) = words.recv().await {
            if word.status == "COMPLETED" {
                return word;
            }
        }
        panic!("the bank fell silent")
    });
    let word = decided.await.unwrap();
    let stands = town.look(&format!("/{}", word.tracking_id)).await;
    assert_eq!((&stands["status"], stands["iban"].as_str()), (&json!("COMPLETED"), word.iban.as_deref()));
    let written = |it: &Did| matches!(it, Did::Decided { iban, .. } if *iban == word.iban);
    assert!(town.ledger().iter().any(written));
}

#[tokio::test]
async fn a_subscriber_takes_what_is_signed_and_writes_it_down() {
    let town = Town::new().await;
    let secret = Secret::parse(SECRET).unwrap();
    for (key, status) in [(&secret, 204), (&Secret::wrong().unwrap(), 401)] {
        let (body, at) = (r#"{"id":"e1","type":"account_opening.started"}"#, now() / 1_000_000);
        let call = town.client.post(format!("{}/events", town.provider.url())).header(ID, "e1");
        let call = call.header(TIMESTAMP, at).header(SIGNATURE, key.sign("e1", at, body.as_bytes()));
        assert_eq!(call.body(body).send().await.unwrap().status().as_u16(), status);
    }
    town.history.flush().await.unwrap();
    let seen: Vec<Seen> = lines(&town.folder.path().join("history.jsonl"));
    assert!(matches!(&seen[..], [Seen::Delivered { event, .. }] if event == "e1"));
    assert_eq!(town.provider.counts().badly_signed, 1);
}
