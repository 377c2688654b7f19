//! The form of an event outside, the same for every sink and for `GET /v1/events`.

use serde_json::{Value, json};

use crate::db::events::Event;

/// An event in the JSON format of CloudEvents 1.0.
#[must_use]
pub fn cloud_event(event: &Event) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": if event.kind.starts_with("reconciliation.") { "/reconciliation" } else { "/account-openings" },
        "type": event.kind,
        "subject": event.subject,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": event.data,
    })
}
