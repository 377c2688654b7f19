//! Subscribers: those who are sent every event, as a `CloudEvent` signed per Standard Webhooks.

use serde_json::{Value, json};

use crate::clock::Time;
use crate::config::Subscriber;
use crate::db::events::Event;
use crate::outbound::{CallError, Client, Gate, Gates};
use crate::provider::signature;

/// The media type of one `CloudEvent` in structured mode (CloudEvents 1.0, HTTP binding, section 3.2).
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Sends events to those who subscribed.
#[derive(Clone, Debug)]
pub struct Subscribers {
    client: Client,
    subscribers: Vec<(Subscriber, Gate)>,
}

impl Subscribers {
    /// These subscribers.
    #[must_use]
    pub fn new(subscribers: Vec<Subscriber>, client: Client, gates: &Gates) -> Self {
        let with_gates = subscribers.into_iter().map(|it| {
            let gate = gates.gate(&origin(&it.url), "deliver");
            (it, gate)
        });
        Self { client, subscribers: with_gates.collect() }
    }

    /// The subscriber with this URL, if it is still one.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&(Subscriber, Gate)> {
        self.subscribers.iter().find(|(it, _)| it.url == url)
    }

    /// What stands before their calls: one each for those that lead to the same place.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        let mut gates: Vec<Gate> = self.subscribers.iter().map(|(_, gate)| gate.clone()).collect();
        gates.sort_by(|a, b| a.system().cmp(b.system()));
        gates.dedup_by(|a, b| a.system() == b.system());
        gates
    }

    /// The URLs of those behind the gate of this system.
    #[must_use]
    pub fn behind(&self, system: &str) -> Vec<String> {
        let behind = self.subscribers.iter().filter(|(_, gate)| gate.system() == system);
        behind.map(|(it, _)| it.url.clone()).collect()
    }

    /// Sends one event. Any 2xx is an acknowledgement.
    ///
    /// # Errors
    /// By meaning.
    pub async fn deliver(&self, (to, gate): &(Subscriber, Gate), event: &Event, now: Time) -> Result<(), CallError> {
        let id = event.id.to_string();
        let body = cloud_event(event).to_string();
        let call = self
            .client
            .post(&to.url)
            .header("content-type", CONTENT_TYPE)
            .header(signature::ID, &id)
            .header(signature::TIMESTAMP, now.timestamp().to_string())
            .header(signature::SIGNATURE, signature::sign(&to.secret, &id, now, body.as_bytes()))
            .body(body);
        self.client.call(gate, call).await.map(|_| ())
    }
}

/// Where a URL leads, without what in it may be secret.
fn origin(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| "subscriber".to_owned(), |url| url.origin().ascii_serialization())
}

/// An event in the JSON format of CloudEvents 1.0.
#[must_use]
pub fn cloud_event(event: &Event) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": "/account-openings",
        "type": event.kind,
        "subject": event.opening_id,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": event.data,
    })
}
