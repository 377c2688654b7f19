//! The outside world's faults: which calls are affected, and how such a call ends.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;

use super::deck::Deck;
use crate::record::Fault;

/// Maximum duration of a hanging call.
const HANG: Duration = Duration::from_secs(20);
/// The share of affected calls holds within this many consecutive calls.
const DECK: usize = 20;

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    pub fault: Fault,
    /// Whether the effect happens all the same.
    pub after_effect: bool,
}

pub struct Faults {
    seed: u64,
    now: Mutex<Struck>,
    /// Counts strikes; the next strike releases hanging calls.
    strikes: watch::Sender<u64>,
}

#[derive(Default)]
struct Struck {
    mode: Option<(Fault, Deck<bool>)>,
    met: u64,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        Self { seed, now: Mutex::default(), strikes: watch::Sender::new(0) }
    }

    pub fn strike(&self, fault: Option<Fault>, share: f64) {
        let round = *self.strikes.borrow() + 1;
        let hit = (0..DECK).map(|n| at(n) < share * at(DECK));
        let deck = Deck::new(self.seed ^ round, "faults", hit.collect());
        self.now.lock().unwrap_or_else(PoisonError::into_inner).mode = fault.map(|fault| (fault, deck));
        self.strikes.send_replace(round);
    }

    /// The fault of the next call.
    pub fn meet(&self) -> Option<Met> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, deck) = now.mode.as_mut()?;
        let (fault, hit) = (*fault, deck.deal()?);
        now.met += u64::from(hit);
        let half = now.met.is_multiple_of(2) && matches!(fault, Fault::ProviderError | Fault::ProviderHang);
        hit.then_some(Met { fault, after_effect: half })
    }

    /// Ends a call with a fault.
    pub async fn suffer(&self, fault: Fault) -> Response {
        match fault {
            Fault::ProviderHang => {
                let mut strikes = self.strikes.subscribe();
                let _ = tokio::time::timeout(HANG, strikes.changed()).await;
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Fault::ProviderThrottle => {
                let body = Json(json!({ "code": "too_many_requests", "message": "slow down" }));
                (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")], body).into_response()
            }
            // From a gateway and from a framework; neither is the bank's refusal.
            Fault::ProviderGateway => {
                let framework = json!({ "status": 400, "error": "Bad Request", "message": "" });
                let second = self.strikes.borrow().is_multiple_of(4);
                let body = if second { framework } else { json!({ "message": "Bad request" }) };
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
            Fault::ProviderGarbage => {
                (StatusCode::OK, [(CONTENT_TYPE, "text/html")], "<html><body>It works!</body></html>").into_response()
            }
            _ => {
                let body = Json(json!({ "code": "internal", "message": "something went wrong" }));
                (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
            }
        }
    }
}

fn at(n: usize) -> f64 {
    u32::try_from(n).map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_suffers_and_every_second_of_them_after_the_effect() {
        let faults = Faults::new(1);
        assert_eq!(faults.meet(), None);
        faults.strike(Some(Fault::ProviderError), 0.5);
        let met: Vec<Met> = (0..40).filter_map(|_| faults.meet()).collect();
        assert_eq!(met.len(), 20);
        assert_eq!(met.iter().filter(|it| it.after_effect).count(), 10);
        faults.strike(Some(Fault::ProviderThrottle), 1.0);
        assert!((0..40).all(|_| faults.meet().is_some_and(|it| !it.after_effect)));
        faults.strike(None, 0.0);
        assert_eq!(faults.meet(), None);
    }

    #[tokio::test]
    async fn a_hanging_call_is_let_go_when_the_mode_ends() {
        let faults = Faults::new(1);
        faults.strike(Some(Fault::ProviderHang), 1.0);
        let begun = tokio::time::Instant::now();
        let end = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            faults.strike(None, 0.0);
        };
        let (answer, ()) = tokio::join!(faults.suffer(Fault::ProviderHang), end);
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!((Duration::from_millis(50)..HANG).contains(&begun.elapsed()));
    }
}
