//! Single ticks and single requests with a chosen caller.

use account_opening::domain::Topic;
use account_opening::driver::tick;
use account_opening::inbox::InboxWorker;
use account_opening::outbox::{Relay, Relayed};

use super::TestApp;

impl TestApp {
    /// Ticks the inbox worker once.
    pub async fn tick_inbox(&self) {
        self.tick(&InboxWorker::new(self.context.clone())).await;
    }

    /// Ticks the relay of one topic once; what it did.
    pub async fn relay(&self, topic: Topic) -> Relayed {
        tick(&Relay::of(self.context.clone(), topic)).await.unwrap()
    }

    /// A request to the internal listener with another caller's token.
    pub fn request_as(&self, token: &str, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.internal)).bearer_auth(token)
    }
}
