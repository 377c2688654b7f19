//! Sends every event to the subscribers, as a `CloudEvent` signed with Standard Webhooks.

use serde_json::{Value, json};

use crate::clock::Time;
use crate::db::events::Event;
use crate::outbound::{CallError, Client, Gate, Gates};
use crate::provider::signature::{self, WebhookSecret};

/// The media type of one `CloudEvent` in structured mode (CloudEvents 1.0, HTTP binding, section 3.2).
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A subscriber that receives every event.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub url: String,
    /// The secret that signs its events.
    pub secret: WebhookSecret,
}

/// The configured subscribers with their gates.
#[derive(Clone, Debug)]
pub struct Subscribers {
    client: Client,
    subscribers: Vec<(Subscriber, Gate)>,
}

impl Subscribers {
    #[must_use]
    pub fn new(subscribers: Vec<Subscriber>, client: Client, gates: &Gates) -> Self {
        let with_gates = subscribers.into_iter().map(|it| {
            let gate = gates.gate(&origin(&it.url), "deliver");
            (it, gate)
        });
        Self { client, subscribers: with_gates.collect() }
    }

    /// The subscriber with this URL, if still configured.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&(Subscriber, Gate)> {
        self.subscribers.iter().find(|(it, _)| it.url == url)
    }

    /// The gates of the subscribers: one per origin.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        let mut gates: Vec<Gate> = self.subscribers.iter().map(|(_, gate)| gate.clone()).collect();
        gates.sort_by(|a, b| a.system().cmp(b.system()));
        gates.dedup_by(|a, b| a.system() == b.system());
        gates
    }

    /// The URLs of the subscribers behind the gate of `system`.
    #[must_use]
    pub fn behind(&self, system: &str) -> Vec<String> {
        let behind = self.subscribers.iter().filter(|(_, gate)| gate.system() == system);
        behind.map(|(it, _)| it.url.clone()).collect()
    }

    /// Sends one event; any 2xx acknowledges it.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
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

/// The origin of a URL; path and query may contain secrets.
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
