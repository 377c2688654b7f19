//! Requests a backfill: at a start, when a breaker closes, or for an operator.
//!
//! A backfill is a row before the provider is called, so that neither a crash nor an outage loses it.

use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::clock::{MAX_SKEW, Time};
use crate::context::Context;
use crate::db::backfills::{self, Cause, NewBackfill};
use crate::db::webhook_marks;
use crate::faults::Step;
use crate::shell::Shell;

/// A request for a backfill.
#[derive(Clone, Debug)]
pub struct BackfillRequest {
    /// Its id, unless a pending backfill serves it. The same for every retry.
    pub id: Uuid,
    pub provider: String,
    /// The start of the range. None: the provider's last webhook, less the overlap.
    pub since: Option<Time>,
    /// Since when the provider was unavailable, if known: it may have sent webhooks since its return.
    pub away_since: Option<Time>,
    pub cause: Cause,
    /// The token's name and the reason of an operator's request.
    pub by: Option<(String, String)>,
}

/// Inserts a backfill; returns the id of the one that serves the request. None: no webhook of the provider ever arrived
/// and it owes no answer, so there is nothing to read. Call it in a transaction.
///
/// A market whose webhooks stop while others continue triggers no earlier start, because the last webhook of any market
/// counts: polls repair it, and an operator can give a start.
pub async fn request(
    connection: &mut PgConnection,
    asked: &BackfillRequest,
    overlap: TimeDelta,
    now: Time,
) -> sqlx::Result<Option<Uuid>> {
    match to_insert(connection, asked, overlap, now).await? {
        Some(new) => backfills::insert(connection, &new, now).await.map(Some),
        None => Ok(None),
    }
}

/// The backfill that [`request`] inserts, unless another serves it. Reads only.
pub async fn to_insert(
    connection: &mut PgConnection,
    asked: &BackfillRequest,
    overlap: TimeDelta,
    now: Time,
) -> sqlx::Result<Option<NewBackfill>> {
    let mut since = asked.since;
    if since.is_none() {
        let heard = webhook_marks::heard_until(connection, &asked.provider, now + MAX_SKEW * 2).await?;
        since = heard.map(|at| asked.away_since.map_or(at, |away| away.min(at)).min(now) - overlap);
    }
    // Nothing is known: only an operator's request is served.
    let since = since.or((asked.cause == Cause::Operator).then(|| now - overlap));
    let Some(since) = since else { return Ok(None) };
    let (who, reason) = asked.by.clone().unzip();
    Ok(Some(NewBackfill { id: asked.id, provider: asked.provider.clone(), since, cause: asked.cause, who, reason }))
}

/// The same in its own transaction on the caller's connection, for a start and for a closed breaker of `provider`. Does
/// nothing for an unknown provider or one without a list. If it fails, request again.
pub async fn request_for(
    connection: &mut PgConnection,
    context: &Context,
    provider: &str,
    cause: Cause,
    away_since: Option<Time>,
) -> sqlx::Result<Option<Uuid>> {
    let Shell { ids, clock, faults, .. } = &context.shell;
    let wakers = &context.cell.wakers;
    let providers = &context.outside.providers;
    let backfill_overlap = &context.policies.backfill_overlap;
    if providers.with_list(provider).is_none() {
        return Ok(None);
    }
    let asked =
        BackfillRequest { id: ids.next(), provider: provider.to_owned(), since: None, away_since, cause, by: None };
    let mut transaction = connection.begin().await?;
    let request = request(&mut transaction, &asked, *backfill_overlap, clock.now());
    let id = faults.around(super::NAME, Step::Settle, request).await?;
    faults.around(super::NAME, Step::Commit, transaction.commit()).await?;
    if let Some(id) = id {
        tracing::info!(provider, backfill.id = %id, cause = %cause, "backfill requested");
        wakers.backfill.notify_one();
    }
    Ok(id)
}
