//! Reports in the forms in which providers are known to send them: unknown statuses, accounts that are none, long ids,
//! references in other forms, repeats that differ in their bytes.

mod accounts;
mod references;
mod repeats;
mod statuses;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::support::{TestApp, listen};

const IBAN: &str = "BE68539007547034";

/// Everything outside the service: answers each request by a test's script, and counts them.
#[derive(Clone, Default)]
struct Outside {
    made: Arc<Mutex<HashMap<String, usize>>>,
    /// The requests that the bank lists as changed.
    list: Arc<Mutex<Vec<Value>>>,
}

impl Outside {
    /// The app with this outside world. `script` answers a request (`GET /v1/…?…`) by how often it was made before; what it leaves
    /// open is answered as a bank, profile service and card issuer do that are well.
    async fn around(
        script: impl Fn(&str, usize) -> Option<(u16, Value)> + Clone + Send + Sync + 'static,
    ) -> (Self, TestApp) {
        let outside = Self::default();
        let at = outside.clone();
        let router = Router::new().fallback(move |method: Method, uri: Uri| {
            let request = format!("{method} {uri}");
            let (status, body) = script(&request, at.count(&request)).unwrap_or_else(|| at.usual(&request));
            async move { (StatusCode::from_u16(status).unwrap(), Json(body)) }
        });
        let url = listen(router).await;
        let app = TestApp::with().settings(|it| {
            it.nexusbank.base_url.clone_from(&url);
            it.profile_service_url.clone_from(&url);
            it.card_service_url.clone_from(&url);
        });
        (outside, app.start().await)
    }

    /// Counts a request; how often it was made before.
    fn count(&self, request: &str) -> usize {
        let mut made = self.made.lock().unwrap();
        let count = made.entry(request.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    fn usual(&self, request: &str) -> (u16, Value) {
        let accepted = |status: &str| json!({"account_opening_request_id": "aor_1", "status": status});
        match request {
            "POST /v1/profiles" => (201, json!({"profile_id": "prf_1"})),
            "POST /v1/virtual-cards" => (201, json!({"card_id": "card_1"})),
            "POST /v1/account-opening-requests" => (202, accepted("INITIATED")),
            _ if request.contains("?updated_since=") => (200, json!({"items": *self.list.lock().unwrap()})),
            _ if request.contains('?') => (200, json!({"items": []})),
            _ => (200, accepted("IN_PROGRESS")),
        }
    }

    /// How often a request was made that begins so.
    fn made(&self, prefix: &str) -> usize {
        self.made.lock().unwrap().iter().filter(|(it, _)| it.starts_with(prefix)).map(|(_, count)| *count).sum()
    }

    /// Has the service read the bank's list, which has these items.
    async fn listed(&self, app: &TestApp, items: &[Value]) {
        *self.list.lock().unwrap() = items.to_vec();
        let (status, answer) = app.post("/v1/providers/nexusbank/backfill", &json!({"reason": "a test"})).await;
        assert_eq!(status, 202, "{answer}");
        app.settle().await;
    }
}

/// The details of this kind in the timeline of an opening.
async fn of_kind(app: &TestApp, id: &str, kind: &str) -> Vec<Value> {
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    items.into_iter().filter(|it| it["kind"] == kind).map(|mut it| it["detail"].take()).collect()
}
