//! Pulls: reads a provider's list, one page per claim, and makes a register of it, which is then read like a file.
//!
//! A page and the cursor behind it are one commit under the report's lease: a crash repeats one page. While the list is unavailable,
//! the report waits without its lease, up to `RETRY_FOR`; other reports of the provider go on meanwhile. Nothing has an effect before
//! the whole list is read.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::TimeDelta;
use futures::FutureExt as _;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Job, NAME, REST, Reconciler, Went, end};
use crate::clock::Time;
use crate::db::reports::{self, NewPull, Postponed, Pull, Pulled, Scheduled, Stage};
use crate::db::{WITHIN, backfills, conclude, in_one_long_commit, once};
use crate::domain::retry::Next;
use crate::driver::TickError;
use crate::faults::Step;
use crate::outbound::CallError;
use crate::provider::{ListPage, Provider};
use crate::reconciliation::ingest::{Bounds, ReceiveError, Received, WAITING, receive};
use crate::reconciliation::pull;
use crate::telemetry::metrics;

/// Pages that become a part of the file before the lease is renewed.
const PAGES_PER_LEASE: i32 = 50;
/// The lease while the file is stored, which is one commit: more than a long commit may take.
const STORING: TimeDelta = TimeDelta::minutes(6);
/// More pages than any list has.
const MAX_PAGES: i32 = 10_000;
/// A longer cursor is refused, in bytes.
const MAX_CURSOR: usize = 4_096;
/// `received_by` of scheduled pulls.
const SCHEDULE: &str = "schedule";

/// The outcome of storing a page.
enum Kept {
    Written,
    /// Another replica has the report.
    LeaseLost,
    /// The cursor behind it came before.
    Repeated,
}

impl Reconciler {
    /// Requests the scheduled pulls that are due. All replicas try; a constraint lets each pull come once.
    pub(super) async fn schedule(&self) -> sqlx::Result<()> {
        for (provider, period) in self.settings.report_schedule.iter() {
            let (id, now) = (self.context.shell.ids.next(), self.now());
            let mut connection = self.context.cell.pool.acquire().await?;
            let result = timeout(WITHIN, request(&mut connection, id, provider, *period, now)).await;
            if conclude(connection, result)? {
                tracing::info!(report.id = %id, provider, "a scheduled pull was requested");
            }
        }
        Ok(())
    }

    /// Reads the next page, or makes the file of all pages.
    pub(super) async fn pull(&self, job: &mut Job) -> Result<Went, TickError> {
        let id = job.claimed.id;
        let pool = &self.context.cell.pool;
        let read =
            once(pool, async move |connection: &mut PgConnection| reports::get_pull(connection, id).await).await?;
        let Some(pull) = read else { return Ok(Went::Later) };
        if pull.is_over {
            return self.store_pulled(job, &pull).await;
        }
        let name = job.claimed.provider.clone();
        let Some(provider) = self.context.outside.providers.with_list(&name) else {
            return self.fail(job, &format!("{name} has no list, or is not configured any more")).await;
        };
        let began_at = self.now();
        if self.context.outside.poll_budget.take(&name, 1, began_at) == 0 {
            return self.postpone(job, Postponed::until(began_at + REST)).await;
        }
        let call = async { Ok::<_, sqlx::Error>(self.page(provider.as_ref(), job, &pull).await) };
        match self.context.shell.faults.around(NAME, Step::Call, call).await? {
            Ok(page) => {
                metrics::report_page(&name, "answered");
                self.keep(job, &pull, provider.as_ref(), page, began_at).await
            }
            Err(_) if self.stop.is_cancelled() => Ok(Went::Later),
            Err(error) => {
                metrics::report_page(&name, error.class());
                self.page_failed(job, &pull, &error).await
            }
        }
    }

