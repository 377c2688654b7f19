//! Storing facts: the same key again is counted, with another body it is kept beside. Nothing is lost or overwritten.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::Source;
#[cfg(feature = "broken")]
use crate::faults::broken;

/// SHA-256 of a body.
pub type Digest = [u8; 32];

/// The longest event id that is stored as it is; a longer one would be refused by the unique index after its sender was
/// promised an answer.
const MAX_EVENT_ID: usize = 200;

/// What a new row starts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// To be decided.
    Pending,
    /// Understood to be of no concern; kept with the reason.
    Ignored(&'static str),
    /// Not understood; kept with the cause, for a person.
    Dead(&'static str),
}

impl Arrival {
    /// Status and outcome of the row.
    pub(crate) fn columns(&self) -> (String, Option<String>) {
        let (status, outcome) = match self {
            Self::Pending => ("pending", None),
            Self::Ignored(why) => ("ignored", Some(*why)),
            Self::Dead(cause) => ("dead", Some(*cause)),
        };
        (status.to_owned(), outcome.map(str::to_owned))
    }
}

/// A fact to be stored.
#[derive(Clone, Debug)]
pub struct NewFact {
    /// Ours.
    pub id: Uuid,
    /// Source and provider, as in `webhook:nexusbank`.
    pub group: String,
    /// The key under which it is stored once.
    pub event_id: String,
    /// Where it came from.
    pub source: Source,
    /// The provider that it is about.
    pub provider: String,
    /// Which event of the body.
    pub part: i32,
    /// As it came.
    pub body: Vec<u8>,
    /// Of the body.
    pub digest: Digest,
    /// As they came, without credentials.
    pub headers: Value,
    /// The opening that it names by our id.
    pub opening_id: Option<Uuid>,
    /// The opening that it names by the provider's id.
    pub provider_ref: Option<String>,
    /// When it came.
    pub received_at: Time,
    /// What its patience counts from: when it was taken in, which may be long after it came.
    pub retry_from: Time,
    /// What it starts as.
    pub arrival: Arrival,
    /// The lane that it goes to, where it is known. None: that of its opening's market, which is looked up.
    pub lane: Option<String>,
}

/// What became of a fact that was to be stored. In every case it is in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was new.
    New,
    /// The same was there already.
    Duplicate,
    /// Its id was there with another body; it is kept beside, dead.
    Conflict,
}

type Key = (String, String);

impl NewFact {
    fn key(&self) -> Key {
        (self.group.clone(), self.event_id.clone())
    }

    /// The row under which a second body for the same id is kept.
    fn as_conflict(&self) -> Self {
        let event_id = format!("{}!{}", self.event_id, hex::encode(self.digest));
        Self { event_id, arrival: Arrival::Dead("event_id_conflict"), ..self.clone() }
    }
}

/// The key for an event id of any length and form: the id itself, or its hash. An id with a mark that keys of our own making
/// have (`{id}#{n}`, `{id}!{sha256}`) is hashed too, or a sender could take such a key before its owner comes.
#[must_use]
pub fn event_key(event_id: &str) -> String {
    use sha2::Digest as _;
    let plain = event_id.len() <= MAX_EVENT_ID && !event_id.contains(['!', '#']) && !event_id.starts_with("sha256:");
    if plain {
        event_id.to_owned()
    } else {
        format!("sha256:{}", hex::encode(sha2::Sha256::digest(event_id.as_bytes())))
    }
}

