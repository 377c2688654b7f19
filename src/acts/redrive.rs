//! Makes a dead letter pending again. Its count of attempts starts at 0; its log of attempts is kept.

use uuid::Uuid;

use super::{ActError, Acts, Once, Operator, dead_letter};
use crate::db::dead_letters::{Act, Letter};

/// # Errors
/// When there is no such dead letter, it went on otherwise or is of no use any more, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let letter = dead_letter::run(acts, operator, id, Act::Redrive, reason).await?;
    dead_letter::wake(&acts.cell.wakers, &letter);
    Ok(())
}

/// The letter that would be tried again.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: Uuid) -> Result<Once<Letter>, ActError> {
    dead_letter::rehearse(acts, id, Act::Redrive).await
}
