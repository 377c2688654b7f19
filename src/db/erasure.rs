//! The erasure of an opening's personal data, everywhere it stands, in the caller's transaction.
//!
//! Invariant: state, version and history are left as they are, so the history still verifies; everything that a person or a
//! provider said about the customer is gone after the commit. Each table has its own `erase`; what comes later is emptied
//! when it is settled (`workers::inbox`) or swept (`inbox::erase_late`). A crash before the commit leaves all of it.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::mentions::Mentions;
use super::{
    archive, cases, events, idempotency, inbox, openings, operator_actions, outbox, refused_webhooks, tickets,
};
use crate::clock::Time;
use crate::domain::Opening;
use crate::domain::opening::ERASED;

/// Erases a finished opening. The caller holds its lock, so that no worker decides about it meanwhile, and records the act
/// afterwards: earlier records are emptied here. IBAN, e-mail and reference are known now and never again, so what names no opening
/// is searched for them.
///
/// # Errors
/// When the opening has not ended, or the database is away.
pub async fn erase(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    let customer = openings::customers(connection, &[opening.id.0]).await?.pop().and_then(|(_, customer)| customer);
    let mentions = Mentions::of(opening, Some(&customer.unwrap_or_default()));
    openings::erase(connection, opening.id, now).await?;
    beside(connection, opening, &mentions, now, now).await
}

/// Empties what came about an opening since it was erased, was said since, or was not recognised then: a message that nobody
/// can read, for one.
///
/// # Errors
/// When the database is away.
pub async fn again(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    let mentions = Mentions::of(opening, None);
    beside(connection, opening, &mentions, opening.state.erased_at().unwrap_or(now), now).await
}

/// Every table but the anchors; what is empty already stays as it is. `erased_at`: of the opening.
async fn beside(
    connection: &mut PgConnection,
    opening: &Opening,
    mentions: &Mentions,
    erased_at: Time,
    now: Time,
) -> sqlx::Result<()> {
    let id = opening.id;
    let mut emptied = inbox::erase(connection, opening, mentions, now).await?;
    let scrub = scrub(erased_at);
    idempotency::erase(connection, id, &scrub).await?;
    events::erase(connection, id, &scrub).await?;
    cases::erase(connection, id).await?;
    let others = cases::erase_held_by(connection, id).await?;
    emptied.extend(inbox::erase_evidence(connection, opening, &others, now).await?);
    emptied.extend(others);
    tickets::erase(connection, id).await?;
    outbox::erase(connection, id).await?;
    let archived = archive::erase(connection, opening, mentions, &emptied, now).await?;
    emptied.extend(archived);
    operator_actions::erase(connection, id, &emptied, mentions).await?;
    refused_webhooks::erase(connection, mentions).await
}

/// What takes the place of the personal fields of a resource that was stored.
fn scrub(erased_at: Time) -> Value {
    json!({"customer_reference": "", "iban": null, "bic": null, "reason": ERASED, "erased_at": erased_at})
}
