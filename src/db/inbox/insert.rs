//! Stores facts. A repeated key is counted; the same key with another body is stored beside the first. Nothing is lost
//! or overwritten.
//!
//! Another body under a key is a conflict only if its content differs: providers count their attempts in the body, and
//! lists reorder fields. [`NewFact::meaning`] distinguishes a repeat from a conflict; it is kept after body and headers
//! were archived or erased.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::{Outcome, Source};

/// SHA-256 of a body.
pub type Digest = [u8; 32];

/// The initial status of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    Pending,
    /// Read and known to be irrelevant; kept with the reason.
    Ignored(&'static str),
    /// Unreadable; kept with the cause, for an operator.
    Dead(&'static str),
}

impl Arrival {
    /// Status and outcome of the row.
    pub(crate) const fn columns(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Pending => ("pending", None),
            Self::Ignored(why) => ("ignored", Some(*why)),
            Self::Dead(cause) => ("dead", Some(*cause)),
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewFact {
    pub id: Uuid,
    /// Source and provider, `webhook:` and the provider's name.
    pub group: String,
    /// The key that is unique in its group.
    pub event_id: String,
    pub source: Source,
    pub provider: String,
    /// The index of the event in the body.
    pub part: i32,
    pub body: Vec<u8>,
    pub digest: Digest,
    /// The digest of its content, if readable.
    pub meaning: Option<Digest>,
    /// The received headers without credentials, as JSON.
    pub headers: String,
    /// The opening that our id in it names.
    pub opening_id: Option<Uuid>,
    /// The tracking id in it.
    pub provider_ref: Option<String>,
    pub received_at: Time,
    /// The start of its retries: when it was stored, which may be long after its receipt.
    pub retry_from: Time,
    pub arrival: Arrival,
    /// Its lane, if known. None: the lane of its opening's market is looked up.
    pub lane: Option<String>,
}

/// The result of storing a fact. In every case it is in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    New,
    /// The same body is stored already.
    Duplicate,
    /// The key is stored with another body of the same content; stored beside it, settled.
    Repeat,
    /// The key is stored with another body; stored beside it as a dead letter.
    Conflict,
}

/// Group and event id.
type Key<'a> = (&'a str, &'a str);

impl NewFact {
    fn key(&self) -> Key<'_> {
        (&self.group, &self.event_id)
    }

    /// The row for a second body with the same key.
    fn beside(&self, arrival: Arrival) -> Self {
        let event_id = format!("{}!{}", self.event_id, hex::encode(self.digest));
        Self { event_id, arrival, ..self.clone() }
    }
}

/// Stores facts in the caller's transaction; the results are in the order of `facts`. A repeated key is counted; with
/// another body it is stored beside the first, as a conflict if the content differs. After an error the caller must
/// roll back.
pub async fn insert(
    connection: &mut PgConnection,
    facts: impl IntoIterator<Item = &NewFact>,
) -> sqlx::Result<Vec<Stored>> {
    let batch = Batch::of(facts.into_iter().collect());
    let new = insert_new(connection, &batch.firsts).await?;
    batch.conclude(connection, &new).await
}

/// Facts stored in one statement.
struct Batch<'a> {
    facts: Vec<&'a NewFact>,
    /// The first fact of each key.
    first: HashMap<Key<'a>, &'a NewFact>,
    /// The same, sorted, so that two batches with common keys lock in the same order.
    firsts: Vec<&'a NewFact>,
}

/// The stored row of a key.
#[derive(Clone, Copy)]
struct Held {
    digest: Digest,
    meaning: Option<Digest>,
    opening_id: Option<Uuid>,
    erased: bool,
}

impl Held {
    fn of(fact: &NewFact) -> Self {
        Self { digest: fact.digest, meaning: fact.meaning, opening_id: fact.opening_id, erased: false }
    }

    /// Compares a fact with the stored row of its key.
    fn judge(&self, fact: &NewFact) -> Stored {
        let says_the_same = fact.meaning.is_some() && fact.meaning == self.meaning;
        // Keeping the repeat's body would restore erased data, so it is only counted.
        if fact.digest == self.digest || (says_the_same && self.erased) {
            Stored::Duplicate
        } else if says_the_same {
            Stored::Repeat
        } else {
            Stored::Conflict
        }
    }
}

impl<'a> Batch<'a> {
    fn of(facts: Vec<&'a NewFact>) -> Self {
        let mut first: HashMap<Key<'a>, &NewFact> = HashMap::with_capacity(facts.len());
        for fact in &facts {
            first.entry(fact.key()).or_insert(fact);
        }
        let mut firsts: Vec<&NewFact> = first.values().copied().collect();
        firsts.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
        Self { facts, first, firsts }
    }

