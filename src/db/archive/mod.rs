//! Where facts and work go that are done with, so that inbox and outbox stay lean.
//!
//! Invariant: a row leaves in the commit that copies it, and only once it was done with for long enough, its opening has ended,
//! and no case and no ticket refers to that or rests on it. An event's key and digest stay in the inbox for longer, so that its
//! copies and conflicts are told as before. A crash leaves all of a step, or nothing.
//!
//! ```text
//! walk.rs   how far each walk has come through its table     facts.rs  facts: copied and emptied, later their keys
//! erase.rs  emptied with an opening's personal data          work.rs   deliveries and commands, moved whole
//! ```

mod erase;
mod facts;
mod walk;
mod work;

use sqlx::PgConnection;
use uuid::Uuid;

pub use self::erase::erase;
pub use self::facts::{facts, keys};
pub use self::work::work;
use crate::domain::StateName;

/// Rows moved in one commit.
const BATCH: usize = 500;

/// What a step of a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows that left.
    pub rows: u64,
    /// Whether there may be more to do at once.
    pub more: bool,
}

/// A row that is old enough to be moved.
struct Candidate {
    id: Uuid,
    /// Where that is known.
    opening: Option<Uuid>,
}

/// Which of these may go: not those of openings that have not ended, or that a case or a ticket refers to, open or closed.
///
/// What is opened while the caller moves the row is as if it had been opened after: no fact is a reason for a case once it is
/// settled.
async fn free(connection: &mut PgConnection, candidates: Vec<Candidate>) -> sqlx::Result<Vec<Uuid>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let openings: Vec<Uuid> = candidates.iter().filter_map(|it| it.opening).collect();
    let ended: Vec<String> =
        StateName::ALL.iter().filter(|it| it.is_terminal()).map(|it| it.as_str().to_owned()).collect();
    let needed = sqlx::query_scalar!(
        r#"-- archive::free
        select o.id from account_openings o
         where o.id = any($1)
           and (o.state <> all($2)
                or exists (select from tickets t where t.opening_id = o.id)
                or exists (select from cases c where c.opening_id = o.id)
                or exists (select from cases c where c.theirs ->> 'held_by' = o.id::text))"#,
        &openings,
        &ended,
    )
    .fetch_all(connection)
    .await?;
    let is_free = |it: &Candidate| it.opening.is_none_or(|opening| !needed.contains(&opening));
    Ok(candidates.into_iter().filter(is_free).map(|it| it.id).collect())
}
