//! `events`: events for subscribers, read by position so that none is skipped.
//!
//! An event gets its position after its commit, by one statement at a time ([`place`]). So commits that overtake each
//! other hide no event, and a reader's position means the same events after the cell is restored elsewhere. A crash
//! leaves events without a position; the next read or sweep assigns it.

#[cfg(feature = "broken")]
mod broken;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use super::outbox::NewWork;
use crate::clock::{MAX_SKEW, Time};
use crate::domain::ids::effect_of;
use crate::domain::{EventType, OpeningId, Topic};

#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The same for every delivery, and for a repeated decision after a lost commit.
    pub id: Uuid,
    /// The opening that it is about; an erasure of the opening reaches the data.
    pub opening_id: Option<OpeningId>,
    pub subject: Uuid,
    pub kind: EventType,
    /// The opening's version, which orders its events; 0 of events about a report or a case.
    pub version: i64,
    /// The subject as of then, as JSON.
    pub data: String,
}

impl NewEvent {
    /// A delivery to each sink. Its id is a function of event and sink, the same when the event is emitted again.
    pub fn deliveries<'a>(&'a self, sinks: &'a [String]) -> impl Iterator<Item = NewWork> + 'a {
        let topic = Topic::DeliverEvent;
        sinks.iter().map(move |sink| NewWork {
            id: effect_of(self.subject, &format!("{topic}/{}/{sink}", self.id)),
            opening_id: self.opening_id,
            topic,
            lane: sink.clone(),
            payload: json!({"event_id": self.id, "sink": sink}),
        })
    }
}

#[derive(Clone, Debug)]
pub struct Event {
    pub id: Uuid,
    /// An opening, a report or a case.
    pub subject: Uuid,
    pub kind: String,
    pub data: Value,
    pub at: Time,
}

/// Maximum events that one statement places.
pub const MAX_PLACED: u64 = 10_000;
/// The minimum lead of positions on a server that has restarted: its predecessor may have assigned higher ones with a
/// clock ahead of ours.
const LEAP: TimeDelta = TimeDelta::seconds(MAX_SKEW.num_seconds() * 12);

/// Inserts events without a position.
pub async fn insert(connection: &mut PgConnection, events: &[NewEvent], now: Time) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|it| it.id).collect();
    let openings: Vec<Option<Uuid>> = events.iter().map(|it| it.opening_id.map(|id| id.0)).collect();
    let subjects: Vec<Uuid> = events.iter().map(|it| it.subject).collect();
    let kinds: Vec<&str> = events.iter().map(|it| it.kind.as_str()).collect();
    let versions: Vec<i64> = events.iter().map(|it| it.version).collect();
    let data: Vec<&str> = events.iter().map(|it| it.data.as_str()).collect();
    sqlx::query!(
        r#"-- events::insert
        with new as (
            insert into events (id, opening_id, subject, type, version, data, at)
            select id, opening_id, nullif(subject, opening_id), type, version, data::jsonb, $6
              from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $7::uuid[])
                as n(id, opening_id, type, version, data, subject)
            returning id, at, version
        )
        insert into events_without_position (event_id, at, version) select id, at, version from new"#,
        &ids,
        &openings as &[Option<Uuid>],
        &kinds as &[&str],
        &versions,
        &data as &[&str],
        now,
        &subjects,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Assigns positions to at most [`MAX_PLACED`] committed events without one; returns their number. Call it outside a
/// transaction: a read after it must see committed events only. Does nothing while another replica places events.
///
/// A position is greater than all earlier ones and at least the current time in microseconds. So positions of a server
/// that lost its last commits, which readers may have seen, are not reused for other events.
pub async fn place(connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
    let placed = sqlx::query_scalar!(
        r#"-- events::place
        with head as (
            select position, server_started_at from event_head
             where exists (select from events_without_position)
               for no key update skip locked
        ), waiting as (
            delete from events_without_position w
             using head
             where w.event_id in (select event_id from events_without_position order by at, version, event_id limit $3)
            returning w.event_id, w.at, w.version
        ), placed as (
            insert into event_positions (position, event_id)
            select greatest(head.position + 1,
                            $1 + case when head.server_started_at = pg_postmaster_start_time() then 0 else $2::bigint end)
                   + row_number() over (order by w.at, w.version, w.event_id) - 1, w.event_id
              from waiting w cross join head
            returning position
        ), moved as (
            update event_head
               set position = (select max(position) from placed), server_started_at = pg_postmaster_start_time()
             where exists (select from placed)
        )
        select count(*) as "placed!" from placed"#,
        now.timestamp_micros(),
        LEAP.num_microseconds().unwrap_or_default(),
        i64::try_from(MAX_PLACED).unwrap_or(i64::MAX),
    )
    .fetch_one(connection)
    .await?;
    Ok(placed.unsigned_abs())
}

/// A page of events after a position, each with its own.
pub async fn list(connection: &mut PgConnection, page: Page<i64>) -> sqlx::Result<Vec<(i64, Event)>> {
    #[cfg(feature = "broken")]
    if crate::faults::broken::lacks(crate::faults::broken::Defence::EventOrder) {
        return broken::by_transaction(connection, page).await;
    }
    // Plan: the inner limit makes the planner look each event up by id instead of reading all events for a join.
    let rows = sqlx::query!(
        r#"-- events::list
        select p.position, e.id, coalesce(e.subject, e.opening_id) as "subject!", e.type as kind, e.data, e.at
          from (select position, event_id from event_positions where position > $1 order by position limit $2) as p
         cross join lateral (select * from events where id = p.event_id limit 1) as e
         order by p.position"#,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await?;
    let events = rows.into_iter().map(|row| {
        let event = Event { id: row.id, subject: row.subject, kind: row.kind, data: row.data, at: row.at };
        (row.position, event)
    });
    Ok(events.collect())
}

pub async fn get(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"-- events::get
        select id, coalesce(subject, opening_id) as "subject!", type as kind, data, at from events where id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Erases personal data in the events about an opening; later readers see that it was erased. The values of a case go whole.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId, scrub: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- events::erase
        update events
           set data = case when type = $3 then data || '{"ours": {}, "theirs": {}}'
                           else data || $2 || case when data ->> 'reason' is null then '{"reason": null}'::jsonb else '{}' end
                       end
         where opening_id = $1"#,
        opening.0,
        scrub,
        EventType::CaseOpened.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
