//! A subscriber of events, which may be out of order.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

/// A delivery, with any answer.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The status of the answer.
    pub status: u16,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The event in it.
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A subscriber that listens.
#[derive(Clone)]
pub struct Subscriber {
    pub url: String,
    pub secret: &'static str,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    /// The status that it answers; 0: no answer, until it is another status.
    answer: watch::Sender<u16>,
}

impl Subscriber {
    /// A subscriber that answers `status`.
    pub async fn answering(status: u16, secret: &'static str) -> Self {
        let mut it =
            Self { url: String::new(), secret, deliveries: Arc::default(), answer: watch::Sender::new(status) };
        let router = axum::Router::new().route("/events", axum::routing::post(take)).with_state(it.clone());
        it.url = format!("{}/events", super::listen(router).await);
        it
    }

    /// From now on it answers this.
    pub fn answer(&self, status: u16) {
        self.answer.send_replace(status);
    }

    /// As the setting names it.
    pub fn setting(&self) -> String {
        format!("{}|{}", self.url, self.secret)
    }

    /// Everything that came so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }
}

async fn take(State(subscriber): State<Subscriber>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut answer = subscriber.answer.subscribe();
    let at = {
        let mut deliveries = subscriber.deliveries.lock().unwrap();
        deliveries.push(Delivery { headers, body, status: 0 });
        deliveries.len() - 1
    };
    let status = *answer.wait_for(|status| *status != 0).await.unwrap();
    subscriber.deliveries.lock().unwrap()[at].status = status;
    StatusCode::from_u16(status).unwrap()
}
