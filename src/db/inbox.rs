//! `inbox`: every fact from outside, inserted before anything is made of it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::{Outcome, Source};

/// SHA-256 of a body.
pub type Digest = [u8; 32];

/// The longest event id that is stored as it is; a longer one is replaced by its hash, since a unique index would refuse
/// it after the sender was promised an answer.
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
    /// What it starts as.
    pub arrival: Arrival,
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

/// The key for an event id of any length.
#[must_use]
pub fn event_key(event_id: &str) -> String {
    use sha2::Digest as _;
    if event_id.len() <= MAX_EVENT_ID {
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
    let (mut statuses, mut outcomes) = (Vec::new(), Vec::new());
    for fact in facts {
        let (status, outcome) = match fact.arrival {
            Arrival::Pending => ("pending", None),
            Arrival::Ignored(why) => ("ignored", Some(why.to_owned())),
            Arrival::Dead(cause) => ("dead", Some(cause.to_owned())),
        };
        statuses.push(status.to_owned());
        outcomes.push(outcome);
    }
    let rows = sqlx::query!(
        r#"-- inbox::insert
        insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                           provider_ref, received_at, retry_from, status, outcome, next_attempt_at, settled_at)
        select id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
               provider_ref, received_at, received_at, status, outcome, received_at,
               case when status = 'ignored' then received_at end
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::bytea[],
                      $9::jsonb[], $10::uuid[], $11::text[], $12::timestamptz[], $13::text[], $14::text[])
            as n(id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                 provider_ref, received_at, status, outcome)
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

/// A fact that waits to be decided, locked by the transaction that claimed it.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its id.
    pub id: Uuid,
    /// Where it came from.
    pub source: String,
    /// The provider that it is about.
    pub provider: String,
    /// Which event of the body.
    pub part: i32,
    /// As it came.
    pub body: Vec<u8>,
    /// As they were kept.
    pub headers: Value,
    /// The opening that it names by our id.
    pub opening_id: Option<Uuid>,
    /// The opening that it names by the provider's id.
    pub provider_ref: Option<String>,
    /// What its patience counts from: when it came, or was redriven.
    pub retry_from: Time,
    /// Errors of our own so far.
    pub attempts: i32,
}

