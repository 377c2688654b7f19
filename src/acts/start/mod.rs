//! Starts an opening: one for each Idempotency-Key, also when requests are repeated, raced or lost.
//!
//! The anchor, its first command and the key commit together (`batcher`). A crash before the commit leaves nothing; after it, the
//! caller's repeat finds the first answer under the key. So does the next try after a lost reply to COMMIT, which begins by
//! reading the key. On the synchronous flow the caller then waits (`wait`).

mod batcher;
mod request;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgConnection;

pub use self::batcher::StartBatcher;
pub use self::request::StartRequest;
use super::{ActError, Acts, Caller};
use crate::clock::{MAX_SKEW, Time};
use crate::db;
use crate::db::advance::Advance;
use crate::db::idempotency::{Answer, Key};
use crate::domain::resource::Resource;
use crate::domain::{Flow, OpeningId, Source, StateName, Topic};
use crate::provider::{self, Provider};
use crate::services::ProfileService;
use crate::telemetry::metrics;

/// HTTP statuses, kept with the body under the key: a repeat is given both again.
const OK: i32 = 200;
const CREATED: i32 = 201;
const ACCEPTED: i32 = 202;

/// The answer to the caller.
#[derive(Clone, Debug)]
pub struct Started {
    pub answer: Answer,
    /// The answer is the first one again.
    pub replayed: bool,
}

/// Why an opening was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("another request has this key")]
    KeyReused,
    /// On the synchronous flow.
    #[error("a request with this key still waits for its answer")]
    InProgress,
    #[error("the breaker of a call that the caller would wait for is open")]
    BreakerOpen(TimeDelta),
    #[error("no provider opens accounts there")]
    Unserved,
    #[error("the provider has no blocking call")]
    NotBlocking,
    #[error(transparent)]
    Failed(#[from] ActError),
}

/// # Errors
/// When the key is another request's or in progress, a breaker is open for the synchronous flow, or the database is away.
pub async fn run(acts: &Acts, caller: &Caller, key: String, request: StartRequest) -> Result<Started, StartError> {
    let id = OpeningId(acts.shell.ids.next());
    let (digest, token) = (request.digest(), caller.name());
    let start = Arc::new(Start { id, digest, request, key, token, acts: acts.clone() });
    match acts.starts.write(Arc::clone(&start)).await? {
        UnderKey::Ours(answer) => Ok(Started { answer: start.waited(answer).await?, replayed: false }),
        UnderKey::First(answer) => Ok(Started { answer, replayed: true }),
        UnderKey::Other => Err(StartError::KeyReused),
        UnderKey::Waits => Err(StartError::InProgress),
        // The answer given now becomes the first one.
        UnderKey::Overdue(answer) => Ok(Started { answer: start.conclude(answer).await?, replayed: true }),
        UnderKey::Gone | UnderKey::Locked => {
            Err(ActError::Unavailable("other requests were writing the key".to_owned()).into())
        }
        UnderKey::BreakerOpen(wait) => Err(StartError::BreakerOpen(wait)),
        UnderKey::Unserved => Err(StartError::Unserved),
        UnderKey::NotBlocking => Err(StartError::NotBlocking),
    }
}

/// The final result under a key: an answer, or why there is none.
enum UnderKey {
    /// The answer to this very request.
    Ours(Answer),
    /// The first answer, to an equal request before.
    First(Answer),
    /// The answer to another request.
    Other,
    /// An equal request that still waits for its answer.
    Waits,
    /// The answer to an equal request that has waited for its maximum.
    Overdue(Answer),
    /// Other requests wrote it at each try, and it was free again.
    Gone,
    /// Another transaction is writing it.
    Locked,
    /// The breaker blocks calls of this flow for so long; nothing was written.
    BreakerOpen(TimeDelta),
    /// No provider serves the market; nothing was written.
    Unserved,
    /// The caller asks for the synchronous flow, which the provider does not have; nothing was written.
    NotBlocking,
}

/// How a request is opened.
#[derive(Clone, Copy)]
struct Way {
    flow: Flow,
    /// The provider's name.
    provider: &'static str,
}

/// A request to start, the same in each of its tries.
struct Start {
    id: OpeningId,
    request: StartRequest,
    digest: Vec<u8>,
    key: String,
    token: Arc<str>,
    acts: Acts,
}

impl Start {
    /// The answer that the caller is given in the end.
    async fn waited(self: &Arc<Self>, answer: Answer) -> Result<Answer, ActError> {
        let Some(until) = answer.waits_until else { return Ok(answer) };
        wait::wait(&self.acts, self.id, until).await;
        self.conclude(answer).await
    }

    async fn conclude(self: &Arc<Self>, answer: Answer) -> Result<Answer, ActError> {
        let start = Arc::clone(self);
        let work = async move |connection: &mut PgConnection| {
            wait::conclude(connection, start.key(), &answer, start.acts.shell.clock.now()).await
        };
        Ok(db::with_retries(&self.acts.cell.pool, work).await?)
    }

