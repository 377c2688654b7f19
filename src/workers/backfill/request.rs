//! Asking for a provider's list to be pulled: at a start, when a breaker closes, or because a person wants it.
//!
//! It is a row before anything is asked of the provider, so that no crash and no outage loses it.

use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::clock::{MAX_SKEW, Time};
use crate::db::backfills::{self, Cause, NewBackfill};
use crate::db::webhook_marks;
use crate::faults::Step;
use crate::workers::Context;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct BackfillRequest {
    /// The id that it has, unless another one serves it. The same when it is asked again.
    pub id: Uuid,
    /// The provider.
    pub provider: String,
    /// From when on. None: from when the provider was last heard of, less the overlap.
    pub since: Option<Time>,
    /// When the provider went away, where that is known: it may have been heard of since it came back.
    pub away_since: Option<Time>,
    /// Why.
    pub cause: Cause,
    /// The name of the token and the reason, where a person asked.
    pub by: Option<(String, String)>,
}

/// Has a provider's list pulled: the id of what does it. None: there was nothing to catch up on, for the provider was never
/// heard of and owes no answer. Call it in a transaction.
///
/// A market whose webhooks stopped while those of others went on is not caught up on by itself, since the last webhook of any
/// market counts: its polls find what it misses, and an operator can say since when.
///
/// # Errors
/// When the database is away.
pub async fn request(
    connection: &mut PgConnection,
    asked: &BackfillRequest,
    overlap: TimeDelta,
    now: Time,
) -> sqlx::Result<Option<Uuid>> {
    let mut since = asked.since;
    if since.is_none() {
        let heard = webhook_marks::heard_until(connection, &asked.provider, now + MAX_SKEW * 2).await?;
        since = heard.map(|at| asked.away_since.map_or(at, |away| away.min(at)).min(now) - overlap);
    }
    // Nothing is known: a person is believed, and nobody else.
    let since = since.or((asked.cause == Cause::Operator).then(|| now - overlap));
    let Some(since) = since else { return Ok(None) };
    let (who, reason) = asked.by.clone().unzip();
    let new = NewBackfill { id: asked.id, provider: asked.provider.clone(), since, cause: asked.cause, who, reason };
    backfills::insert(connection, &new, now).await.map(Some)
}

/// The same in a transaction of its own on a connection of the caller's, for a start and for a breaker of `provider` that
/// closed; a name that is no provider's, or one without a list, asks for nothing.
///
/// # Errors
/// When the database is away; then it is to be asked again.
pub async fn request_for(
    connection: &mut PgConnection,
    context: &Context,
    provider: &str,
    cause: Cause,
    away_since: Option<Time>,
) -> sqlx::Result<Option<Uuid>> {
    let Context { providers, ids, clock, backfill_overlap, faults, wakers, .. } = context;
    if !providers.get(provider).is_some_and(|it| it.capabilities().list_since) {
        return Ok(None);
    }
    let asked =
        BackfillRequest { id: ids.next(), provider: provider.to_owned(), since: None, away_since, cause, by: None };
    let mut transaction = connection.begin().await?;
    let request = request(&mut transaction, &asked, *backfill_overlap, clock.now());
    let id = faults.around(super::NAME, Step::Settle, request).await?;
    faults.around(super::NAME, Step::Commit, transaction.commit()).await?;
    if let Some(id) = id {
        tracing::info!(provider, backfill.id = %id, cause = %cause, "catching up");
        wakers.backfill.notify_one();
    }
    Ok(id)
}
