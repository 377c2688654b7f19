//! Settling work under the lease that it was claimed with.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::retry::Nature;

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was answered for good.
    Delivered {
        /// What the answer was.
        outcome: &'static str,
    },
    /// Not yet: once more at `at`.
    Retry {
        /// When.
        at: Time,
        /// The class of the failure.
        class: &'static str,
        /// For people.
        cause: String,
        /// Whether it counts towards `MAX_ATTEMPTS`.
        counts: bool,
        /// What the failure says about the next try.
        nature: Nature,
    },
    /// Given up: a dead letter.
    Dead {
        /// The class of the failure.
        class: &'static str,
        /// What the failure says about another try.
        nature: Nature,
        /// For people.
        cause: String,
    },
    /// Of no use any more.
    Cancelled {
        /// Why.
        cause: &'static str,
    },
    /// Not made, since something stood before it: it waits, and it was as if it had not been claimed.
    Held {
        /// Until when.
        at: Time,
        /// What it was: `breaker_open`, `probing`, `throttled` or `crowded`.
        class: &'static str,
    },
    /// Not begun (shutdown): the lease is given back.
    Released,
}

/// What the row of a settled call is to hold.
struct Columns<'a> {
    status: &'static str,
    outcome: Option<&'a str>,
    /// When it is due again. None: that stays as it is.
    next: Option<Time>,
    /// Whether it counts towards `MAX_ATTEMPTS`.
    counts: bool,
    /// What is added to its log.
    log: Value,
    /// Whether the claim was as none: nothing was sent, and no fact has its number.
    unclaimed: bool,
}

impl Settled {
    fn columns(&self, now: Time) -> Columns<'_> {
        let entry = |class: &str, cause: &str| json!([{"at": now, "class": class, "cause": cause}]);
        let ended = |status, outcome, log| Columns {
            status,
            outcome: Some(outcome),
            next: None,
            counts: false,
            log,
            unclaimed: false,
        };
        let waits =
            |next, log| Columns { status: "pending", outcome: None, next, counts: false, log, unclaimed: false };
        match self {
            Self::Delivered { outcome } => ended("delivered", *outcome, entry("delivered", outcome)),
            Self::Retry { at, class, cause, counts, nature } => {
                let entry = json!([{"at": now, "class": class, "cause": cause, "nature": nature,
                                    "indeterminate": *nature == Nature::Indeterminate}]);
                Columns { counts: *counts, ..waits(Some(*at), entry) }
            }
            Self::Dead { class, cause, nature } => {
                let entry = json!([{"at": now, "class": class, "cause": cause, "nature": nature}]);
                Columns { counts: true, ..ended("dead", *class, entry) }
            }
            Self::Cancelled { cause } => ended("cancelled", *cause, entry("cancelled", cause)),
            // What it waits for stands in its outcome until it is tried.
            Self::Held { at, class } => {
                Columns { outcome: Some(*class), unclaimed: true, ..waits(Some(*at), json!([])) }
            }
            Self::Released => {
                let entry =
                    json!([{"at": now, "class": "released", "cause": "not begun in time", "indeterminate": false}]);
                waits(None, entry)
            }
        }
    }
}

/// Settles claimed rows: the ids of those that were. Of the others somebody else holds the lease by now, or the work was
/// cancelled; of them nothing changed.
///
/// # Errors
/// When the database is away.
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
    let next: Vec<Option<Time>> = columns.iter().map(|it| it.next).collect();
    let attempts: Vec<i32> = columns.iter().map(|it| i32::from(it.counts)).collect();
    let unclaimed: Vec<i32> = columns.iter().map(|it| i32::from(it.unclaimed)).collect();
    let logs: Vec<Value> = columns.into_iter().map(|it| it.log).collect();
    #[cfg(feature = "broken")]
    if crate::faults::broken::lacks(crate::faults::broken::Defence::LeaseToken) {
        let rows = (&*ids, &*statuses, &*outcomes, &*next, &*attempts, &*logs);
        return super::broken::settle(connection, token, rows, now).await;
    }
    let settled = sqlx::query_scalar!(
        r#"-- outbox::settle
        with mine as (
            select id from outbox
             where id = any($1) and lease_token = $2 and status is not distinct from 'pending'
             -- As they are cancelled: the two must not cross.
             order by id
               for update
        )
        update outbox o
           set status = n.status, outcome = n.outcome, next_attempt_at = coalesce(n.next, o.next_attempt_at),
               attempts = o.attempts + n.attempts, claims = o.claims - n.unclaimed, attempt_log = o.attempt_log || n.log,
               lease_token = null, lease_until = null,
               delivered_at = case when n.status = 'delivered' then $9::timestamptz end
          from mine
          join unnest($1, $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::int[], $8::jsonb[])
            as n(id, status, outcome, next, attempts, unclaimed, log) using (id)
         where o.id = mine.id
        returning o.id"#,
        &ids,
        token,
        &statuses as &[&str],
        &outcomes as &[Option<&str>],
        &next as &[Option<Time>],
        &attempts,
        &unclaimed,
        &logs,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(settled.into_iter().collect())
}
