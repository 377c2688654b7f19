//! Walks a table in the order of its ids, which is the order of time, up to a cutoff. A step costs only the rows that
//! are new since the last step, however many are kept. The id of work contains the start of its opening; the walk may
//! pass work created late in a long opening, which then moves a day later.
//!
//! Rows that were passed (kept for their opening, or locked) are seen again when the walk restarts from the beginning,
//! about once a day. A row that ends later than its neighbours delays the walk for at most an hour, so rows usually
//! move as soon as they are old enough.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{BATCH, Candidate};
use crate::clock::{Time, last_id_of};

/// Maximum rows examined per step.
const LOOK: usize = 2_000;
/// How long a row that is not old enough yet may delay the rows after it.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// How often a walk restarts: the retention age, clamped to these bounds.
const OFTEN: TimeDelta = TimeDelta::seconds(10);
const SELDOM: TimeDelta = TimeDelta::days(1);

/// A walk; the caller's transaction has locked its row.
pub struct Walk {
    name: &'static str,
    place: Uuid,
    began_at: Option<Time>,
}

/// The rows that a step examines.
pub struct Stretch {
    /// Exclusive lower bound of ids.
    pub from: Uuid,
    /// Inclusive upper bound of ids.
    pub to: Uuid,
    /// A row above this id that is not old enough yet stops the walk.
    pub patient_from: Uuid,
    /// Maximum rows examined.
    pub look: i64,
    /// Maximum candidates returned.
    pub batch: i64,
}

/// The rows that a step found.
pub struct Seen {
    /// Old enough, in the order of their ids.
    pub due: Vec<Candidate>,
    /// The last row before the one that stops the walk.
    pub passed: Option<Uuid>,
    /// Whether the step used its whole budget, so that more may follow.
    pub full: bool,
}

impl Walk {
    /// Locks the walk's row. None: another replica holds it (SKIP LOCKED).
    pub async fn take(connection: &mut PgConnection, name: &'static str) -> sqlx::Result<Option<Self>> {
        let row = sqlx::query!(
            r#"-- archive::walk::take
            select place, began_at from archive_walks where name = $1 for no key update skip locked"#,
            name,
        )
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| Self { name, place: row.place, began_at: row.began_at }))
    }

    /// The next rows of the walk that are as old as `cutoff`.
    pub fn ahead(&self, cutoff: Time) -> Stretch {
        Stretch {
            from: self.place,
            to: last_id_of(cutoff),
            patient_from: last_id_of(cutoff - PATIENCE),
            look: i64::try_from(LOOK).unwrap_or(i64::MAX),
            batch: i64::try_from(BATCH).unwrap_or(i64::MAX),
        }
    }

    /// Saves the new position; at the end of the table, restarts if it is time. Returns whether the next step may find
    /// more immediately.
    pub async fn go_on(
        self,
        connection: &mut PgConnection,
        seen: &Seen,
        age: TimeDelta,
        now: Time,
    ) -> sqlx::Result<bool> {
        let next = self.after(seen, age, now);
        if (next.place, next.began_at) != (self.place, self.began_at) {
            sqlx::query!(
                r#"-- archive::walk::go_on
                update archive_walks set place = $2, began_at = $3 where name = $1"#,
                self.name,
                next.place,
                next.began_at,
            )
            .execute(connection)
            .await?;
        }
        Ok(next.more)
    }

    fn after(&self, seen: &Seen, age: TimeDelta, now: Time) -> Next {
        let began_at = self.began_at.unwrap_or(now);
        let on = |place, more| Next { place, began_at: Some(began_at), more };
        match seen.due.get(BATCH - 1) {
            Some(last) => on(last.id, true),
            None if seen.full => on(seen.passed.unwrap_or(self.place), true),
            None if now - began_at >= age.clamp(OFTEN, SELDOM) => {
                Next { place: Uuid::nil(), began_at: Some(now), more: true }
            }
            None => on(seen.passed.unwrap_or(self.place), false),
        }
    }
}

struct Next {
    place: Uuid,
    began_at: Option<Time>,
    more: bool,
}