/// Claims facts that are due, by locking them until the end of the transaction: facts that another worker holds are
/// passed over, and a worker that dies leaves nothing behind.
///
/// # Errors
/// When the database is away.
pub async fn claim(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<Vec<Pending>> {
    sqlx::query_as!(
        Pending,
        r#"-- inbox::claim
        select id, source, provider, part, body, headers, opening_id, provider_ref, retry_from, attempts
          from inbox
         where status = 'pending' and next_attempt_at <= $1
         order by next_attempt_at, id
         limit $2
           for update skip locked"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A fact that was decided.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The fact.
    pub id: Uuid,
    /// What it turned out to be.
    pub outcome: Outcome,
    /// The opening that it was about.
    pub opening_id: Uuid,
}

/// Settles facts that were decided. They were claimed in the same transaction, so each is one row.
///
/// # Errors
/// When the database is away.
pub async fn settle(connection: &mut PgConnection, settled: &[Settlement], now: Time) -> sqlx::Result<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = settled.iter().map(|it| it.id).collect();
    let outcomes: Vec<String> = settled.iter().map(|it| it.outcome.to_string()).collect();
    let openings: Vec<Uuid> = settled.iter().map(|it| it.opening_id).collect();
    let status = |outcome| match outcome {
        Outcome::Applied | Outcome::Recorded | Outcome::Conflict => "applied",
        Outcome::Duplicate | Outcome::Superseded | Outcome::Unknown | Outcome::Parked => "ignored",
    };
    let statuses: Vec<String> = settled.iter().map(|it| status(it.outcome).to_owned()).collect();
    let done = sqlx::query!(
        r#"-- inbox::settle
        update inbox i
           set status = n.status, outcome = n.outcome, opening_id = n.opening_id, settled_at = $5
          from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) as n(id, status, outcome, opening_id)
         where i.id = n.id and i.status = 'pending'"#,
        &ids,
        &statuses,
        &outcomes,
        &openings,
        now,
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == ids.len() as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Puts facts that match nothing yet aside until the given times.
///
/// # Errors
/// When the database is away.
pub async fn park(connection: &mut PgConnection, parked: &[(Uuid, Time)]) -> sqlx::Result<()> {
    if parked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = parked.iter().map(|(id, _)| *id).collect();
    let times: Vec<Time> = parked.iter().map(|(_, at)| *at).collect();
    sqlx::query!(
        r#"-- inbox::park
        update inbox i set outcome = 'parked', next_attempt_at = n.at
          from unnest($1::uuid[], $2::timestamptz[]) as n(id, at)
         where i.id = n.id and i.status = 'pending'"#,
        &ids,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes parked facts due that may match now: those about a tracking id that was just stored, and those about an opening
/// that just moved. Call it after that commit, since one that is parked meanwhile looks for itself ([`unpark_matched`]). A
/// speed-up only: they would be looked at again anyway.
///
/// # Errors
/// When the database is away.
pub async fn unpark(
    connection: &mut PgConnection,
    openings: &[Uuid],
    references: &[(String, String)],
    now: Time,
) -> sqlx::Result<()> {
    if openings.is_empty() && references.is_empty() {
        return Ok(());
    }
    let (providers, references): (Vec<String>, Vec<String>) = references.iter().cloned().unzip();
    sqlx::query!(
        r#"-- inbox::unpark
        with waiting as materialized (
            select id from inbox where status = 'pending' and opening_id = any($1)
             union all
            select i.id from unnest($2::text[], $3::text[]) as n(provider, reference)
              join inbox i on i.provider = n.provider and i.provider_ref = n.reference
             where i.status = 'pending'
        ), free as materialized (
            -- One that a worker holds is being looked at this moment.
            select id from inbox
             where id in (select id from waiting)
               and status = 'pending' and outcome = 'parked' and next_attempt_at > $4
             order by id
               for update skip locked
        )
        update inbox set next_attempt_at = $4 where id in (select id from free)"#,
        openings,
        &providers,
        &references,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes facts due that were parked in the caller's last commit although what they wait for was stored meanwhile.
///
/// # Errors
/// When the database is away.
pub async fn unpark_matched(connection: &mut PgConnection, parked: &[Uuid], now: Time) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- inbox::unpark_matched
        update inbox i set next_attempt_at = $2
          from account_openings o
         where i.id = any($1) and i.status = 'pending' and i.outcome = 'parked' and i.next_attempt_at > $2
           and o.provider = i.provider and o.provider_ref = i.provider_ref"#,
        parked,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// What to look for when asking for facts still unread.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Older than this fact.
    pub than: Uuid,
    /// About this opening.
    pub opening_id: Uuid,
    /// Its provider.
    pub provider: String,
    /// The opening's tracking id.
    pub provider_ref: String,
}

/// For which of these an older fact about the same opening waits to be read, leaving out those in `hands` (claimed by the
/// caller and already considered) and those parked for later: what matches nothing holds nothing up.
///
/// # Errors
/// When the database is away.
pub async fn older_unread(
    connection: &mut PgConnection,
    asked: &[Unread],
    hands: &[Uuid],
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let facts: Vec<Uuid> = asked.iter().map(|it| it.than).collect();
    let openings: Vec<Uuid> = asked.iter().map(|it| it.opening_id).collect();
    let providers: Vec<String> = asked.iter().map(|it| it.provider.clone()).collect();
    let references: Vec<String> = asked.iter().map(|it| it.provider_ref.clone()).collect();
    sqlx::query_scalar!(
        r#"-- inbox::older_unread
        select asked.fact as "fact!"
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as asked(fact, opening_id, provider, reference)
         where exists (select 1 from inbox i
                        where i.status = 'pending' and i.opening_id = asked.opening_id
                          and (i.outcome is distinct from 'parked' or i.next_attempt_at <= $6)
                          and i.id < asked.fact and not i.id = any($5))
            or exists (select 1 from inbox i
                        where i.status = 'pending' and i.provider = asked.provider
                          and i.provider_ref = asked.reference
                          and (i.outcome is distinct from 'parked' or i.next_attempt_at <= $6)
                          and i.id < asked.fact and not i.id = any($5))"#,
        &facts,
        &openings,
        &providers,
        &references,
        hands,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Notes an error of our own on a fact: it is tried again at `next`, or is dead when that is none. Contention does not
/// count: it says nothing about the fact.
///
/// # Errors
/// When the database is away.
pub async fn fail(
    connection: &mut PgConnection,
    id: Uuid,
    cause: &str,
    counts: bool,
    next: Option<Time>,
    now: Time,
) -> sqlx::Result<()> {
    let entry = json!([{"at": now, "class": if counts { "error" } else { "contention" }, "cause": cause}]);
    let (status, outcome) = if next.is_some() { ("pending", None) } else { ("dead", Some("processing_failed")) };
    sqlx::query!(
        r#"-- inbox::fail
        update inbox
           set attempts = attempts + $6, attempt_log = attempt_log || $2, status = $3, outcome = $4,
               next_attempt_at = coalesce($5, next_attempt_at)
         where id = $1 and status = 'pending'"#,
        id,
        entry,
        status,
        outcome,
        next,
        i32::from(counts),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a fact dead that cannot be understood: a person must see it.
///
/// # Errors
/// When the database is away.
pub async fn bury(connection: &mut PgConnection, id: Uuid, cause: &str, now: Time) -> sqlx::Result<()> {
    let entry = json!([{"at": now, "class": "unreadable", "cause": cause}]);
    sqlx::query!(
        r#"-- inbox::bury
        update inbox set status = 'dead', outcome = 'unreadable', attempt_log = attempt_log || $2
         where id = $1 and status = 'pending'"#,
        id,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes parked facts that came before `cutoff` dead letters, at most `limit`. Returns how many.
///
/// # Errors
/// When the database is away.
pub async fn expire_parked(connection: &mut PgConnection, cutoff: Time, now: Time, limit: i64) -> sqlx::Result<u64> {
    let entry = json!([{"at": now, "class": "expired", "cause": "matched no opening within PARKED_TTL"}]);
    let done = sqlx::query!(
        r#"-- inbox::expire_parked
        update inbox set status = 'dead', outcome = 'no_matching_opening', attempt_log = attempt_log || $3
         where id in (select id from inbox
                       where status = 'pending' and outcome = 'parked' and retry_from <= $1
                       limit $2 for update skip locked)"#,
        cutoff,
        limit,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// How many errors of our own a fact has met.
///
/// # Errors
/// When the database is away.
pub async fn attempts(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<i32> {
    let attempts = sqlx::query_scalar!(
        r#"-- inbox::attempts
        select attempts from inbox where id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(attempts.unwrap_or_default())
}
