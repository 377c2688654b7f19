//! `timers`: the time of the poller's next look at each opening.
//!
//! Timers form queues: urgent ones (deadline passed, or no provider to ask) in one queue, and the polls of each
//! provider in a queue of their own. A claim reads only the head of a queue, independent of its length and of other queues.
//! The timer's columns determine its queue; the work itself is read from the anchor.

mod claim_cursor;

use std::collections::BTreeSet;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

pub use self::claim_cursor::ClaimCursor;
use self::claim_cursor::{Line, Place};
use crate::clock::Time;
use crate::domain::{Opening, StateName};

#[derive(Clone, Debug)]
pub struct Due {
    pub opening_id: Uuid,
    /// The number of this claim, raised in its own commit: unique per opening.
    pub claim: i32,
    /// The opening's state at the claim.
    pub state: String,
    /// The provider that it waits for.
    pub provider: String,
    /// The tracking id, if it waits for the provider.
    pub provider_ref: Option<String>,
    /// From this time on a poll is the last.
    pub deadline_at: Time,
}

/// The timer of an unfinished opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer<'a> {
    due_at: Option<Time>,
    claims_before_wait: i32,
    account_due_since: Option<Time>,
    /// The provider that a poll asks, as long as the poll may wait for capacity.
    asks: Option<&'a str>,
    /// From this time on it may not wait for capacity. None: it always may.
    urgent_from: Option<Time>,
}

impl<'a> Timer<'a> {
    /// The timer of an opening. None: the opening has ended.
    #[must_use]
    pub fn of(opening: &'a Opening) -> Option<Self> {
        let Opening { due_at, deadline_at, polls_before_wait, account_due_since, .. } = *opening;
        let provider = opening.request.provider.as_str();
        let (asks, urgent_from) = match opening.state_name() {
            StateName::Completed | StateName::Rejected | StateName::Failed => return None,
            StateName::Escalated => (Some(provider), None),
            StateName::AwaitingProvider => {
                (due_at.is_some_and(|due| due < deadline_at).then_some(provider), Some(deadline_at))
            }
            StateName::CreatingProfile | StateName::RequestingAccount | StateName::IssuingCard => {
                (None, Some(due_at.map_or(deadline_at, |due| due.min(deadline_at))))
            }
        };
        Some(Self { due_at, claims_before_wait: polls_before_wait, account_due_since, asks, urgent_from })
    }
}

