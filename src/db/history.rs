//! `opening_history`: the transitions, append-only and hash-chained.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::chain::{Hash, HistoryKey, Row};
use crate::domain::verify::{Head, Link};
use crate::domain::{OpeningId, StateName, Step};

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

    #[must_use]
    pub fn link(&self) -> Link<'_> {
        Link { row: self.chained(), hash: &self.hash }
    }
}

/// The anchor's columns that describe its history.
#[derive(Clone, Debug)]
pub struct Anchored {
    pub id: Uuid,
    pub state: String,
    pub version: i64,
    pub head_hash: Vec<u8>,
}

/// The remaining traces of an exported history.
#[derive(Clone, Debug)]
pub struct Remains {
    /// The position of the head in the request, from 1.
    pub position: i64,
    /// Whether the anchor exists.
    pub anchored: bool,
    /// The hash stored at the head's version.
    pub hash: Option<Vec<u8>>,
}

/// The hashes of `steps` chained after `head`.
#[must_use]
pub fn links(key: &HistoryKey, opening: OpeningId, head: Option<Hash>, steps: &[Step]) -> Vec<Hash> {
    let mut head = head;
    let link = |step: &Step| *head.insert(key.link(head.as_ref(), &Row::of(opening, step)));
    steps.iter().map(link).collect()
}

/// Steps with their hashes as columns, for the statement that writes them with their anchors ([`super::openings::update`]).
pub(super) struct Columns<'a> {
    pub openings: Vec<Uuid>,
    pub versions: Vec<i64>,
    pub from: Vec<Option<&'static str>>,
    pub to: Vec<&'static str>,
    pub events: Vec<&'static str>,
    pub sources: Vec<&'static str>,
    pub facts: Vec<Option<Uuid>>,
    pub times: Vec<Time>,
    pub details: Vec<Option<&'a str>>,
    pub hashes: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    pub fn of(steps: &'a [(OpeningId, &'a Step, Hash)]) -> Self {
        Self {
            openings: steps.iter().map(|(id, ..)| id.0).collect(),
            versions: steps.iter().map(|(_, step, _)| step.version).collect(),
            from: steps.iter().map(|(_, step, _)| step.from.map(StateName::as_str)).collect(),
            to: steps.iter().map(|(_, step, _)| step.to.as_str()).collect(),
            events: steps.iter().map(|(_, step, _)| step.event).collect(),
            sources: steps.iter().map(|(_, step, _)| step.source.as_str()).collect(),
            facts: steps.iter().map(|(_, step, _)| step.inbox_id.map(|it| it.0)).collect(),
            times: steps.iter().map(|(_, step, _)| step.at).collect(),
            details: steps.iter().map(|(_, step, _)| step.detail.as_deref()).collect(),
            hashes: steps.iter().map(|(.., hash)| hash.as_slice()).collect(),
        }
    }
}

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

/// The ids, from `first` on, of openings with an anchor, a history or both; in order, at most `limit`.
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
pub async fn newest_openings(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- history::newest_openings
        select id from (select id from account_openings order by id desc limit $1) as newest order by id"#,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The anchors of these openings, in the order of their ids; missing ones are left out.
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

/// The histories of these openings, by opening and version, at most `most` rows each.
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

/// The remaining traces of the histories with these heads.
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
