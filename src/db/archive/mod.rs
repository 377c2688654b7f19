//! Archives settled facts and finished work, so that inbox and outbox stay small.
//!
//! Invariant: a row is removed in the commit that copies it. It must have been settled for long enough, its opening
//! must have ended, and no case or ticket may refer to it. An event's key and digest stay in the inbox longer, so that
//! duplicates and conflicts are still recognised. A crash leaves a step completely done or not at all.
//!
//! ```text
//! walk.rs   position of each walk in its table     facts.rs  facts: copied and emptied, later their keys
//! erase.rs  erasure of archived personal data        work.rs   deliveries and commands, moved whole
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

/// Rows moved per commit.
const BATCH: usize = 500;

/// The result of one step of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub rows: u64,
    /// Whether the next step may find more immediately.
    pub more: bool,
}

/// A row old enough to be moved.
struct Candidate {
    id: Uuid,
    /// None: the row names no opening.
    opening: Option<Uuid>,
}

/// The candidates that may be archived: their opening has ended, and no case or ticket, open or closed, refers to it.
///
/// A case or ticket opened concurrently does not matter: a settled fact is never the reason of a new case.
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
