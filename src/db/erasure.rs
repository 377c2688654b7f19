//! Erases an opening's personal data from every table, in the caller's transaction.
//!
//! Invariant: state, version and history are unchanged, so the history still verifies. After the commit every statement
//! of a person or a provider about the customer is gone. Each table has its own `erase`. Facts that arrive later are
//! emptied when they are settled (`inbox::InboxWorker`) or swept (`inbox::erase_late`). A crash before the commit leaves
//! everything.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::mentions::Mentions;
use super::{
    archive, cases, events, idempotency, inbox, openings, operator_actions, outbox, refused_webhooks, reports, tickets,
};
use crate::clock::Time;
use crate::domain::Opening;
use crate::domain::opening::ERASED;

/// Erases a finished opening. The caller holds its lock, so that no worker decides about it meanwhile, and records the
/// act afterwards, because earlier records are emptied here. Rows that name no opening are searched for its IBAN,
/// e-mail and reference, which are known for the last time.
///
/// # Errors
/// If the opening has not ended.
pub async fn erase(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    let customer = openings::customers(connection, &[opening.id.0]).await?.pop().and_then(|(_, customer)| customer);
    let mentions = Mentions::of(opening, Some(&customer.unwrap_or_default()));
    openings::erase(connection, opening.id, now).await?;
    beside(connection, opening, &mentions, now, now).await
}

/// Erases an opening again: data that arrived since the erasure, or that was not recognised then, such as an unreadable
/// message.
pub async fn again(connection: &mut PgConnection, opening: &Opening, now: Time) -> sqlx::Result<()> {
    let mentions = Mentions::of(opening, None);
    beside(connection, opening, &mentions, opening.state.erased_at().unwrap_or(now), now).await
}

/// Erases every table except the anchors; empty rows stay unchanged. `erased_at` is the opening's.
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
    // Mismatches are locked before their cases, as everywhere.
    reports::erase(connection, id, mentions, now).await?;
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

/// The JSON fields that replace personal fields of a stored resource.
fn scrub(erased_at: Time) -> Value {
    json!({"customer_reference": "", "iban": null, "bic": null, "reason": ERASED, "erased_at": erased_at})
}
