//! The erasure of an opening's personal data, everywhere it stands, in the caller's transaction.
//!
//! Invariant: state, version and history are left as they are, so the history still verifies; everything that a person or a
//! provider said about the customer is gone after the commit. Each table has its own `erase`; what comes later is emptied
//! when it is settled (`workers::inbox`) or swept (`inbox::erase_late`). A crash before the commit leaves all of it.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{cases, events, idempotency, inbox, openings, operator_actions, outbox, rejected, tickets};
use crate::clock::Time;
use crate::domain::Opening;
use crate::domain::opening::ERASED;

/// Erases a finished opening. The caller holds its lock, so that no worker decides about it meanwhile, and records the act
/// afterwards: earlier records are emptied here.
///
/// # Errors
/// When the opening has not ended, or the database is away.
pub async fn erase(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    let id = opening.id;
    openings::erase(connection, id, now).await?;
    let facts = inbox::erase(connection, opening, now).await?;
    let scrub = scrub(now);
    idempotency::erase(connection, id, &scrub).await?;
    events::erase(connection, id, &scrub).await?;
    cases::erase(connection, id).await?;
    tickets::erase(connection, id).await?;
    outbox::erase(connection, id).await?;
    operator_actions::erase(connection, id, &facts).await?;
    rejected::erase(connection, opening).await
}

/// Empties what came about an opening since it was erased and was not recognised then, a message that nobody can read for one.
///
/// # Errors
/// When the database is away.
pub async fn again(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    inbox::erase(connection, opening, now).await?;
    rejected::erase(connection, opening).await
}

/// What takes the place of the personal fields of a resource that was stored.
fn scrub(now: Time) -> Value {
    json!({"customer_reference": "", "iban": null, "bic": null, "reason": ERASED, "erased_at": now})
}