    /// Counts repeats and stores facts beside a key with another body. `new`: the ids of inserted facts.
    async fn conclude(&self, connection: &mut PgConnection, new: &HashSet<Uuid>) -> sqlx::Result<Vec<Stored>> {
        if new.len() == self.facts.len() {
            return Ok(vec![Stored::New; self.facts.len()]);
        }
        let known: Vec<&NewFact> = self.firsts.iter().copied().filter(|fact| !new.contains(&fact.id)).collect();
        let held = held(connection, &known).await?;
        let judged: Vec<_> = self.facts.iter().map(|fact| self.judge(fact, new, &held)).collect();
        let (mut again, mut beside) = (Vec::new(), Vec::new());
        for (fact, (stored, opening_id)) in self.facts.iter().zip(&judged) {
            match stored {
                Stored::New => {}
                Stored::Duplicate => again.push(*fact),
                Stored::Repeat => {
                    again.push(*fact);
                    let repeat = fact.beside(Arrival::Ignored(Outcome::Duplicate.as_str()));
                    beside.push(NewFact { opening_id: *opening_id, ..repeat });
                }
                Stored::Conflict => beside.push(fact.beside(Arrival::Dead("event_id_conflict"))),
            }
        }
        count_duplicates(connection, &again).await?;
        insert_beside(connection, beside).await?;
        Ok(judged.into_iter().map(|(stored, _)| stored).collect())
    }

    /// The result for a fact, and the opening of a repeat.
    fn judge(
        &self,
        fact: &NewFact,
        new: &HashSet<Uuid>,
        held: &HashMap<(String, String), Held>,
    ) -> (Stored, Option<Uuid>) {
        if new.contains(&fact.id) {
            return (Stored::New, None);
        }
        // The key belongs to an earlier row or to the first fact of the batch. If to neither, the row has just been
        // archived, and the fact is stored beside it rather than lost.
        let before = held.get(&(fact.group.clone(), fact.event_id.clone())).copied();
        let with_it =
            || self.first.get(&fact.key()).filter(|first| new.contains(&first.id)).map(|first| Held::of(first));
        before
            .or_else(with_it)
            .map_or((Stored::Conflict, None), |it| (it.judge(fact), it.opening_id.or(fact.opening_id)))
    }
}

async fn insert_beside(connection: &mut PgConnection, mut beside: Vec<NewFact>) -> sqlx::Result<()> {
    beside.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
    let mut firsts: Vec<&NewFact> = beside.iter().collect();
    firsts.dedup_by_key(|fact| fact.key());
    let new = insert_new(connection, &firsts).await?;
    let again: Vec<&NewFact> = beside.iter().filter(|fact| !new.contains(&fact.id)).collect();
    if !again.is_empty() {
        lock(connection, &again).await?;
    }
    count_duplicates(connection, &again).await
}

/// Inserts facts with free keys and returns their ids.
async fn insert_new(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashSet<Uuid>> {
    if facts.is_empty() {
        return Ok(HashSet::new());
    }
    #[cfg(feature = "broken")]
    {
        use crate::faults::broken::{Defence, lacks};
        if lacks(Defence::UniqueKey) || lacks(Defence::DurableDedup) {
            return super::broken::insert(connection, facts).await;
        }
    }
    insert_rows(connection, facts).await
}

async fn insert_rows(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashSet<Uuid>> {
    let ids: Vec<Uuid> = facts.iter().map(|it| it.id).collect();
    let (groups, event_ids): (Vec<&str>, Vec<&str>) = facts.iter().map(|it| it.key()).unzip();
    let sources: Vec<&str> = facts.iter().map(|it| it.source.as_str()).collect();
    let providers: Vec<&str> = facts.iter().map(|it| it.provider.as_str()).collect();
    let parts: Vec<i32> = facts.iter().map(|it| it.part).collect();
    let bodies: Vec<&[u8]> = facts.iter().map(|it| it.body.as_slice()).collect();
    let digests: Vec<&[u8]> = facts.iter().map(|it| it.digest.as_slice()).collect();
    let meanings: Vec<Option<&[u8]>> = facts.iter().map(|it| it.meaning.as_ref().map(Digest::as_slice)).collect();
    let headers: Vec<&str> = facts.iter().map(|it| it.headers.as_str()).collect();
    let openings: Vec<Option<Uuid>> = facts.iter().map(|it| it.opening_id).collect();
    let references: Vec<Option<&str>> = facts.iter().map(|it| it.provider_ref.as_deref()).collect();
    let received: Vec<Time> = facts.iter().map(|it| it.received_at).collect();
    let (retried, lanes): (Vec<Time>, Vec<_>) = facts.iter().map(|it| (it.retry_from, it.lane.as_deref())).unzip();
    let (statuses, outcomes): (Vec<&str>, Vec<Option<&str>>) = facts.iter().map(|it| it.arrival.columns()).unzip();
    let new = sqlx::query_scalar!(
        r#"-- inbox::insert
        insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                           provider_ref, received_at, retry_from, status, outcome, due_at, settled_at, lane, meaning)
        select id, consumer_group, event_id, source, provider, part, body, body_digest, headers::jsonb, opening_id,
               provider_ref, received_at, retry_from, status, outcome, case when status = 'pending' then received_at end,
               case when status = 'ignored' then received_at end,
               coalesce(lane, (select market from account_openings o where (o.provider, o.provider_ref)
                                                                        = (n.provider, n.provider_ref)),
                        (select market from account_openings o where o.id = n.opening_id), ''), meaning
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::bytea[],
                      $9::text[], $10::uuid[], $11::text[], $12::timestamptz[], $13::text[], $14::text[],
                      $15::timestamptz[], $16::text[], $17::bytea[])
            as n(id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                 provider_ref, received_at, status, outcome, retry_from, lane, meaning)
        on conflict (consumer_group, event_id) do nothing
        returning id"#,
        &ids,
        &groups as &[&str],
        &event_ids as &[&str],
        &sources as &[&str],
        &providers as &[&str],
        &parts,
        &bodies as &[&[u8]],
        &digests as &[&[u8]],
        &headers as &[&str],
        &openings as &[Option<Uuid>],
        &references as &[Option<&str>],
        &received,
        &statuses as &[&str],
        &outcomes as &[Option<&str>],
        &retried,
        &lanes as &[Option<&str>],
        &meanings as &[Option<&[u8]>],
    )
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().collect())
}