    /// A panic in an adapter counts as an unusable answer.
    async fn page(&self, provider: &dyn Provider, job: &Job, pull: &Pull) -> Result<ListPage, CallError> {
        let policies = &self.context.policies;
        let within = policies.call_timeout.to_std().unwrap_or_default();
        // The provider's clock may be behind ours: a scheduled pull begins a little before the last one's end.
        let overlap = if pull.is_scheduled { policies.backfill_overlap } else { TimeDelta::zero() };
        let since = job.claimed.period_from.unwrap_or(job.claimed.received_at) - overlap;
        let call = AssertUnwindSafe(provider.list_since(since, pull.cursor.as_deref())).catch_unwind();
        tokio::select! {
            answer = timeout(within, call) => match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_panic)) => Err(CallError::unusable("our client panicked")),
                Err(_elapsed) => Err(CallError::timeout()),
            },
            () = self.stop.cancelled() => Err(CallError::shutdown()),
        }
    }

    async fn keep(
        &self,
        job: &Job,
        pull: &Pull,
        provider: &dyn Provider,
        page: ListPage,
        began_at: Time,
    ) -> Result<Went, TickError> {
        let (rows, count) = pull::rows(provider, &page);
        let next = match next(pull, page) {
            Ok(next) => next,
            Err(why) => return self.fail(job, &unusable(&job.claimed.provider, why)).await,
        };
        if u64::try_from(pull.bytes).unwrap_or_default() + rows.len() as u64 > self.settings.report_max_bytes {
            return self.fail(job, &unusable(&job.claimed.provider, "is larger than REPORT_MAX_BYTES")).await;
        }
        let next = next.map(|it| (backfills::place(&it), it)).map(|(place, cursor)| (cursor, place));
        let page = reports::PulledPage { n: pull.pages, rows: count, bytes: rows.into_bytes(), next, began_at };
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = self.context.shell.faults.around(NAME, Step::Settle, self.write_page(&mut connection, job, &page));
        let result = timeout(WITHIN, write).await;
        match conclude(connection, result)? {
            Kept::Written | Kept::LeaseLost => Ok(Went::Later),
            Kept::Repeated => {
                self.fail(job, &unusable(&job.claimed.provider, "does not end: a cursor came a second time")).await
            }
        }
    }

    async fn write_page(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        page: &reports::PulledPage,
    ) -> sqlx::Result<Kept> {
        let id = job.claimed.id;
        let mut transaction = connection.begin().await?;
        if let Some((_, place)) = &page.next
            && reports::has_page_before(&mut transaction, id, *place).await?
        {
            transaction.rollback().await?;
            return Ok(Kept::Repeated);
        }
        let ours = reports::insert_page(&mut transaction, (id, job.token), page, self.now()).await?;
        Ok(if end(transaction, ours).await? { Kept::Written } else { Kept::LeaseLost })
    }

    /// An outage is retried until `RETRY_FOR` has passed since the last page; unusable answers and refusals count. After a refusal
    /// the list is read from its beginning: the provider may not know the cursor any more.
    async fn page_failed(&self, job: &Job, pull: &Pull, error: &CallError) -> Result<Went, TickError> {
        let (retry, now, jitter) = (&self.context.policies.retry, self.now(), self.context.shell.ids.jitter());
        let (next, is_attempt) = match error {
            CallError::Deferred { after, .. } => {
                return self.postpone(job, Postponed::until(now + (*after).min(retry.cap))).await;
            }
            CallError::Outage { after, .. } => {
                (retry.after_outage(pull.retry_from, pull.tries, *after, now, jitter), false)
            }
            CallError::Rejected { .. } | CallError::Unusable { .. } => {
                (retry.after_failure(pull.attempts + 1, now, jitter), true)
            }
        };
        let (class, provider, pages) = (error.class(), job.claimed.provider.as_str(), pull.pages);
        match next {
            Next::RetryAt(due_at) => {
                tracing::warn!(report.id = %job.claimed.id, provider, pages, class, "a page of the provider's list cannot be read; retrying");
                let anew = matches!(error, CallError::Rejected { .. });
                self.postpone(job, Postponed { is_try: true, is_attempt, anew, ..Postponed::until(due_at) }).await
            }
            Next::Dead => {
                let tries = pull.tries + 1;
                let why = format!(
                    "could not be read: {class} after {pages} pages and {tries} tries; pull again once it answers"
                );
                self.fail(job, &unusable(provider, &why)).await
            }
        }
    }

    async fn postpone(&self, job: &Job, postponed: Postponed) -> Result<Went, TickError> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = async {
            let mut transaction = connection.begin().await?;
            reports::postpone_page(&mut transaction, (job.claimed.id, job.token), postponed).await?;
            transaction.commit().await
        };
        let result = timeout(WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
        conclude(connection, result)?;
        Ok(Went::Later)
    }

    /// Stores the pages as the report's file.
    async fn store_pulled(&self, job: &mut Job, pull: &Pull) -> Result<Went, TickError> {
        let as_of = pull.began_at.unwrap_or(job.claimed.received_at);
        let received = match self.assembled(job, pull, as_of).await? {
            Ok(received) => Arc::new(received),
            Err(error @ ReceiveError::TooLarge(_)) => return self.fail(job, &error.to_string()).await,
            Err(error) => {
                tracing::warn!(report.id = %job.claimed.id, %error, "a pull cannot be made a file yet");
                return Ok(Went::Later);
            }
        };
        let bytes = i64::try_from(received.bytes).unwrap_or(i64::MAX);
        let pulled = Pulled { bytes, sha256: received.sha256, as_of };
        self.renew_for(job, STORING).await?;
        let (ids, lease_until) = ((job.claimed.id, job.token), self.now() + STORING);
        let store = async move |connection: &mut PgConnection| {
            let ours = reports::end_pull(connection, ids, &pulled, lease_until).await?;
            if ours {
                received.store_chunks(connection, ids.0).await?;
            }
            Ok::<_, sqlx::Error>(ours)
        };
        let storing = in_one_long_commit(&self.context.cell.pool, store);
        if !self.context.shell.faults.around(NAME, Step::Settle, storing).await? {
            return Ok(Went::Later);
        }
        (job.claimed.stage, job.claimed.as_of, job.claimed.rows) = (Stage::Read.to_string(), Some(as_of), 0);
        Ok(Went::On)
    }

    /// The file of all pages, in a temporary file: its size and digest are known before it is stored.
    async fn assembled(
        &self,
        job: &Job,
        pull: &Pull,
        as_of: Time,
    ) -> Result<Result<Received, ReceiveError>, TickError> {
        let (id, from, until) = (job.claimed.id, job.claimed.period_from, job.claimed.period_until);
        let (from, until) = (from.unwrap_or(job.claimed.received_at), until.unwrap_or(job.claimed.received_at));
        let (parts, queue) = mpsc::channel(WAITING);
        let bounds = Bounds { is_gzip: false, max_bytes: self.settings.report_max_bytes };
        let writing = spawn_blocking(move || receive(queue, bounds, Box::new(|_| Ok(()))));
        let head = pull::head(&job.claimed.provider, from, until, as_of).into_bytes();
        // The writer's own error is told below.
        let mut is_open = parts.send(head).await.is_ok();
        for n in 0..pull.pages {
            let read = async move |connection: &mut PgConnection| reports::page(connection, id, n).await;
            let page = once(&self.context.cell.pool, read).await?.unwrap_or_default();
            is_open = is_open && (page.is_empty() || parts.send(page).await.is_ok());
            if n % PAGES_PER_LEASE == PAGES_PER_LEASE - 1 {
                self.renew(job).await?;
            }
        }
        for part in [pull::tail(pull.rows).into_bytes(), Vec::new()] {
            is_open = is_open && parts.send(part).await.is_ok();
        }
        drop(parts);
        writing.await.map_err(|_| TickError::Panicked)
    }
}

