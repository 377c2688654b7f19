//! The catch-up: pulls what changed at a provider while we were not listening, or it was not speaking.
//!
//! One page a tick: claim (one commit), ask, then the page's facts and the place in the list (one commit). The facts go
//! through the inbox like any other, and nothing else changes an opening. A crash repeats one page, whose facts are there
//! already. While the provider's list is away nothing is claimed or it is waited for, until `RETRY_FOR`; a list that does not
//! come to an end is given up. What no catch-up finds, the polls do.
//!
//! At a start it first asks for what was missed before, as often as it takes: neither the start nor anything else waits for
//! it.

mod items;
mod request;

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Connection;
use uuid::Uuid;

pub use self::request::{BackfillRequest, request, request_for};
use super::Context;
use crate::clock::Time;
use crate::db::backfills::{self, Cause, Claimed, Settled, Then};
use crate::db::inbox::{self, Arrival, NewFact, Stored};
use crate::db::{WITHIN, conclude};
use crate::domain::retry::Next;
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::outbound::CallError;
use crate::provider::{LIST, ListPage};
use crate::telemetry::metrics;

const NAME: &str = "catch_up";

/// More pages than any outage explains.
const MAX_PAGES: i32 = 10_000;
/// A longer cursor is none that we keep.
const MAX_CURSOR: usize = 4_096;

/// The worker.
pub struct Backfill(pub Context);

/// What a tick did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// The provider that was asked, and what came of it: `answered`, or the class of the failure.
    pub page: Option<(String, &'static str)>,
    /// The items of the page: `new`, `duplicate`, `conflict` or `unreadable`.
    pub items: Vec<&'static str>,
    /// How it ended, if it did: `done`, or why it was given up.
    pub ended: Option<&'static str>,
    /// Whether another had the lease by then.
    pub lost_lease: bool,
}

impl Counts for Backfilled {
    fn found_work(&self) -> bool {
        self.page.is_some()
    }

    fn record(&self) {
        let Some((provider, outcome)) = &self.page else { return };
        metrics::backfill_page(provider.clone(), outcome);
        for outcome in &self.items {
            metrics::backfill_item(provider.clone(), outcome);
        }
        if self.ended.is_some_and(|how| how != DONE) {
            metrics::failures(NAME, 1);
        }
    }
}

const DONE: &str = "done";
/// How a list ends whose places come round again.
const REPEATED: &str = "cursor_repeated";

#[async_trait]
impl Worker for Backfill {
    type Counts = Backfilled;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn tick(&self) -> Result<Backfilled, TickError> {
        self.ask_at_start().await?;
        let token = self.0.ids.next();
        let Some(claimed) = self.claim(token).await? else { return Ok(Backfilled::default()) };
        let call = async { Ok::<_, sqlx::Error>(self.call(&claimed).await) };
        let answer = self.0.faults.around(NAME, Step::Call, call).await?;
        self.settle(&claimed, token, answer).await
    }
}

