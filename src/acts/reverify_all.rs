//! Verifies the refused webhooks of a filter again, oldest first, and takes in those that are the provider's.
//!
//! The act works page by page for as long as a caller waits, and says how many are left. A page is taken in together, so that it is one
//! commit, then marked; the next call goes on where this one stopped.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use sqlx::PgConnection;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::reverify::{TAKEN_WITHIN, mark, record};
use super::{ActError, Acts, Operator};
use crate::db;
use crate::db::operator_actions::Action;
use crate::db::refused_webhooks::{self, Candidate, ReverifyFilter};
use crate::refused_webhooks::{Again, checks, look_again};

/// Requests that are looked at together: with bodies of the largest size they are some 8 MiB.
const PAGE: i64 = 32;

#[derive(Clone, Debug)]
pub struct ReverifyAllRequest {
    pub filter: ReverifyFilter,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reverified {
    /// Requests that were looked at.
    pub checked: usize,
    /// Of those, the provider's: they are in the inbox.
    pub verified: usize,
    /// Of those, still refused. The same secrets refuse them again, so the next call passes over them.
    pub still_refused: usize,
    /// Requests that are left to be looked at.
    pub remaining: i64,
}

/// # Errors
/// When the database is away, or nothing could be taken in.
pub async fn run(acts: &Acts, operator: &Operator, request: ReverifyAllRequest) -> Result<Reverified, ActError> {
    let ReverifyAllRequest { filter, reason } = request;
    let detail =
        json!({"provider": filter.provider, "cause": filter.cause, "since": filter.since, "until": filter.until});
    let action = record(acts, operator, "rejected-requests", reason, detail);
    let by = Arc::new(checks(&acts.outside.providers));
    let done = Run { acts, filter: Arc::new(filter), by, action }.all().await?;
    tracing::info!(checked = done.checked, verified = done.verified, "refused webhooks verified again");
    Ok(done)
}

/// How many requests would be looked at.
///
/// # Errors
/// When the database is away.
pub async fn rehearse(acts: &Acts, operator: &Operator, request: ReverifyAllRequest) -> Result<i64, ActError> {
    let ReverifyAllRequest { filter, reason } = request;
    let action = record(acts, operator, "", reason, json!({}));
    let by = Arc::new(checks(&acts.outside.providers));
    Run { acts, filter: Arc::new(filter), by, action }.remaining().await
}

struct Run<'a> {
    acts: &'a Acts,
    filter: Arc<ReverifyFilter>,
    by: Arc<Vec<(String, String)>>,
    action: Action,
}

impl Run<'_> {
    async fn all(self) -> Result<Reverified, ActError> {
        // Pages begin in the first half of the time, so that the last one has as long to end.
        let (begins_until, ends) = (Instant::now() + TAKEN_WITHIN / 2, Instant::now() + TAKEN_WITHIN);
        let mut done = Reverified::default();
        let mut after = None;
        while Instant::now() < begins_until {
            let page = self.page(after).await?;
            let Some(last) = page.last().map(|it| it.id) else { break };
            after = Some(last);
            let missed = self.take(page, ends, &mut done).await?;
            if missed > 0 && done.checked == 0 {
                let why = "refused requests were verified, and could not be taken in";
                return Err(ActError::Unavailable(why.to_owned()));
            }
            if missed > 0 {
                break;
            }
        }
        done.remaining = self.remaining().await?;
        Ok(done)
    }

    /// Looks at a page and marks the result. Returns how many were the provider's and could not be taken in.
    async fn take(&self, page: Vec<Candidate>, ends: Instant, done: &mut Reverified) -> Result<usize, ActError> {
        let Acts { outside, ingest, secret_uses, .. } = self.acts;
        let (mut believable, mut still) = (Vec::new(), Vec::new());
        for candidate in page {
            match look_again(&candidate, &outside.providers) {
                Again::Believed(it) => believable.push(it),
                Again::Refused(_, it) => still.push(it),
                Again::UnknownProvider => {}
            }
        }
        // Polled in order, so that they are in the inbox in the order of their receipt.
        let taking = believable.into_iter().map(|it| timeout_at(ends, it.take_in(ingest, secret_uses)));
        let taken = join_all(taking).await;
        let all = taken.len();
        let believed: Vec<_> = taken.into_iter().filter_map(|it| it.ok()?.ok()).collect();
        let (verified, still_refused) = (believed.len(), still.len());
        if verified + still_refused > 0 {
            mark(self.acts, believed, still, self.action.clone()).await?;
        }
        done.checked += verified + still_refused;
        done.verified += verified;
        done.still_refused += still_refused;
        Ok(all - verified)
    }

    async fn page(&self, after: Option<Uuid>) -> Result<Vec<Candidate>, ActError> {
        let (filter, by) = (Arc::clone(&self.filter), Arc::clone(&self.by));
        let work = async move |connection: &mut PgConnection| {
            Ok::<_, ActError>(refused_webhooks::candidates(connection, &filter, &by, after, PAGE).await?)
        };
        db::with_retries(&self.acts.cell.pool, work).await
    }

    async fn remaining(&self) -> Result<i64, ActError> {
        let (filter, by) = (Arc::clone(&self.filter), Arc::clone(&self.by));
        let work = async move |connection: &mut PgConnection| {
            Ok::<_, ActError>(refused_webhooks::remaining(connection, &filter, &by).await?)
        };
        db::with_retries(&self.acts.cell.pool, work).await
    }
}