/// Stores facts under their keys. The same key again is counted, with another body it is kept as a conflict: nothing that
/// was sent is lost or overwritten. Call it in a transaction; the answers are in the order of `facts`.
///
/// # Errors
/// When the database is away; then nothing of the transaction may be taken as stored.
pub async fn insert(connection: &mut PgConnection, facts: &[NewFact]) -> sqlx::Result<Vec<Stored>> {
    let mut first: HashMap<Key, usize> = HashMap::with_capacity(facts.len());
    let mut order: Vec<usize> = Vec::with_capacity(facts.len());
    for (index, fact) in facts.iter().enumerate() {
        if let Entry::Vacant(vacant) = first.entry(fact.key()) {
            vacant.insert(index);
            order.push(index);
        }
    }
    // Sorted, so that two batches that share keys wait for each other in the same order.
    order.sort_unstable_by(|a, b| facts[*a].key().cmp(&facts[*b].key()));
    let firsts: Vec<&NewFact> = order.iter().map(|index| &facts[*index]).collect();
    let new = insert_new(connection, &firsts).await?;

    let mut held: HashMap<Key, Digest> = HashMap::new();
    if new.len() < firsts.len() {
        let known: Vec<&&NewFact> = firsts.iter().filter(|fact| !new.contains(&fact.key())).collect();
        held = digests(connection, &known).await?;
    }
    let mut answers = Vec::with_capacity(facts.len());
    let (mut duplicates, mut conflicts) = (Vec::new(), Vec::new());
    for (index, fact) in facts.iter().enumerate() {
        let key = fact.key();
        let stored = match first.get(&key) {
            Some(first) if new.contains(&key) && *first == index => Stored::New,
            Some(first) if new.contains(&key) && facts[*first].digest == fact.digest => Stored::Duplicate,
            _ if held.get(&key) == Some(&fact.digest) => Stored::Duplicate,
            _ => Stored::Conflict,
        };
        match stored {
            Stored::New => {}
            Stored::Duplicate => duplicates.push(fact),
            Stored::Conflict => conflicts.push(fact.as_conflict()),
        }
        answers.push(stored);
    }
    count_duplicates(connection, &duplicates).await?;
    insert_conflicts(connection, conflicts).await?;
    Ok(answers)
}

async fn insert_conflicts(connection: &mut PgConnection, mut conflicts: Vec<NewFact>) -> sqlx::Result<()> {
    conflicts.sort_unstable_by_key(NewFact::key);
    let mut firsts: Vec<&NewFact> = conflicts.iter().collect();
    firsts.dedup_by_key(|fact| fact.key());
    let mut new = insert_new(connection, &firsts).await?;
    let again: Vec<&NewFact> = conflicts.iter().filter(|fact| !new.remove(&fact.key())).collect();
    count_duplicates(connection, &again).await
}