    fn key(&self) -> Key<'_> {
        (&self.token, &self.key)
    }

    /// How it is opened: by the provider that its route names. A request that cannot be opened is refused only now, when no
    /// answer stands under its key: the service answers a repeat with the first answer, also after a change of the routes.
    async fn way(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<Result<Way, UnderKey>> {
        let Some(provider) = self.provider() else { return Ok(Err(UnderKey::Unserved)) };
        let (name, is_blocking) = (provider.name(), provider.capabilities().blocking);
        let flow = match self.request.flow {
            Some(Flow::Sync) if !is_blocking => return Ok(Err(UnderKey::NotBlocking)),
            Some(flow) => flow,
            None if !is_blocking => Flow::Async,
            None => self.flagged(connection, now).await?,
        };
        let blocked = (flow == Flow::Sync).then(|| self.refused_for(name)).flatten();
        Ok(blocked.map_or(Ok(Way { flow, provider: name }), |wait| Err(UnderKey::BreakerOpen(wait))))
    }

    /// The provider that opens it, if the market has one.
    fn provider(&self) -> Option<&dyn Provider> {
        let StartRequest { market, customer_type, .. } = &self.request;
        let name = self.acts.settings.routes.of(market, *customer_type)?;
        self.acts.outside.providers.get(name).map(AsRef::as_ref).filter(|it| it.serves(market))
    }

    /// The flow by the flag.
    async fn flagged(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<Flow> {
        let rules = self.acts.flags.rules(connection, now).await?;
        Ok(rules.flow(self.id, &self.request.market, self.request.customer_type))
    }

    /// How long the breaker blocks the calls that a waiting caller would need.
    fn refused_for(&self, bank: &str) -> Option<TimeDelta> {
        let gates = &self.acts.outside.gates;
        let bank = gates.gate(bank, provider::OPEN).refused_for();
        bank.max(ProfileService::gate_of(gates).refused_for())
    }

    /// The opening as it begins.
    fn decide(&self, way: Way, now: Time) -> Advance {
        let policy = self.acts.policy_of(way.provider);
        Advance::started(crate::domain::start(self.id, self.request.opened(way.flow, way.provider), policy, now))
    }

    /// The answer that is kept under the key with the opening.
    fn first_answer(&self, advance: &Advance, flow: Flow, now: Time) -> Answer {
        let body = serde_json::to_string(&Resource::from(&advance.opening)).unwrap_or_default();
        let waits_until = (flow == Flow::Sync).then(|| now + self.acts.settings.sync_wait);
        Answer { digest: self.digest.clone(), status: ACCEPTED, body, opening_id: self.id.0, waits_until }
    }

    /// Compares a committed answer under the key with this request.
    fn judge(&self, answer: Answer, now: Time) -> UnderKey {
        if answer.opening_id == self.id.0 {
            return UnderKey::Ours(answer);
        }
        if answer.digest != self.digest {
            return UnderKey::Other;
        }
        match answer.waits_until {
            None => UnderKey::First(answer),
            Some(until) if still_waits(until, now, self.acts.settings.sync_wait) => UnderKey::Waits,
            Some(_) => UnderKey::Overdue(answer),
        }
    }

    /// Counts and logs the start and wakes the relays, once.
    fn committed(&self) {
        metrics::transition(None, StateName::CreatingProfile, Source::Api.as_str(), &self.request.market);
        tracing::info!(opening.id = %self.id, "opening started");
        self.acts.cell.wakers.relay(Topic::CreateProfile).notify_one();
        self.acts.cell.wakers.relay(Topic::DeliverEvent).notify_one();
    }

    /// The same start with fresh ids.
    #[cfg(feature = "broken")]
    fn under_another_key(&self, tried: u32) -> Self {
        Self {
            id: OpeningId(self.acts.shell.ids.next()),
            request: self.request.clone(),
            digest: self.digest.clone(),
            key: format!("{}-{tried}", self.key),
            token: Arc::clone(&self.token),
            acts: self.acts.clone(),
        }
    }
}

/// Whether a caller still waits. No caller waits for longer than `sync_wait`: a time further away was written under a clock that
/// has been set back since.
fn still_waits(until: Time, now: Time, sync_wait: Duration) -> bool {
    (until - MAX_SKEW * 2 - now).to_std().map_or(now < until, |left| left <= sync_wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_caller_waits_for_longer_than_sync_wait_by_any_clock() {
        let (now, wait) = (Time::UNIX_EPOCH, Duration::from_secs(10));
        assert!(still_waits(now + wait, now, wait) && still_waits(now + TimeDelta::milliseconds(1), now, wait));
        assert!(!still_waits(now, now, wait) && !still_waits(now + wait + TimeDelta::minutes(1), now, wait));
        assert!(still_waits(now + wait + MAX_SKEW, now, wait), "another replica's clock may be a little ahead");
    }
}
