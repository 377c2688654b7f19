//! Walks through a table in the order of its ids, which is the order of time, up to what is old enough: a look costs what is new
//! since the last one, however much is kept. The id of work has the time at which its opening started: so that work is passed which
//! an opening made late in a long life, and it moves a day later.
//!
//! What a walk has passed it sees again when it next sets out from the beginning, about once a day: what was kept for its
//! opening's sake, or was held by somebody. A row whose end came later than the row holds the walk up for an hour at most,
//! so that in the usual course each is moved as soon as its time has come.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{BATCH, Candidate};
use crate::clock::{Time, last_id_of};

/// Rows looked at in one step, at most.
const LOOK: usize = 2_000;
/// How long a row that is not done with for long enough yet holds up those behind it.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// How often a walk sets out anew: as often as things grow old enough, between the sweeper's own rhythm and once a day.
const OFTEN: TimeDelta = TimeDelta::seconds(10);
const SELDOM: TimeDelta = TimeDelta::days(1);

/// A walk that the caller's transaction holds.
pub struct Walk {
    name: &'static str,
    place: Uuid,
    began_at: Option<Time>,
}

/// What a step looks at.
pub struct Stretch {
    /// Ids above this one.
    pub from: Uuid,
    /// Ids up to this one.
    pub to: Uuid,
    /// Rows above this one are waited for, if only a little is missing.
    pub patient_from: Uuid,
    /// Rows at most.
    pub look: i64,
    /// Candidates at most.
    pub batch: i64,
}

/// What was found there.
pub struct Seen {
    /// Old enough, in the order of their ids.
    pub due: Vec<Candidate>,
    /// The last row before one that is waited for.
    pub passed: Option<Uuid>,
    /// Whether all that was to be looked at was passed, so that there may be more.
    pub full: bool,
}

impl Walk {
    /// Takes a walk up, unless somebody is on it this moment.
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

    /// What lies before it, of what is as old as `cutoff`.
    pub fn ahead(&self, cutoff: Time) -> Stretch {
        Stretch {
            from: self.place,
            to: last_id_of(cutoff),
            patient_from: last_id_of(cutoff - PATIENCE),
            look: i64::try_from(LOOK).unwrap_or(i64::MAX),
            batch: i64::try_from(BATCH).unwrap_or(i64::MAX),
        }
    }

    /// Goes on past what was seen and is dealt with; at the end, back to the beginning if it is time for that. Whether there may
    /// be more to do at once.
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
