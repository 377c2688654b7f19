//! The timeline of an opening, with the provider's status word of each fact, or the failure of a poll.
//!
//! The inbox stores bodies, and only an adapter can read them. So the words are read with each page rather than stored
//! again, where an erasure would have to find them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::read;
use crate::clock::Time;
use crate::db::Page;
use crate::db::inbox::Pending;
use crate::db::timeline::{self, Item};
use crate::domain::{Fact, Opening, PollOutcome};
use crate::provider::Providers;

/// A page of the timeline, oldest first, with each fact's status word or failure.
pub async fn list(
    connection: &mut PgConnection,
    providers: &Providers,
    opening: &Opening,
    page: Page<(Time, i32, String)>,
) -> sqlx::Result<Vec<Item>> {
    let mut items = timeline::list(connection, opening, page).await?;
    add_words(connection, providers, &mut items).await?;
    Ok(items)
}

/// Adds to each fact's detail `provider_status`, or `failure` for an unanswered poll.
pub async fn add_words(connection: &mut PgConnection, providers: &Providers, items: &mut [Item]) -> sqlx::Result<()> {
    let facts = timeline::facts(connection, items).await?;
    let said: HashMap<Uuid, (&str, Value)> =
        facts.iter().filter_map(|row| Some((row.id, said(providers, row)?))).collect();
    for item in items {
        if let Some((name, word)) = Uuid::try_parse(&item.id).ok().and_then(|id| said.get(&id)) {
            item.detail[*name] = word.clone();
        }
    }
    Ok(())
}

/// The name and value that a fact adds. None, if the adapter panics on the body.
fn said(providers: &Providers, row: &Pending) -> Option<(&'static str, Value)> {
    let read = catch_unwind(AssertUnwindSafe(|| read::fact(providers, row))).ok()?;
    match read.ok()?.1 {
        Fact::Polled { outcome: PollOutcome::Failed { class }, .. } | Fact::SubmissionUnknown { class } => {
            Some(("failure", class.into()))
        }
        fact => fact.report().map(|report| ("provider_status", report.word.as_str().into())),
    }
}