/// The stored rows of the facts' keys. Lock order: by key, like inserts. A committed erasure is visible in these rows;
/// a later erasure waits for these locks and then finds the repeats stored here.
async fn held(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashMap<(String, String), Held>> {
    lock(connection, facts).await?;
    let groups: Vec<&str> = facts.iter().map(|it| it.group.as_str()).collect();
    let event_ids: Vec<&str> = facts.iter().map(|it| it.event_id.as_str()).collect();
    let rows = sqlx::query!(
        r#"-- inbox::held
        select i.consumer_group, i.event_id, i.body_digest, i.meaning, i.opening_id,
               i.erased_at is not null
               or exists (select from account_openings o
                           where (o.provider, o.provider_ref) = (i.provider, i.provider_ref) and o.erased_at is not null)
               or exists (select from account_openings o where o.id = i.opening_id and o.erased_at is not null) as "erased!"
          from unnest($1::text[], $2::text[]) as asked(consumer_group, event_id)
          join inbox i using (consumer_group, event_id)"#,
        &groups as &[&str],
        &event_ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let digest = |bytes: Vec<u8>| bytes.try_into().unwrap_or_default();
    let held = rows.into_iter().map(|row| {
        let meaning = row.meaning.and_then(|it| it.try_into().ok());
        let held = Held { digest: digest(row.body_digest), meaning, opening_id: row.opening_id, erased: row.erased };
        ((row.consumer_group, row.event_id), held)
    });
    Ok(held.collect())
}

/// Counts duplicates; the caller has locked their rows.
async fn count_duplicates(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let groups: Vec<&str> = facts.iter().map(|it| it.group.as_str()).collect();
    let event_ids: Vec<&str> = facts.iter().map(|it| it.event_id.as_str()).collect();
    let received: Vec<Time> = facts.iter().map(|it| it.received_at).collect();
    sqlx::query!(
        r#"-- inbox::count_duplicates
        update inbox i
           set duplicates = i.duplicates + again.times, last_duplicate_at = again.last
          from (select consumer_group, event_id, count(*)::int as times, max(received_at) as last
                  from unnest($1::text[], $2::text[], $3::timestamptz[]) as n(consumer_group, event_id, received_at)
                 group by consumer_group, event_id) as again
         where i.consumer_group = again.consumer_group and i.event_id = again.event_id"#,
        &groups as &[&str],
        &event_ids as &[&str],
        &received,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lock order: by key, like inserts.
async fn lock(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<()> {
    let groups: Vec<&str> = facts.iter().map(|it| it.group.as_str()).collect();
    let event_ids: Vec<&str> = facts.iter().map(|it| it.event_id.as_str()).collect();
    sqlx::query!(
        r#"-- inbox::lock
        select 1 as one from inbox
         where (consumer_group, event_id) in (select * from unnest($1::text[], $2::text[]))
         order by consumer_group, event_id
           for no key update"#,
        &groups as &[&str],
        &event_ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}
