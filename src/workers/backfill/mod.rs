//! The backfill worker: reads changes at a provider that the service missed while it or the provider was down.
//!
//! Each tick handles one page: claim (one commit), call, then store the page's facts and the cursor (one commit). The
//! facts go through the inbox like all others; nothing else changes an opening. A crash repeats one page, whose facts
//! are duplicates. While the list is unavailable, nothing is claimed or the call is retried until `RETRY_FOR`; an
//! endless list is given up. Polls find changes that no backfill finds.
//!
//! After a start the worker first requests the backfills of the downtime, with retries; nothing waits for it.

mod request;

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Connection;
use uuid::Uuid;

pub use self::request::{BackfillRequest, request, request_for, to_insert};
use crate::clock::Time;
use crate::context::{Context, Policies};
use crate::db::backfills::{self, Cause, Claimed, Settled, Then};
use crate::db::inbox::{self, Arrival, NewFact, Stored};
use crate::db::{WITHIN, conclude};
use crate::domain::retry::Next;
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::inbox::fact;
use crate::outbound::CallError;
use crate::provider::{LIST, ListPage};
use crate::shell::{Cell, Outside, Shell};
use crate::telemetry::metrics;

const NAME: &str = "catch_up";

/// More pages than any outage causes.
const MAX_PAGES: i32 = 10_000;
/// A longer cursor is refused.
const MAX_CURSOR: usize = 4_096;

pub struct Backfill(pub Context);

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// The provider, and `answered` or the class of the failure.
    pub page: Option<(String, &'static str)>,
    /// The results of the page's items: `new`, `duplicate`, `conflict` or `unreadable`.
    pub items: Vec<&'static str>,
    /// The end of the backfill, if it ended: `done`, or the reason for giving up.
    pub ended: Option<&'static str>,
    /// Whether another replica had taken the lease.
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
/// The end of a list with a repeated cursor.
const REPEATED: &str = "cursor_repeated";

#[async_trait]
impl Worker for Backfill {
    type Counts = Backfilled;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn tick(&self) -> Result<Backfilled, TickError> {
        self.ask_at_start().await?;
        let token = self.0.shell.ids.next();
        let Some(claimed) = self.claim(token).await? else { return Ok(Backfilled::default()) };
        let call = async { Ok::<_, sqlx::Error>(self.call(&claimed).await) };
        let answer = self.0.shell.faults.around(NAME, Step::Call, call).await?;
        self.settle(&claimed, token, answer).await
    }
}

impl Backfill {
    /// Once per process.
    async fn ask_at_start(&self) -> sqlx::Result<()> {
        let pool = &self.0.cell.pool;
        let providers = &self.0.outside.providers;
        let webhook_activity = &self.0.webhook_activity;
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

    /// The providers to read from now: an open breaker costs no attempt.
    fn open(&self) -> Vec<String> {
        let Outside { providers, gates, .. } = &self.0.outside;
        let names = providers.names_with_list().filter(|name| gates.gate(name, LIST).capacity() > 0);
        names.map(str::to_owned).collect()
    }

    async fn claim(&self, token: Uuid) -> sqlx::Result<Option<Claimed>> {
        let Shell { clock, faults, .. } = &self.0.shell;
        let pool = &self.0.cell.pool;
        let Policies { call_timeout, lease_margin, .. } = &self.0.policies;
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

    /// A panic in an adapter counts as an unusable answer.
    async fn call(&self, claimed: &Claimed) -> Result<ListPage, CallError> {
        let Some(provider) = self.0.outside.providers.get(&claimed.provider) else {
            return Err(CallError::unusable("unknown provider"));
        };
        let within = self.0.policies.call_timeout.to_std().unwrap_or_default();
        let call = AssertUnwindSafe(provider.list_since(claimed.since, claimed.cursor.as_deref())).catch_unwind();
        match tokio::time::timeout(within, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(CallError::unusable("our client panicked")),
            Err(_elapsed) => Err(CallError::timeout()),
        }
    }

    /// Stores the result. The facts of a page are stored even if another replica has the lease; it will find them as
    /// duplicates.
    async fn settle(
        &self,
        claimed: &Claimed,
        token: Uuid,
        answer: Result<ListPage, CallError>,
    ) -> Result<Backfilled, TickError> {
        let Shell { clock, faults, .. } = &self.0.shell;
        let Cell { pool, wakers, .. } = &self.0.cell;
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
        let provider = self.0.outside.providers.get(&claimed.provider);
        provider.map(|it| fact::of_page(&self.0.shell.ids, it.as_ref(), page, now)).unwrap_or_default()
    }

    /// The result of a failed call. An outage is retried; an unusable answer and a refusal count. After a refusal the
    /// backfill restarts, because the provider may not know the cursor any more.
    fn failed(&self, claimed: &Claimed, error: &CallError, now: Time) -> Settled {
        let ids = &self.0.shell.ids;
        let retry = &self.0.policies.retry;
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

/// The next step after a page. A stuck or repeated cursor and an endless list end the backfill; polls continue.
fn came(claimed: &Claimed, page: ListPage) -> Settled {
    let items = page.items.len();
    let then = match page.next {
        None => Then::Done,
        // Some providers end a list with a cursor for future items.
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
        (_, Some(DONE)) => tracing::info!(backfill.id = %id, provider, page, "backfill finished"),
        (_, Some(class @ REPEATED)) => {
            tracing::warn!(backfill.id = %id, provider, page, class, "a cursor of the provider's list repeated; backfill stopped");
        }
        (_, Some(class)) => {
            tracing::error!(backfill.id = %id, provider, page, class, "backfill given up; polls find the rest");
        }
        (Settled::Retry { class, .. }, None) => {
            tracing::warn!(backfill.id = %id, provider, page, class, "reading a page of the provider's list failed; retrying");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
