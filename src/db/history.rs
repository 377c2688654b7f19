//! `opening_history`: the transitions, append-only and chained.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::chain::{Hash, HistoryKey, Row};
use crate::domain::verify::{Head, Link};
use crate::domain::{OpeningId, Step};

/// A row of history as it is read back.
#[derive(Clone, Debug)]
pub struct Transition {
    pub opening_id: Uuid,
    pub version: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub event: String,
    pub source: String,
    pub inbox_id: Option<Uuid>,
    pub at: Time,
    pub detail: Option<String>,
    pub hash: Vec<u8>,
}

impl Transition {
    /// The row as the chain sees it.
    #[must_use]
    pub fn chained(&self) -> Row<'_> {
        Row {
            opening: self.opening_id,
            version: self.version,
            from: self.from_state.as_deref(),
            to: &self.to_state,
            event: &self.event,
            source: &self.source,
            inbox_id: self.inbox_id,
            at: self.at,
            detail: self.detail.as_deref(),
        }
    }

    /// The row with the hash that stands beside it.
    #[must_use]
    pub fn link(&self) -> Link<'_> {
        Link { row: self.chained(), hash: &self.hash }
    }
}

/// What an anchor says of its history.
#[derive(Clone, Debug)]
pub struct Anchored {
    pub id: Uuid,
    pub state: String,
    pub version: i64,
    pub head_hash: Vec<u8>,
}

/// What is left of a history whose head was exported.
#[derive(Clone, Debug)]
pub struct Remains {
    /// Which of the heads that were asked for, from 1 on.
    pub position: i64,
    /// Whether there is an anchor.
    pub anchored: bool,
    /// The hash that stands at that version.
    pub hash: Option<Vec<u8>>,
}

/// The hashes that `steps` add to a chain whose head is `head`.
#[must_use]
pub fn links(key: &HistoryKey, opening: OpeningId, head: Option<Hash>, steps: &[Step]) -> Vec<Hash> {
    let mut head = head;
    let link = |step: &Step| *head.insert(key.link(head.as_ref(), &Row::of(opening, step)));
    steps.iter().map(link).collect()
}

/// Appends steps with their hashes, in the order given: per opening, oldest first.
///
/// # Errors
/// When a step is illegal (the trigger holds the table of steps), or the database is away.
pub async fn insert(connection: &mut PgConnection, steps: &[(OpeningId, &Step, Hash)]) -> sqlx::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = steps.iter().map(|(id, ..)| id.0).collect();
    let versions: Vec<i64> = steps.iter().map(|(_, step, _)| step.version).collect();
    let from: Vec<Option<String>> = steps.iter().map(|(_, step, _)| step.from.map(|it| it.to_string())).collect();
    let to: Vec<String> = steps.iter().map(|(_, step, _)| step.to.to_string()).collect();
    let events: Vec<String> = steps.iter().map(|(_, step, _)| step.event.to_owned()).collect();
    let sources: Vec<String> = steps.iter().map(|(_, step, _)| step.source.to_string()).collect();
    let facts: Vec<Option<Uuid>> = steps.iter().map(|(_, step, _)| step.inbox_id.map(|it| it.0)).collect();
    let times: Vec<Time> = steps.iter().map(|(_, step, _)| step.at).collect();
    let details: Vec<Option<String>> = steps.iter().map(|(_, step, _)| step.detail.clone()).collect();
    let hashes: Vec<Vec<u8>> = steps.iter().map(|(.., hash)| hash.to_vec()).collect();
    sqlx::query!(
        r#"-- history::insert
        insert into opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash)
        select opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash
          from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                      $8::timestamptz[], $9::text[], $10::bytea[])
               with ordinality
            as n(opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash, position)
         order by position"#,
        &ids,
        &versions,
        &from as &[Option<String>],
        &to,
        &events,
        &sources,
        &facts as &[Option<Uuid>],
        &times,
        &details as &[Option<String>],
        &hashes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of one opening's history, oldest first.
///
/// # Errors
/// When the database is away.
pub async fn list(connection: &mut PgConnection, opening: OpeningId, page: Page<i64>) -> sqlx::Result<Vec<Transition>> {
    sqlx::query_as!(
        Transition,
        r#"-- history::list
        select opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash
          from opening_history
         where opening_id = $1 and version > $2
         order by version
         limit $3"#,
        opening.0,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// The ids of the openings from `first` on that have an anchor, or a history, or both; in their order, at most `limit`.
///
/// # Errors
/// When the database is away.
pub async fn page_of_openings(connection: &mut PgConnection, first: Uuid, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- history::page_of_openings
        select id as "id!"
          from ((select id from account_openings where id >= $1 order by id limit $2)
                 union
                (select distinct opening_id from opening_history where opening_id >= $1 order by opening_id limit $2))
               as either
         order by id
         limit $2"#,
        first,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The ids of the newest openings, oldest first.
///
/// # Errors
/// When the database is away.
pub async fn newest_openings(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- history::newest_openings
        select id from (select id from account_openings order by id desc limit $1) as newest order by id"#,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What the anchors of these openings say, in the order of their ids; those that have one.
///
/// # Errors
/// When the database is away.
pub async fn anchors(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<Anchored>> {
    sqlx::query_as!(
        Anchored,
        r#"-- history::anchors
        select id, state, version, head_hash from account_openings where id = any($1) order by id"#,
        openings,
    )
    .fetch_all(connection)
    .await
}

/// The histories of these openings, by opening and version, at most `most` rows of each.
///
/// # Errors
/// When the database is away.
pub async fn of_openings(connection: &mut PgConnection, openings: &[Uuid], most: i64) -> sqlx::Result<Vec<Transition>> {
    sqlx::query_as!(
        Transition,
        r#"-- history::of_openings
        select h.opening_id, h.version, h.from_state, h.to_state, h.event, h.source, h.inbox_id, h.at, h.detail, h.hash
          from unnest($1::uuid[]) as asked(id)
         cross join lateral (select * from opening_history where opening_id = asked.id order by version, hash limit $2) h
         order by h.opening_id, h.version, h.hash"#,
        openings,
        most,
    )
    .fetch_all(connection)
    .await
}

/// What is left of the histories with these heads.
///
/// # Errors
/// When the database is away.
pub async fn remains(connection: &mut PgConnection, heads: &[Head]) -> sqlx::Result<Vec<Remains>> {
    let openings: Vec<Uuid> = heads.iter().map(|it| it.opening).collect();
    let versions: Vec<i64> = heads.iter().map(|it| it.version).collect();
    sqlx::query_as!(
        Remains,
        r#"-- history::remains
        select asked.position as "position!", h.hash as "hash?",
               exists (select from account_openings where id = asked.opening_id) as "anchored!"
          from unnest($1::uuid[], $2::bigint[]) with ordinality as asked(opening_id, version, position)
          left join opening_history h using (opening_id, version)
         order by asked.position"#,
        &openings,
        &versions,
    )
    .fetch_all(connection)
    .await
}
