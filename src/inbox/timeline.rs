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
use crate::domain::{Fact, Opening, PollOutcome, Source};
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

/// A fact as it was learnt.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub id: Uuid,
    pub source: Source,
    pub at: Time,
    pub fact: Fact,
    /// The fact is among the last of its source about the opening.
    pub is_last: bool,
}

/// A page of the timeline, newest first, with each fact's status word or failure; and its facts, with the last of each source.
pub async fn newest(
    connection: &mut PgConnection,
    providers: &Providers,
    opening: &Opening,
    page: Page<(Time, i32, String)>,
    sources: &[Source],
) -> sqlx::Result<(Vec<Item>, Vec<Learnt>)> {
    let mut items = timeline::list_newest(connection, opening, page).await?;
    let facts = timeline::facts_and_last(connection, &items, opening, sources).await?;
    let mut facts = learnt(providers, &facts);
    // The statement has no order. Where two facts have one time, each page must take the same one for the provider's last word.
    facts.sort_by_key(|it| (it.at, it.id));
    add(&facts, &mut items);
    Ok((items, facts))
}

/// Adds to each fact's detail `provider_status`, or `failure` for an unanswered poll.
pub async fn add_words(connection: &mut PgConnection, providers: &Providers, items: &mut [Item]) -> sqlx::Result<()> {
    let facts = timeline::facts(connection, items).await?.into_iter().map(|it| (it, false)).collect::<Vec<_>>();
    add(&learnt(providers, &facts), items);
    Ok(())
}

fn add(facts: &[Learnt], items: &mut [Item]) {
    let said: HashMap<Uuid, (&str, Value)> = facts.iter().filter_map(|it| Some((it.id, said(&it.fact)?))).collect();
    for item in items {
        if let Some((name, word)) = Uuid::try_parse(&item.id).ok().and_then(|id| said.get(&id)) {
            item.detail[*name] = word.clone();
        }
    }
}

/// The facts that can be read.
fn learnt(providers: &Providers, rows: &[(Pending, bool)]) -> Vec<Learnt> {
    let learnt = |(row, is_last): &(Pending, bool)| {
        let (source, fact) = guarded(providers, row).ok()?;
        Some(Learnt { id: row.id, source, at: row.received_at, fact, is_last: *is_last })
    };
    rows.iter().filter_map(learnt).collect()
}

/// Reads a row as a fact.
///
/// # Errors
/// Why this version cannot read it.
pub fn read(providers: &Providers, row: &Pending) -> Result<Fact, String> {
    guarded(providers, row).map(|(_, fact)| fact)
}

/// An adapter may panic on a body.
fn guarded(providers: &Providers, row: &Pending) -> Result<(Source, Fact), String> {
    let read = catch_unwind(AssertUnwindSafe(|| read::fact(providers, row)));
    read.unwrap_or_else(|_| Err("the adapter panics on it".to_owned()))
}

/// The name and value that a fact adds.
fn said(fact: &Fact) -> Option<(&'static str, Value)> {
    match fact {
        Fact::Polled { outcome: PollOutcome::Failed { class }, .. } | Fact::SubmissionUnknown { class } => {
            Some(("failure", class.as_str().into()))
        }
        fact => fact.report().map(|report| ("provider_status", report.word.as_str().into())),
    }
}
