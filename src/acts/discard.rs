//! Ends a dead letter: it is not tried again.

use uuid::Uuid;

use super::{ActError, Acts, Once, Operator, dead_letter};
use crate::db::dead_letters::{Act, Letter};

/// # Errors
/// When there is no such dead letter, it went on otherwise, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    dead_letter::run(acts, operator, id, Act::Discard, reason).await.map(drop)
}

/// The letter that would be given up.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: Uuid) -> Result<Once<Letter>, ActError> {
    dead_letter::rehearse(acts, id, Act::Discard).await
}