impl Backfill {
    /// Once for each process.
    async fn ask_at_start(&self) -> sqlx::Result<()> {
        let Context { pool, providers, webhook_activity, .. } = &self.0;
        if webhook_activity.has_asked() {
            return Ok(());
        }
        let mut connection = pool.acquire().await?;
        let asking = async {
            for provider in providers.names() {
                request_for(&mut connection, &self.0, provider, Cause::Start, None).await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        let result = tokio::time::timeout(WITHIN, asking).await;
        conclude(connection, result)?;
        webhook_activity.asked();
        Ok(())
    }

    /// Those whose list can be asked for now: a breaker that is open costs nobody an attempt.
    fn open(&self) -> Vec<String> {
        let Context { providers, gates, .. } = &self.0;
        let lists = |name: &&str| providers.get(name).is_some_and(|it| it.capabilities().list_since);
        let names = providers.names().filter(lists).filter(|name| gates.gate(name, LIST).capacity() > 0);
        names.map(str::to_owned).collect()
    }

    async fn claim(&self, token: Uuid) -> sqlx::Result<Option<Claimed>> {
        let Context { pool, clock, call_timeout, lease_margin, faults, .. } = &self.0;
        let providers = self.open();
        if providers.is_empty() {
            return Ok(None);
        }
        let now = clock.now();
        let mut connection = pool.acquire().await?;
        let claim = backfills::claim(&mut connection, &providers, token, now, now + *call_timeout + *lease_margin);
        let result = tokio::time::timeout(WITHIN, faults.around(NAME, Step::Claim, claim)).await;
        conclude(connection, result)
    }

    /// A panic in an adapter is an answer that cannot be used.
    async fn call(&self, claimed: &Claimed) -> Result<ListPage, CallError> {
        let Some(provider) = self.0.providers.get(&claimed.provider) else {
            return Err(CallError::unusable("unknown provider"));
        };
        let within = self.0.call_timeout.to_std().unwrap_or_default();
        let call = AssertUnwindSafe(provider.list_since(claimed.since, claimed.cursor.as_deref())).catch_unwind();
        match tokio::time::timeout(within, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(CallError::unusable("our client panicked")),
            Err(_elapsed) => Err(CallError::timeout()),
        }
    }

    /// Writes down what came. A page's facts are kept also when another has the lease by now: it will find them there.
    async fn settle(
        &self,
        claimed: &Claimed,
        token: Uuid,
        answer: Result<ListPage, CallError>,
    ) -> Result<Backfilled, TickError> {
        let Context { pool, clock, faults, wakers, .. } = &self.0;
        let now = clock.now();
        let outcome = answer.as_ref().map_or_else(CallError::class, |_| "answered");
        let (facts, mut settled) = match answer {
            Ok(page) => (self.facts(claimed, &page, now), came(claimed, page)),
            Err(error) => (Vec::new(), self.failed(claimed, &error, now)),
        };
        let mut connection = pool.acquire().await?;
        let settling = async {
            let mut transaction = connection.begin().await?;
            let settle = async {
                let stored = inbox::insert(&mut transaction, &facts).await?;
                if let Settled::Page { new_facts, .. } = &mut settled {
                    *new_facts = stored.iter().filter(|it| **it == Stored::New).count();
                }
                let mine = backfills::settle(&mut transaction, claimed.id, token, &settled, now).await?;
                Ok::<_, sqlx::Error>((stored, mine))
            };
            let done = faults.around(NAME, Step::Settle, settle).await?;
            faults.around(NAME, Step::Commit, transaction.commit()).await?;
            Ok::<_, sqlx::Error>(done)
        };
        let result = tokio::time::timeout(WITHIN, settling).await;
        let (stored, mine) = conclude(connection, result)?;
        if !facts.is_empty() {
            wakers.inbox.notify_one();
        }
        let items = facts.iter().zip(stored).map(|(fact, stored)| label(fact, stored)).collect();
        let ended = ended(&settled).filter(|_| mine);
        log(claimed, &settled, ended);
        Ok(Backfilled { page: Some((claimed.provider.clone(), outcome)), items, ended, lost_lease: !mine })
    }

    fn facts(&self, claimed: &Claimed, page: &ListPage, now: Time) -> Vec<NewFact> {
        let provider = self.0.providers.get(&claimed.provider);
        provider.map(|it| items::facts(&self.0.ids, it.as_ref(), page, now)).unwrap_or_default()
    }

    /// An outage is waited out; an answer that is none counts, and so does a refusal. What is refused may be a place in the
    /// list that the provider does not know any more: it is begun anew.
    fn failed(&self, claimed: &Claimed, error: &CallError, now: Time) -> Settled {
        let Context { retry, ids, .. } = &self.0;
        let (class, anew) = (error.class(), matches!(error, CallError::Rejected { .. }));
        let (next, counts) = match error {
            CallError::Deferred { after, .. } => return Settled::Held { at: now + (*after).min(retry.cap) },
            CallError::Outage { after, .. } => {
                (retry.after_outage(claimed.retry_from, claimed.tries, *after, now, ids.jitter()), false)
            }
            CallError::Rejected { .. } | CallError::Unusable { .. } => {
                (retry.after_failure(claimed.attempts + 1, now, ids.jitter()), true)
            }
        };
        match next {
            Next::RetryAt(at) => Settled::Retry { at, class, counts, anew },
            Next::Dead => Settled::Failed { class },
        }
    }
}

/// What a page means for the place in the list. A place that does not move or comes again, or a list without an end, must not be
/// followed for ever; the polls go on.
fn came(claimed: &Claimed, page: ListPage) -> Settled {
    let items = page.items.len();
    let then = match page.next {
        None => Then::Done,
        // Some name the end by the place where there will be more one day.
        Some(next) if claimed.cursor.as_ref() == Some(&next) && items == 0 => Then::Done,
        Some(next) if claimed.cursor.as_ref() == Some(&next) => Then::Failed("cursor_stuck"),
        Some(next) if claimed.seen.contains(&backfills::place(&next)) => Then::Failed(REPEATED),
        Some(_) if claimed.pages + 1 >= MAX_PAGES => Then::Failed("endless"),
        Some(next) if next.len() > MAX_CURSOR || next.contains('\0') => Then::Failed("cursor_unusable"),
        Some(next) => Then::Next(next),
    };
    Settled::Page { items, new_facts: 0, then }
}

const fn ended(settled: &Settled) -> Option<&'static str> {
    match settled {
        Settled::Page { then: Then::Done, .. } => Some(DONE),
        Settled::Page { then: Then::Failed(class), .. } | Settled::Failed { class } => Some(class),
        Settled::Page { then: Then::Next(_), .. } | Settled::Retry { .. } | Settled::Held { .. } => None,
    }
}

const fn label(fact: &NewFact, stored: Stored) -> &'static str {
    match (stored, &fact.arrival) {
        (Stored::New, Arrival::Dead(_)) => "unreadable",
        (Stored::New, _) => "new",
        (Stored::Duplicate | Stored::Repeat, _) => "duplicate",
        (Stored::Conflict, _) => "conflict",
    }
}

fn log(claimed: &Claimed, settled: &Settled, ended: Option<&'static str>) {
    let (id, provider, page) = (claimed.id, claimed.provider.as_str(), claimed.pages + 1);
    match (settled, ended) {
        (_, Some(DONE)) => tracing::info!(backfill.id = %id, provider, page, "caught up"),
        (_, Some(class @ REPEATED)) => {
            tracing::warn!(backfill.id = %id, provider, page, class, "the provider's list came back to an earlier place; left");
        }
        (_, Some(class)) => tracing::error!(backfill.id = %id, provider, page, class, "catching up was given up"),
        (Settled::Retry { class, .. }, None) => {
            tracing::warn!(backfill.id = %id, provider, page, class, "no page of the provider's list; trying again");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
