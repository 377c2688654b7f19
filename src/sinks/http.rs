//! Signed HTTP: each event is a POST of a `CloudEvent`, signed with Standard Webhooks.

use super::{SinkSettings, cloud_event};
use crate::clock::Time;
use crate::db::events::Event;
use crate::outbound::{CallError, Client, Gate, Gates};
use crate::provider::signature;

/// The media type of one `CloudEvent` in structured mode (CloudEvents 1.0, HTTP binding, section 3.2).
const CONTENT_TYPE: &str = "application/cloudevents+json";

#[derive(Clone, Debug)]
pub struct HttpSink {
    settings: SinkSettings,
    client: Client,
    gate: Gate,
}

impl HttpSink {
    pub(super) fn new(settings: SinkSettings, client: Client, gates: &Gates) -> Self {
        let gate = gates.gate(&settings.name, "deliver");
        Self { settings, client, gate }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sends one event; any 2xx acknowledges it.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    pub async fn deliver(&self, event: &Event, now: Time) -> Result<(), CallError> {
        let id = event.id.to_string();
        let body = cloud_event(event).to_string();
        let call = self
            .client
            .post(&self.settings.url)
            .header("content-type", CONTENT_TYPE)
            .header(signature::ID, &id)
            .header(signature::TIMESTAMP, now.timestamp().to_string())
            .header(signature::SIGNATURE, signature::sign(&self.settings.secret, &id, now, body.as_bytes()))
            .body(body);
        self.client.call(&self.gate, call).await.map(|_| ())
    }
}
