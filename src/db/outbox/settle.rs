//! Settles work under the lease of its claim.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::retry::Nature;

/// The result of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Answered for good.
    Delivered {
        /// The answer's meaning.
        outcome: &'static str,
    },
    /// Failed; try again at `at`.
    Retry {
        at: Time,
        /// The class of the failure.
        class: &'static str,
        cause: String,
        /// Whether it counts towards `MAX_ATTEMPTS`.
        counts: bool,
        /// The failure's nature, which bounds the next try.
        nature: Nature,
    },
    /// Given up: a dead letter.
    Dead {
        /// The class of the failure.
        class: &'static str,
        /// The failure's nature.
        nature: Nature,
        cause: String,
    },
    /// No longer useful.
    Cancelled { cause: &'static str },
    /// Not sent: breaker, pause or permits deferred it. It waits as if it had not been claimed.
    Held {
        at: Time,
        /// The reason: `breaker_open`, `probing`, `throttled`, `crowded`; of tickets also `index_lag` and `overtaken`.
        class: &'static str,
    },
    /// Not started, because of a shutdown or because the rest of the lease was too short: the lease is released.
    Released,
}

/// The new values of a settled row.
struct Columns<'a> {
    status: &'static str,
    outcome: Option<&'a str>,
    /// The next due time. None: it waits no longer.
    due: Option<Time>,
    /// Whether it counts towards `MAX_ATTEMPTS`.
    counts: bool,
    /// The new entry of its log.
    log: Value,
    /// Whether the claim does not count: nothing was sent, and no fact has its number.
    unclaimed: bool,
}

impl Settled {
    fn columns(&self, now: Time) -> Columns<'_> {
        let entry = |class: &str, cause: &str| json!([{"at": now, "class": class, "cause": cause}]);
        let ended = |status, outcome, log| Columns {
            status,
            outcome: Some(outcome),
            due: None,
            counts: false,
            log,
            unclaimed: false,
        };
        let waits = |due, log| Columns {
            status: "pending",
            outcome: None,
            due: Some(due),
            counts: false,
            log,
            unclaimed: false,
        };
        match self {
            Self::Delivered { outcome } => ended("delivered", *outcome, entry("delivered", outcome)),
            Self::Retry { at, class, cause, counts, nature } => {
                let entry = json!([{"at": now, "class": class, "cause": cause, "nature": nature,
                                    "indeterminate": *nature == Nature::Indeterminate}]);
                Columns { counts: *counts, ..waits(*at, entry) }
            }
            Self::Dead { class, cause, nature } => {
                let entry = json!([{"at": now, "class": class, "cause": cause, "nature": nature}]);
                Columns { counts: true, ..ended("dead", *class, entry) }
            }
            Self::Cancelled { cause } => ended("cancelled", *cause, entry("cancelled", cause)),
            // The outcome shows the reason for waiting until the next try.
            Self::Held { at, class } => Columns { outcome: Some(*class), unclaimed: true, ..waits(*at, json!([])) },
            Self::Released => {
                let entry =
                    json!([{"at": now, "class": "released", "cause": "not begun in time", "indeterminate": false}]);
                waits(now, entry)
            }
        }
    }
}

/// Settles claimed rows; returns the ids of those settled. The others are unchanged: another worker holds the lease, or
/// the work was cancelled.
pub async fn settle(
    connection: &mut PgConnection,
    token: Uuid,
    done: &[(Uuid, &Settled)],
    now: Time,
) -> sqlx::Result<HashSet<Uuid>> {
    let ids: Vec<Uuid> = done.iter().map(|(id, _)| *id).collect();
    let columns: Vec<Columns<'_>> = done.iter().map(|(_, settled)| settled.columns(now)).collect();
    let statuses: Vec<&str> = columns.iter().map(|it| it.status).collect();
    let outcomes: Vec<Option<&str>> = columns.iter().map(|it| it.outcome).collect();
    let due: Vec<Option<Time>> = columns.iter().map(|it| it.due).collect();
    let attempts: Vec<i32> = columns.iter().map(|it| i32::from(it.counts)).collect();
    let unclaimed: Vec<i32> = columns.iter().map(|it| i32::from(it.unclaimed)).collect();
    let logs: Vec<Value> = columns.into_iter().map(|it| it.log).collect();
    #[cfg(feature = "broken")]
    if crate::faults::broken::lacks(crate::faults::broken::Defence::LeaseToken) {
        let rows = (&*ids, &*statuses, &*outcomes, &*due, &*attempts, &*logs);
        return super::broken::settle(connection, token, rows, now).await;
    }
    let settled = sqlx::query_scalar!(
        r#"-- outbox::settle
        with mine as (
            select id from outbox
             where id = any($1) and lease_token = $2
             -- As they are cancelled: the two must not cross.
             order by id
               for update
        )
        update outbox o
           set status = n.status, outcome = n.outcome, due_at = n.due_at, lease_token = null,
               attempts = o.attempts + n.attempts, claims = o.claims - n.unclaimed, attempt_log = o.attempt_log || n.log,
               delivered_at = case when n.status = 'delivered' then $9::timestamptz end
          from mine
          join unnest($1, $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::int[], $8::jsonb[])
            as n(id, status, outcome, due_at, attempts, unclaimed, log) using (id)
         where o.id = mine.id
        returning o.id"#,
        &ids,
        token,
        &statuses as &[&str],
        &outcomes as &[Option<&str>],
        &due as &[Option<Time>],
        &attempts,
        &unclaimed,
        &logs,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(settled.into_iter().collect())
}
