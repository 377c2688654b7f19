//! `outbox`: calls and deliveries to other systems, written with the state change that caused them.

#[cfg(feature = "broken")]
pub(super) mod broken;
mod claim;
mod settle;
mod waiting;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::claim::{claim, claim_in_turn};
pub use self::settle::{Settled, settle};
pub use self::waiting::{Discarded, Place, Waiting, check, discard, give_up_tracker_work, list};
use crate::clock::Time;
use crate::domain::{OpeningId, StateName, Topic};

#[derive(Clone, Debug)]
pub struct NewWork {
    /// The Idempotency-Key, the same for every repeat.
    pub id: Uuid,
    /// None: the delivery of an event about a report, or about a case without an opening.
    pub opening_id: Option<OpeningId>,
    pub topic: Topic,
    /// The lane, which isolates it from other work: the market, the provider and market, or the sink. Empty: none.
    pub lane: String,
    /// Data that is not in the opening.
    pub payload: Value,
}

/// Inserts work that is due at once.
pub async fn insert(connection: &mut PgConnection, work: &[NewWork], now: Time) -> sqlx::Result<()> {
    if work.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = work.iter().map(|it| it.id).collect();
    let openings: Vec<Option<Uuid>> = work.iter().map(|it| it.opening_id.map(|id| id.0)).collect();
    let topics: Vec<&str> = work.iter().map(|it| it.topic.as_str()).collect();
    let lanes: Vec<&str> = work.iter().map(|it| it.lane.as_str()).collect();
    let payloads: Vec<&Value> = work.iter().map(|it| &it.payload).collect();
    sqlx::query!(
        r#"-- outbox::insert
        insert into outbox (id, opening_id, topic, payload, status, due_at, created_at, retry_from, lane)
        select id, opening_id, topic, payload, 'pending', $5, $5, $5, lane
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $6::text[])
            as n(id, opening_id, topic, payload, lane)"#,
        &ids,
        &openings as &[Option<Uuid>],
        &topics as &[&str],
        &payloads as &[&Value],
        now,
        &lanes as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Cancels the pending commands of openings that have left the state in which they are useful, also while their call is
/// under way. The settlement of such a call changes no row; its result is a fact like any other.
pub async fn cancel(connection: &mut PgConnection, left: &[(OpeningId, Topic)]) -> sqlx::Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let openings: Vec<Uuid> = left.iter().map(|(id, _)| id.0).collect();
    let topics: Vec<String> = left.iter().map(|(_, topic)| topic.to_string()).collect();
    sqlx::query!(
        r#"-- outbox::cancel
        with unsent as (
            select o.id from outbox o
              join unnest($1::uuid[], $2::text[]) as n(opening_id, topic)
                on o.opening_id = n.opening_id and o.topic = n.topic
             where o.status = 'pending'
             -- As they are settled: the two must not cross.
             order by o.id
               for update of o
        )
        update outbox o set status = 'cancelled', outcome = 'obsolete', due_at = null, lease_token = null
          from unsent
         where o.id = unsent.id"#,
        &openings,
        &topics,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: Uuid,
    /// None: as of [`NewWork`].
    pub opening_id: Option<Uuid>,
    /// Data that is not in the opening.
    pub payload: Value,
    /// Unusable answers and errors of our own so far.
    pub attempts: i32,
    /// The number of this claim; from the second claim on, the call may have been made already.
    pub claims: i32,
    /// The results of earlier claims; a claim without an entry ended in a crash.
    pub attempt_log: Value,
    /// The start of `RETRY_FOR`: when it was written or redriven.
    pub retry_from: Time,
    /// Whether the claim took as much of its lane as the lane's share: more may be due there.
    pub fills_share: bool,
}

impl Claimed {
    /// Whether an earlier claim may have taken effect: all except those known to have sent nothing.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        let log = self.attempt_log.as_array().map(Vec::as_slice).unwrap_or_default();
        let nothing_sent = log.iter().filter(|entry| entry["indeterminate"] == false).count();
        usize::try_from(self.claims - 1).unwrap_or_default() > nothing_sent
    }
}

/// Makes deferred work of one topic due, and work that waits after a time-out, a lost connection, a server error or a throttle.
/// `Recovery` calls this when a breaker closes. The gate still enforces a pause that the other side asked for. `lane`: only work
/// of this lane, or of this provider. `all`: any waiting work. Returns the number, at most `limit`; if equal, more work may wait.
pub async fn make_due(
    connection: &mut PgConnection,
    topic: Topic,
    lane: Option<&str>,
    all: bool,
    now: Time,
    limit: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- outbox::make_due
        with waiting as (
            select id from outbox
             where topic = $1 and due_at > $2 and lease_token is null
               and ($5
                    or outcome in ('breaker_open', 'probing', 'crowded', 'throttled')
                    or (outcome is null
                        and attempt_log -> -1 ->> 'class' in ('timeout', 'transport', 'server_error', 'throttled')))
               and ($3::text is null or case when $6 then split_part(lane, '/', 1) else lane end = $3)
             limit $4
               for update skip locked
        )
        update outbox o set due_at = $2 from waiting where o.id = waiting.id"#,
        topic.as_str(),
        now,
        lane,
        limit,
        all,
        topic.is_for_provider(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Whether a command is still useful: its opening is in the state that it serves.
pub async fn is_of_use(connection: &mut PgConnection, opening: Uuid, topic: Topic) -> sqlx::Result<bool> {
    let Some(wanted) = topic.state() else { return Ok(true) };
    let state = sqlx::query_scalar!(
        r#"-- outbox::is_of_use
        select state from account_openings where id = $1"#,
        opening
    )
    .fetch_optional(connection)
    .await?;
    Ok(state.and_then(|state| state.parse::<StateName>().ok()) == Some(wanted))
}

/// Erases texts of people from an opening's commands, and the payload of finished ones. Unsent work keeps its payload,
/// which contains no personal data.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- outbox::erase
        update outbox
           set payload = case when status in ('delivered', 'cancelled') and topic <> 'deliver_event' then '{}'::jsonb
                              else payload end,
               attempt_log = (select coalesce(jsonb_agg(case when entry ? 'by' then entry || '{"cause": ""}' else entry end
                                                        order by n), '[]')
                                from jsonb_array_elements(attempt_log) with ordinality as log(entry, n))
         where opening_id = $1"#,
        opening.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