/// Writes the timers of openings: inserts, moves, stops (escalated: no time) or deletes (terminal) them.
pub async fn set(connection: &mut PgConnection, openings: &[&Opening]) -> sqlx::Result<()> {
    let ended: Vec<Uuid> = openings.iter().filter(|it| Timer::of(it).is_none()).map(|it| it.id.0).collect();
    if !ended.is_empty() {
        sqlx::query!(
            r#"-- timers::set
            delete from timers where opening_id = any($1)"#,
            &ended
        )
        .execute(&mut *connection)
        .await?;
    }
    let (ids, timers): (Vec<Uuid>, Vec<Timer<'_>>) =
        openings.iter().filter_map(|it| Some((it.id.0, Timer::of(it)?))).unzip();
    if !ids.is_empty() {
        let due: Vec<Option<Time>> = timers.iter().map(|it| it.due_at).collect();
        let before_wait: Vec<i32> = timers.iter().map(|it| it.claims_before_wait).collect();
        let account_due: Vec<Option<Time>> = timers.iter().map(|it| it.account_due_since).collect();
        let asks: Vec<Option<&str>> = timers.iter().map(|it| it.asks).collect();
        let urgent: Vec<Option<Time>> = timers.iter().map(|it| it.urgent_from).collect();
        sqlx::query!(
            r#"-- timers::set
            insert into timers (opening_id, due_at, claims_before_wait, asks, urgent_from, account_due_since)
            select * from unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[])
            on conflict (opening_id) do update
               set due_at = excluded.due_at, claims_before_wait = excluded.claims_before_wait, asks = excluded.asks,
                   urgent_from = excluded.urgent_from, account_due_since = excluded.account_due_since"#,
            &ids,
            &due as &[Option<Time>],
            &before_wait,
            &asks as &[Option<&str>],
            &urgent as &[Option<Time>],
            &account_due as &[Option<Time>],
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The capacity for polls of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollCapacity {
    pub provider: &'static str,
    /// The maximum number of polls.
    pub most: usize,
}

/// Claims due timers, longest due first: of each provider as many as its capacity allows, and at most `limit` urgent
/// ones regardless of capacity. A claim moves the timer by its lease only: if the process dies, the timer is due again
/// afterwards and no interval is lost.
///
/// A provider without an entry is not polled before the deadline: only a newer version knows its adapter.
pub async fn claim(
    connection: &mut PgConnection,
    cursor: &ClaimCursor,
    now: Time,
    lease_until: Time,
    capacities: &[PollCapacity],
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    let polls = capacities.iter().filter(|it| it.most > 0);
    let polls = polls.map(|it| (Line::Polls(it.provider), i64::try_from(it.most).unwrap_or(limit)));
    let lines: Vec<(Line, i64)> = std::iter::once((Line::Urgent, limit)).chain(polls).collect();
    let (mut ids, mut read) = (BTreeSet::new(), Vec::with_capacity(lines.len()));
    let mut transaction = connection.begin().await?;
    for (line, most) in lines {
        let after = cursor.begin(line, now);
        let places = match line {
            Line::Urgent => lock_urgent(&mut transaction, now, after, most).await?,
            Line::Polls(provider) => lock_polls(&mut transaction, provider, now, after, most).await?,
        };
        ids.extend(places.iter().map(|it| it.opening_id));
        let may_be_more = places.len() as u64 >= most.unsigned_abs();
        read.push((line, places.last().copied().filter(|_| may_be_more)));
    }
    let due = if ids.is_empty() { Vec::new() } else { lease(&mut transaction, &ids, lease_until).await? };
    transaction.commit().await?;
    for (line, place) in read {
        cursor.end(line, now, place);
    }
    Ok(due)
}

/// Locks the head of the urgent queue with SKIP LOCKED. Plan: the limit is a sub-select, because a literal number would
/// be planned anew for each call.
async fn lock_urgent(connection: &mut PgConnection, now: Time, after: Place, most: i64) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"-- timers::lock_urgent
        select greatest(due_at, urgent_from) as "at!", opening_id
          from timers
         where urgent_from is not null and due_at is not null
           and greatest(due_at, urgent_from) <= $1 and (greatest(due_at, urgent_from), opening_id) > ($2, $3)
         order by greatest(due_at, urgent_from), opening_id
         limit (select $4::bigint)
           for update skip locked"#,
        now,
        after.at,
        after.opening_id,
        most,
    )
    .fetch_all(connection)
    .await
}

/// The same for a provider's polls. Plan: the provider is compared separately, because with a row comparison that
/// starts with it Postgres ends the scan by that column alone and reads rows that are not due. The comparison with a
/// list keeps the order different from `due_at` alone, so that no other index qualifies.
async fn lock_polls(
    connection: &mut PgConnection,
    provider: &str,
    now: Time,
    after: Place,
    most: i64,
) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"-- timers::lock_polls
        select due_at as "at!", opening_id
          from timers
         where asks is not null and due_at is not null
           and asks = any(array[$1::text]) and due_at <= $2 and (due_at, opening_id) > ($3, $4)
         order by asks, due_at, opening_id
         limit (select $5::bigint)
           for update skip locked"#,
        provider,
        now,
        after.at,
        after.opening_id,
        most,
    )
    .fetch_all(connection)
    .await
}

async fn lease(connection: &mut PgConnection, ids: &BTreeSet<Uuid>, until: Time) -> sqlx::Result<Vec<Due>> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    sqlx::query_as!(
        Due,
        r#"-- timers::lease
        update timers t
           set due_at = $2, claims = t.claims + 1
          from account_openings o
         where t.opening_id = any($1) and o.id = t.opening_id
        returning t.opening_id, t.claims as claim, o.state, o.provider, o.provider_ref, o.deadline_at"#,
        &ids,
        until,
    )
    .fetch_all(connection)
    .await
}
