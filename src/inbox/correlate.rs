//! Correlation: finds the opening of each fact, by tracking id, else by our reference, and the knowledge around it.
//!
//! The whole batch is looked up at once. Lock order: anchors by id, so that two batches wait for each other instead of
//! deadlocking.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::advance::Advance;
use crate::db::inbox::{self, Pending, Unread};
use crate::db::openings;
use crate::domain::bank::Iban;
use crate::domain::{Event, Fact, InboxId, Knowledge, Opening, OpeningId, Source, State};

pub(super) struct Readable {
    pub id: Uuid,
    pub retry_from: Time,
    received_at: Time,
    source: Source,
    provider: String,
    /// The opening that our id in it names.
    opening_id: Option<Uuid>,
    /// The tracking id in the body, else the one recorded at receipt.
    reference: Option<String>,
    iban: Option<String>,
    fact: Fact,
}

impl Readable {
    pub fn new(row: Pending, source: Source, fact: Fact) -> Self {
        let said = fact.reference().map(ToString::to_string);
        let iban = fact.iban().and_then(|it| Iban::parse(it).ok());
        Self {
            id: row.id,
            retry_from: row.retry_from,
            received_at: row.received_at,
            source,
            provider: row.provider,
            opening_id: row.opening_id,
            reference: said.or(row.provider_ref),
            iban: iban.map(|it| it.as_str().to_owned()),
            fact,
        }
    }

    /// The provider and the time, if it came by webhook.
    pub fn webhook(&self) -> Option<(String, Time)> {
        (self.source == Source::Webhook).then(|| (self.provider.clone(), self.received_at))
    }

    /// Our own facts name their opening; a provider's report is looked up by tracking id first.
    fn is_ours(&self) -> bool {
        matches!(self.source, Source::Command | Source::Poll | Source::Timer | Source::Operator)
    }

    /// Provider and tracking id.
    fn key(&self) -> Option<(&str, &str)> {
        Some((&self.provider, self.reference.as_deref()?))
    }
}

/// The facts of a batch with their locked anchors.
pub(super) struct Correlated {
    pub facts: Vec<Readable>,
    /// In the order of their ids.
    pub anchors: BTreeMap<Uuid, Advance>,
    pub holders: Holders,
}

/// The openings that hold tracking ids and IBANs, updated while the batch is decided.
pub(super) struct Holders {
    /// By provider and tracking id.
    references: HashMap<String, HashMap<String, Uuid>>,
    ibans: HashMap<String, Uuid>,
    locked: HashSet<Uuid>,
    older_unread: HashSet<Uuid>,
}

pub(super) async fn correlate(
    connection: &mut PgConnection,
    facts: Vec<Readable>,
    now: Time,
) -> sqlx::Result<Correlated> {
    let (providers, references): (Vec<&str>, Vec<&str>) = facts.iter().filter_map(Readable::key).unzip();
    let found = openings::by_reference(connection, &providers, &references).await?;
    let mut ids: Vec<Uuid> = facts.iter().filter_map(|it| it.opening_id).collect();
    ids.extend(found.iter().map(|(.., id)| *id));
    ids.sort_unstable();
    ids.dedup();
    let locked = openings::lock(connection, &ids).await?;
    let anchors: BTreeMap<Uuid, Advance> =
        locked.into_iter().map(|anchor| (anchor.opening.id.0, Advance::of(anchor))).collect();

    let ibans: Vec<&str> = facts.iter().filter_map(|it| it.iban.as_deref()).collect();
    let mut holders = Holders {
        references: HashMap::new(),
        ibans: openings::by_iban(connection, &ibans).await?.into_iter().collect(),
        locked: anchors.keys().copied().collect(),
        older_unread: HashSet::new(),
    };
    for (provider, reference, id) in found {
        holders.references.entry(provider).or_default().insert(reference, id);
    }
    // Under the lock, another commit's changes since the first lookup count.
    for advance in anchors.values() {
        holders.learn(&advance.opening);
    }
    holders.older_unread = older_unread(connection, &facts, &anchors, now).await?;
    Ok(Correlated { facts, anchors, holders })
}

/// The last polls with an older unread fact about the same opening.
async fn older_unread(
    connection: &mut PgConnection,
    facts: &[Readable],
    anchors: &BTreeMap<Uuid, Advance>,
    now: Time,
) -> sqlx::Result<HashSet<Uuid>> {
    let asked: Vec<Unread> = facts
        .iter()
        .filter(|fact| matches!(fact.fact, Fact::Polled { .. }))
        .filter_map(|fact| {
            let opening = &anchors.get(&fact.opening_id?)?.opening;
            let State::AwaitingProvider(wait) = &opening.state else { return None };
            (opening.deadline_at <= now).then(|| Unread {
                than: fact.id,
                opening_id: opening.id.0,
                provider: opening.request.provider.clone(),
                provider_ref: wait.reference.to_string(),
            })
        })
        .collect();
    let hands: Vec<Uuid> = facts.iter().map(|it| it.id).collect();
    Ok(inbox::older_unread(connection, &asked, &hands, now).await?.into_iter().collect())
}

impl Holders {
    /// The opening that holds the fact's tracking id.
    fn by_reference(&self, fact: &Readable) -> Option<Uuid> {
        let (provider, reference) = fact.key()?;
        self.references.get(provider)?.get(reference).copied()
    }

    /// The opening of a fact, if it is known.
    pub fn opening_of(&self, fact: &Readable) -> Option<Uuid> {
        let named = fact.opening_id.filter(|id| self.locked.contains(id));
        let by_reference = self.by_reference(fact);
        let found = if fact.is_ours() { named.or(by_reference) } else { by_reference.or(named) };
        // Stored by another commit just now and not locked by this one: the next try finds it.
        found.filter(|id| self.locked.contains(id))
    }

    /// The fact with the knowledge around it.
    pub fn event(&self, fact: Readable, about: &Opening) -> Event {
        let other = |holder: Option<Uuid>| holder.filter(|id| *id != about.id.0).map(OpeningId);
        let knowledge = Knowledge {
            reference_holder: other(self.by_reference(&fact)),
            iban_holder: other(fact.iban.as_ref().and_then(|iban| self.ibans.get(iban)).copied()),
            older_unread: self.older_unread.contains(&fact.id),
        };
        Event { inbox_id: InboxId(fact.id), source: fact.source, fact: fact.fact, knowledge }
    }

    /// Records what an opening holds now.
    pub fn learn(&mut self, opening: &Opening) {
        if let Some(reference) = opening.state.reference() {
            let provider = &opening.request.provider;
            match self.references.get_mut(provider) {
                Some(held) => hold(held, reference.as_str(), opening.id.0),
                None => hold(self.references.entry(provider.clone()).or_default(), reference.as_str(), opening.id.0),
            }
        }
        if let Some(account) = opening.state.account() {
            hold(&mut self.ibans, account.iban.as_str(), opening.id.0);
        }
    }
}

fn hold(held: &mut HashMap<String, Uuid>, value: &str, opening: Uuid) {
    match held.get_mut(value) {
        Some(holder) => *holder = opening,
        None => _ = held.insert(value.to_owned(), opening),
    }
}