/// Inserts those whose keys are free and returns their keys.
async fn insert_new(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashSet<Key>> {
    if facts.is_empty() {
        return Ok(HashSet::new());
    }
    #[cfg(feature = "broken")]
    if broken::lacks(broken::Defence::UniqueKey) || broken::lacks(broken::Defence::DurableDedup) {
        return broken::insert(connection, facts).await;
    }
    let ids: Vec<Uuid> = facts.iter().map(|it| it.id).collect();
    let groups: Vec<String> = facts.iter().map(|it| it.group.clone()).collect();
    let event_ids: Vec<String> = facts.iter().map(|it| it.event_id.clone()).collect();
    let sources: Vec<String> = facts.iter().map(|it| it.source.to_string()).collect();
    let providers: Vec<String> = facts.iter().map(|it| it.provider.clone()).collect();
    let parts: Vec<i32> = facts.iter().map(|it| it.part).collect();
    let bodies: Vec<&[u8]> = facts.iter().map(|it| it.body.as_slice()).collect();
    let digests: Vec<&[u8]> = facts.iter().map(|it| it.digest.as_slice()).collect();
    let headers: Vec<Value> = facts.iter().map(|it| it.headers.clone()).collect();
    let openings: Vec<Option<Uuid>> = facts.iter().map(|it| it.opening_id).collect();
    let references: Vec<Option<String>> = facts.iter().map(|it| it.provider_ref.clone()).collect();
    let received: Vec<Time> = facts.iter().map(|it| it.received_at).collect();
    let (retried, lanes): (Vec<Time>, Vec<_>) = facts.iter().map(|it| (it.retry_from, it.lane.as_deref())).unzip();
    let (statuses, outcomes): (Vec<String>, Vec<Option<String>>) = facts.iter().map(|it| it.arrival.columns()).unzip();
    let rows = sqlx::query!(
        r#"-- inbox::insert
        insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                           provider_ref, received_at, retry_from, status, outcome, next_attempt_at, settled_at, lane)
        select id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
               provider_ref, received_at, retry_from, status, outcome, received_at,
               case when status = 'ignored' then received_at end,
               coalesce(lane, (select market from account_openings o where (o.provider, o.provider_ref)
                                                                        = (n.provider, n.provider_ref)),
                        (select market from account_openings o where o.id = n.opening_id), '')
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::bytea[],
                      $9::jsonb[], $10::uuid[], $11::text[], $12::timestamptz[], $13::text[], $14::text[],
                      $15::timestamptz[], $16::text[])
            as n(id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                 provider_ref, received_at, status, outcome, retry_from, lane)
        on conflict (consumer_group, event_id) do nothing
        returning consumer_group, event_id"#,
        &ids,
        &groups,
        &event_ids,
        &sources,
        &providers,
        &parts,
        &bodies as &[&[u8]],
        &digests as &[&[u8]],
        &headers,
        &openings as &[Option<Uuid>],
        &references as &[Option<String>],
        &received,
        &statuses,
        &outcomes as &[Option<String>],
        &retried,
        &lanes as &[Option<&str>],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.consumer_group, row.event_id)).collect())
}

async fn digests(connection: &mut PgConnection, facts: &[&&NewFact]) -> sqlx::Result<HashMap<Key, Digest>> {
    let groups: Vec<String> = facts.iter().map(|it| it.group.clone()).collect();
    let event_ids: Vec<String> = facts.iter().map(|it| it.event_id.clone()).collect();
    let rows = sqlx::query!(
        r#"-- inbox::digests
        select i.consumer_group, i.event_id, i.body_digest
          from unnest($1::text[], $2::text[]) as asked(consumer_group, event_id)
          join inbox i using (consumer_group, event_id)"#,
        &groups,
        &event_ids,
    )
    .fetch_all(connection)
    .await?;
    let digest = |bytes: Vec<u8>| bytes.try_into().unwrap_or_default();
    Ok(rows.into_iter().map(|row| ((row.consumer_group, row.event_id), digest(row.body_digest))).collect())
}

async fn count_duplicates(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    // Locked in the order of their keys, as the inserts are.
    lock(connection, facts).await?;
    let groups: Vec<String> = facts.iter().map(|it| it.group.clone()).collect();
    let event_ids: Vec<String> = facts.iter().map(|it| it.event_id.clone()).collect();
    let received: Vec<Time> = facts.iter().map(|it| it.received_at).collect();
    sqlx::query!(
        r#"-- inbox::count_duplicates
        update inbox i
           set duplicates = i.duplicates + again.times, last_duplicate_at = again.last
          from (select consumer_group, event_id, count(*)::int as times, max(received_at) as last
                  from unnest($1::text[], $2::text[], $3::timestamptz[]) as n(consumer_group, event_id, received_at)
                 group by consumer_group, event_id) as again
         where i.consumer_group = again.consumer_group and i.event_id = again.event_id"#,
        &groups,
        &event_ids,
        &received,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn lock(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<()> {
    let groups: Vec<String> = facts.iter().map(|it| it.group.clone()).collect();
    let event_ids: Vec<String> = facts.iter().map(|it| it.event_id.clone()).collect();
    sqlx::query!(
        r#"-- inbox::lock
        select 1 as one from inbox
         where (consumer_group, event_id) in (select * from unnest($1::text[], $2::text[]))
         order by consumer_group, event_id
           for no key update"#,
        &groups,
        &event_ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}
