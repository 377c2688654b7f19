//! Starting openings, as a caller does.

use std::panic::Location;

use serde_json::{Value, json};
use world::Plan;

use super::TestApp;

/// An opening to be started.
pub struct OpeningBuilder<'a> {
    app: &'a TestApp,
    body: Value,
    key: String,
    token: &'static str,
    plan: Option<Plan>,
}

impl<'a> OpeningBuilder<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        let customer = format!("cus_{}", app.state.shell.ids.next());
        let body = json!({
            "market": "BE", "customer_type": "company", "currency": "EUR",
            "customer": {"reference": customer, "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
        });
        Self { app, key: format!("key-{customer}"), body, token: super::TOKEN, plan: None }
    }

    /// Where.
    pub fn market(mut self, market: &str) -> Self {
        self.body["market"] = market.into();
        self
    }

    /// The caller's name for the customer.
    pub fn customer(mut self, reference: &str) -> Self {
        self.body["customer"]["reference"] = reference.into();
        self
    }

    /// The Idempotency-Key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }

    /// The caller's token.
    pub fn token(mut self, token: &'static str) -> Self {
        self.token = token;
        self
    }

    /// The world's plan for the opening.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// The body, to be changed.
    pub fn body(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.body);
        self
    }

    /// Sends the request.
    pub async fn send(self) -> reqwest::Response {
        if let Some(plan) = self.plan {
            self.app.world.set_plan(self.body["customer"]["reference"].as_str().unwrap(), plan);
        }
        let url = format!("{}/v1/account-openings", self.app.internal);
        let request = self.app.client.post(url).bearer_auth(self.token).header("Idempotency-Key", self.key);
        request.json(&self.body).send().await.unwrap()
    }

    /// Starts it and returns its id; it must be taken.
    pub async fn start(self) -> String {
        let response = self.send().await;
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Starts it and lets the workers bring it to where it waits for the bank. Returns its id and tracking id.
    pub async fn waiting(self) -> (String, String) {
        let app = self.app;
        let id = self.start().await;
        app.settle().await;
        let opening = app.in_state(&id, "awaiting_provider").await;
        (id, opening["provider_reference"].as_str().unwrap().to_owned())
    }
}

impl TestApp {
    /// An opening, which must be in this state. If it is in another, the failure shows how its calls ended, what became of the facts
    /// about it, which webhooks were refused and which work is dead.
    #[track_caller]
    pub fn in_state(&self, id: &str, state: &str) -> impl Future<Output = Value> {
        let place = Location::caller();
        async move {
            let opening = self.opening(id).await;
            if opening["state"] != state {
                let about = self.all_about(id).await;
                panic!("{place}: not {state}: {opening}\n{about}");
            }
            opening
        }
    }

    async fn all_about(&self, id: &str) -> String {
        let timeline = self.items(&format!("/v1/account-openings/{id}/timeline")).await;
        let timeline: Vec<_> = timeline.iter().map(|it| format!("{} {}", it["kind"], it["detail"])).collect();
        let timeline = timeline.join("\n");
        let refused = self.items("/v1/rejected-requests").await;
        let dead = self.items("/v1/dead-letters").await;
        format!("{timeline}\nrefused webhooks: {refused:?}\ndead letters: {dead:?}")
    }
}
