//! A system's access token: fetched when the first call needs it, renewed before it ends, shared by all calls.
//!
//! Providers limit how often a token is asked for, and an answer 401 in the middle of a thousand calls must not lead to a
//! thousand new tokens. So a mutex lets one call fetch while the others wait for its token. The fetch passes a gate of its own: a
//! token endpoint that is down opens that breaker, and then the calls are deferred instead of each waiting for it. The token
//! lives in memory alone; a crash fetches another.

use std::sync::Arc;

use chrono::TimeDelta;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Answer, CallError, Client, Gate};
use crate::clock::Time;

/// A token is renewed a tenth of its life early, and at least this long before its end.
const EARLY: TimeDelta = TimeDelta::seconds(60);
/// A token is held at least this long: a life of nothing must not mean a fetch for each call. If it has ended, the answer 401
/// replaces it.
const MIN_HELD: TimeDelta = TimeDelta::seconds(30);
/// A token is held at most this long, even if its endpoint gives it a longer life.
const MAX_HELD: TimeDelta = TimeDelta::days(1);

/// A token as its endpoint gave it.
pub struct Token {
    pub secret: SecretString,
    /// When it ends. None: the endpoint did not say.
    pub ends_at: Option<Time>,
}

/// Makes the request for a token.
pub type Ask = dyn Fn(&Client) -> RequestBuilder + Send + Sync;
/// Reads the answer of the endpoint, received at this time.
pub type ReadToken = fn(&Answer, Time) -> Result<Token, CallError>;

/// The held token of one system.
#[derive(Clone)]
pub struct Bearer(Arc<Shared>);

struct Shared {
    client: Client,
    gate: Gate,
    ask: Box<Ask>,
    read: ReadToken,
    held: Mutex<Option<Held>>,
}

struct Held {
    secret: SecretString,
    renew_at: Time,
}

impl Bearer {
    pub fn new(
        client: Client,
        gate: Gate,
        ask: impl Fn(&Client) -> RequestBuilder + Send + Sync + 'static,
        read: ReadToken,
    ) -> Self {
        // A refused request for a token is our misconfiguration, and decides nothing about a customer.
        let client =
            client.refused_as(|status, _| Some(CallError::misconfigured(format!("HTTP {status} for a token"))));
        Self(Arc::new(Shared { client, gate, ask: Box::new(ask), read, held: Mutex::default() }))
    }

    /// The token to call with. The calls that wait for the same fetch share its token. A failure here sent nothing to the
    /// operation itself, so its outcome is never unknown.
    pub async fn get(&self, deadline: Instant) -> Result<SecretString, CallError> {
        let got = timeout_at(deadline, self.held_or_new()).await;
        got.unwrap_or_else(|_| Err(CallError::timeout())).map_err(CallError::without_effect)
    }

    /// Forgets a token that the system no longer accepts, unless another call has replaced it already.
    pub async fn forget(&self, used: &SecretString) {
        let mut held = self.0.held.lock().await;
        if held.as_ref().is_some_and(|it| it.secret.expose_secret() == used.expose_secret()) {
            *held = None;
        }
    }

    async fn held_or_new(&self) -> Result<SecretString, CallError> {
        let Shared { client, gate, ask, read, held } = &*self.0;
        let mut held = held.lock().await;
        if let Some(it) = held.as_ref().filter(|it| gate.clock().now() < it.renew_at) {
            return Ok(it.secret.clone());
        }
        let answer = client.call(gate, ask(client)).await?;
        let now = gate.clock().now();
        let token = read(&answer, now)?;
        *held = Some(Held { secret: token.secret.clone(), renew_at: now + held_for(token.ends_at.map(|it| it - now)) });
        Ok(token.secret)
    }
}

/// How long a token with this life is used.
fn held_for(life: Option<TimeDelta>) -> TimeDelta {
    let life = life.unwrap_or_default().clamp(TimeDelta::zero(), MAX_HELD);
    (life - EARLY.max(life / 10)).max(MIN_HELD)
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer({:?})", self.0.gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_early_and_an_absurd_life_neither_fetches_each_time_nor_never() {
        let held = |life: Option<i64>| held_for(life.map(TimeDelta::seconds)).num_seconds();
        assert_eq!((held(Some(3_599)), held(Some(1_800)), held(Some(300))), (3_239, 1_620, 240));
        assert_eq!((held(None), held(Some(0)), held(Some(-5)), held(Some(61))), (30, 30, 30, 30));
        assert_eq!(held(Some(i64::from(i32::MAX) * 1_000)), 86_400 - 8_640);
    }
}