/// Requests a scheduled pull if one is due. False: none is, or another replica has requested it.
async fn request(
    connection: &mut PgConnection,
    id: uuid::Uuid,
    provider: &str,
    period: TimeDelta,
    now: Time,
) -> sqlx::Result<bool> {
    let last = reports::last_scheduled(connection, provider).await?;
    let Some((n, from)) = due(last.as_ref(), period, now) else { return Ok(false) };
    let (provider, received_by) = (provider.to_owned(), SCHEDULE.to_owned());
    let new = NewPull { id, provider, from, until: now, scheduled_n: Some(n), received_by, received_at: now };
    Ok(reports::insert_pull(connection, &new).await?.is_some())
}

/// The number of the next scheduled pull, and from when on it reads. None: it is not due, or the last one is still being read.
fn due(last: Option<&Scheduled>, period: TimeDelta, now: Time) -> Option<(i32, Time)> {
    match last {
        None => Some((1, now - period)),
        Some(it) if it.is_pending || now - it.received_at < period => None,
        Some(it) => Some((it.n + 1, it.read_until)).filter(|(_, from)| *from < now),
    }
}

/// The cursor of the next page. None: this was the last page.
///
/// # Errors
/// Why the list cannot be used.
fn next(pull: &Pull, page: ListPage) -> Result<Option<String>, &'static str> {
    match page.next {
        // Some providers end a list with a cursor for future items.
        Some(next) if pull.cursor.as_ref() == Some(&next) && page.items.is_empty() => Ok(None),
        Some(next) if pull.cursor.as_ref() == Some(&next) => Err("does not go on: the same cursor came again"),
        Some(_) if pull.pages + 1 >= MAX_PAGES => Err("does not end within 10000 pages"),
        Some(next) if next.len() > MAX_CURSOR || next.contains('\0') => Err("has a cursor that cannot be used"),
        next => Ok(next),
    }
}

fn unusable(provider: &str, why: &str) -> String {
    format!("the list of {provider} {why}; nothing of it was applied")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheduled_pull_begins_where_the_last_one_that_was_read_ended() {
        let at = |text: &str| -> Time { format!("2026-01-{text}:00Z").parse().unwrap() };
        let day = TimeDelta::days(1);
        let last = |is_pending, read_until| Scheduled { n: 7, received_at: at("10T08:00"), is_pending, read_until };
        assert_eq!(due(None, day, at("10T08:00")), Some((1, at("09T08:00"))));
        let read = last(false, at("10T08:00"));
        assert_eq!(due(Some(&read), day, at("11T07:59")), None);
        assert_eq!(due(Some(&read), day, at("11T08:03")), Some((8, at("10T08:00"))));
        assert_eq!(due(Some(&read), day, at("20T00:00")), Some((8, at("10T08:00"))), "also after a long stop");
        assert_eq!(due(Some(&last(true, at("10T08:00"))), day, at("12T00:00")), None, "one after the other");
        assert_eq!(
            due(Some(&last(false, at("08T08:00"))), day, at("11T08:00")),
            Some((8, at("08T08:00"))),
            "two failed"
        );
        assert_eq!(due(Some(&last(false, at("30T08:00"))), day, at("11T08:00")), None, "a clock that was set back");
    }
}
