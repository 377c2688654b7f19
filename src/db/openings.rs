//! `account_openings`: the anchors.

mod list;
mod reported;
mod row;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::list::{Filter, Listed, list};
pub use self::reported::{Absent, Held, Period, absent, decided, erased, reported, reported_with_fees};
use self::row::Row;
pub use self::row::{Anchor, Unreadable};
use super::describe;
use super::history::Columns;
use crate::clock::Time;
use crate::domain::chain::Hash;
use crate::domain::opening::ERASED;
use crate::domain::{CardId, Opening, OpeningId, ProfileId, ProviderRef, State, Step};

#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The opening in its first state.
    pub opening: &'a Opening,
    /// The customer's personal data.
    pub customer: &'a Value,
    /// The hash of its first history row.
    pub head: &'a Hash,
}

/// Inserts openings with their first steps.
pub async fn insert(
    connection: &mut PgConnection,
    new: &[New<'_>],
    steps: &[(OpeningId, &Step, Hash)],
) -> sqlx::Result<()> {
    let text = |get: fn(&Opening) -> &str| -> Vec<&str> { new.iter().map(|it| get(it.opening)).collect() };
    let ids: Vec<Uuid> = new.iter().map(|it| it.opening.id.0).collect();
    let customers: Vec<&Value> = new.iter().map(|it| it.customer).collect();
    let deadlines: Vec<Time> = new.iter().map(|it| it.opening.deadline_at).collect();
    let versions: Vec<i64> = new.iter().map(|it| it.opening.version).collect();
    let heads: Vec<&[u8]> = new.iter().map(|it| it.head.as_slice()).collect();
    let created: Vec<Time> = new.iter().map(|it| it.opening.created_at).collect();
    let updated: Vec<Time> = new.iter().map(|it| it.opening.updated_at).collect();
    let steps = Columns::of(steps);
    sqlx::query!(
        r#"-- openings::insert
        with made as (
            insert into account_openings (id, market, customer_type, customer_reference, customer, currency, flow, provider,
                state, deadline_at, version, head_hash, created_at, updated_at)
            select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::timestamptz[], $11::bigint[], $12::bytea[], $13::timestamptz[], $14::timestamptz[])
        )
        insert into opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash)
        select * from unnest($15::uuid[], $16::bigint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::uuid[],
            $22::timestamptz[], $23::text[], $24::bytea[])"#,
        &ids,
        &text(|it| &it.request.market) as &[&str],
        &text(|it| it.request.customer_type.as_str()) as &[&str],
        &text(|it| &it.request.customer_reference) as &[&str],
        &customers as &[&Value],
        &text(|it| &it.request.currency) as &[&str],
        &text(|it| it.request.flow.as_str()) as &[&str],
        &text(|it| &it.request.provider) as &[&str],
        &text(|it| it.state_name().as_str()) as &[&str],
        &deadlines,
        &versions,
        &heads as &[&[u8]],
        &created,
        &updated,
        &steps.openings,
        &steps.versions,
        &steps.from as &[Option<&str>],
        &steps.to as &[&str],
        &steps.events as &[&str],
        &steps.sources as &[&str],
        &steps.facts as &[Option<Uuid>],
        &steps.times,
        &steps.details as &[Option<&str>],
        &steps.hashes as &[&[u8]],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Erases the personal data of an ended opening. The caller holds the row's lock ([`lock`]).
///
/// # Errors
/// If the opening has not ended.
pub async fn erase(connection: &mut PgConnection, id: OpeningId, now: Time) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- openings::erase
        update account_openings
           set customer = null, customer_reference = '', iban = null, bic = null,
               reason = case when reason is not null then $3 end, erased_at = $2, updated_at = $2
         where id = $1 and erased_at is null"#,
        id.0,
        now,
        ERASED,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the changes of decisions with their steps, in one statement: the triggers compare both when it ends. The caller holds
/// the rows' locks ([`lock`]).
///
/// # Errors
/// * If a step is illegal: a trigger checks the table of transitions.
/// * A unique violation if another opening took the same IBAN or tracking id meanwhile.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn update(
    connection: &mut PgConnection,
    openings: &[(&Opening, &Hash)],
    steps: &[(OpeningId, &Step, Hash)],
) -> sqlx::Result<()> {
    if openings.is_empty() {
        return Ok(());
    }
    let column = |get: fn(&State) -> Option<&str>| -> Vec<Option<&str>> {
        openings.iter().map(|(opening, _)| get(&opening.state)).collect()
    };
    let ids: Vec<Uuid> = openings.iter().map(|(it, _)| it.id.0).collect();
    let states: Vec<&str> = openings.iter().map(|(it, _)| it.state_name().as_str()).collect();
    let profiles = column(|state| state.profile().map(ProfileId::as_str));
    let references = column(|state| state.reference().map(ProviderRef::as_str));
    let ibans = column(|state| state.account().map(|it| it.iban.as_str()));
    let bics = column(|state| state.account().map(|it| it.bic.as_str()));
    let cards = column(|state| state.card().map(CardId::as_str));
    let reasons = column(State::reason);
    let statuses: Vec<Option<&str>> = openings.iter().map(|(it, _)| it.provider_status.as_deref()).collect();
    let unknown: Vec<Option<Time>> = openings.iter().map(|(it, _)| it.state.unknown_since()).collect();
    let deadlines: Vec<Time> = openings.iter().map(|(it, _)| it.deadline_at).collect();
    let escalated: Vec<Option<Time>> = openings.iter().map(|(it, _)| it.escalated_at).collect();
    let versions: Vec<i64> = openings.iter().map(|(it, _)| it.version).collect();
    let heads: Vec<&[u8]> = openings.iter().map(|(_, head)| head.as_slice()).collect();
    let updated: Vec<Time> = openings.iter().map(|(it, _)| it.updated_at).collect();
    let steps = Columns::of(steps);
    let moved = sqlx::query_scalar!(
        r#"-- openings::update
        with moved as (
            update account_openings as o
               set state = n.state, profile_id = n.profile_id, provider_ref = n.provider_ref,
                   provider_status = n.provider_status, iban = n.iban, bic = n.bic, card_id = n.card_id, reason = n.reason,
                   outcome_unknown_since = n.unknown_since, deadline_at = n.deadline_at, escalated_at = n.escalated_at,
                   version = n.version, head_hash = n.head_hash, updated_at = n.updated_at
              from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                          $9::text[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::bigint[],
                          $14::bytea[], $15::timestamptz[])
                as n(id, state, profile_id, provider_ref, provider_status, iban, bic, card_id, reason, unknown_since,
                     deadline_at, escalated_at, version, head_hash, updated_at)
             where o.id = n.id
            returning o.id
        ), stepped as (
            insert into opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, detail, hash)
            select * from unnest($16::uuid[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::uuid[],
                $23::timestamptz[], $24::text[], $25::bytea[])
        )
        select count(*) as "moved!" from moved"#,
        &ids,
        &states as &[&str],
        &profiles as &[Option<&str>],
        &references as &[Option<&str>],
        &statuses as &[Option<&str>],
        &ibans as &[Option<&str>],
        &bics as &[Option<&str>],
        &cards as &[Option<&str>],
        &reasons as &[Option<&str>],
        &unknown as &[Option<Time>],
        &deadlines,
        &escalated as &[Option<Time>],
        &versions,
        &heads as &[&[u8]],
        &updated,
        &steps.openings,
        &steps.versions,
        &steps.from as &[Option<&str>],
        &steps.to as &[&str],
        &steps.events as &[&str],
        &steps.sources as &[&str],
        &steps.facts as &[Option<Uuid>],
        &steps.times,
        &steps.details as &[Option<&str>],
        &steps.hashes as &[&[u8]],
    )
    .fetch_one(connection)
    .await?;
    if moved.unsigned_abs() == ids.len() as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Locks anchors in the order of their ids until the end of the transaction. Ids without an anchor are left out.
///
/// Reads them in a second statement after all locks are held: a statement that waited for a lock sees the locked row's
/// new version, but joined tables (the timers) as of its own start.
///
/// # Errors
/// If a lock times out.
pub async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Anchor>> {
    sqlx::query!(
        r#"-- openings::lock
        select id from account_openings where id = any($1) order by id for no key update"#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    rows(connection, ids).await?.into_iter().map(Row::into_anchor).collect()
}

async fn rows(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- openings::rows
        select o.id, o.market, o.customer_type, o.customer_reference, o.currency, o.flow, o.provider, o.state,
               o.profile_id, o.provider_ref, o.provider_status, o.iban, o.bic, o.card_id, o.reason,
               o.outcome_unknown_since, o.deadline_at, o.escalated_at, o.version, o.head_hash, o.created_at,
               o.updated_at, o.erased_at, t.due_at as "due_at?", t.claims as "claims?",
               t.claims_before_wait as "claims_before_wait?", t.account_due_since as "account_due_since?"
          from account_openings o
          left join lateral (select * from timers where opening_id = o.id offset 0) as t on true
         where o.id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Reads openings; missing and unreadable ones are left out.
pub async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Opening>> {
    Ok(readable(rows(connection, ids).await?))
}

/// Leaves out a row that cannot be read: it must not hide the others.
fn readable(rows: Vec<Row>) -> Vec<Opening> {
    let note = |error: &sqlx::Error| {
        tracing::error!(cause = describe(error), "an opening row could not be read; it is left out of the answer");
    };
    rows.into_iter().filter_map(|row| row.into_anchor().inspect_err(note).ok()).map(|it| it.opening).collect()
}

pub async fn get(connection: &mut PgConnection, id: OpeningId) -> sqlx::Result<Option<Opening>> {
    Ok(read(connection, &[id.0]).await?.pop())
}

/// The openings that hold these tracking ids: `(provider, tracking id, opening)`.
pub async fn by_reference(
    connection: &mut PgConnection,
    providers: &[&str],
    references: &[&str],
) -> sqlx::Result<Vec<(String, String, Uuid)>> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"-- openings::by_reference
        select o.provider, o.provider_ref as "provider_ref!", o.id
          from unnest($1::text[], $2::text[]) as asked(provider, reference)
          join account_openings o on o.provider = asked.provider and o.provider_ref = asked.reference"#,
        providers as &[&str],
        references as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.provider, row.provider_ref, row.id)).collect())
}

/// The openings that hold these IBANs: `(IBAN, opening)`.
pub async fn by_iban(connection: &mut PgConnection, ibans: &[&str]) -> sqlx::Result<Vec<(String, Uuid)>> {
    if ibans.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"-- openings::by_iban
        select iban, opening_id from opening_ibans where iban = any($1)"#,
        ibans as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.iban, row.opening_id)).collect())
}

/// The customer's name, by which texts about the opening are masked. None: erased.
pub async fn customer_name(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<String>> {
    let name = sqlx::query_scalar!(
        r#"-- openings::customer_name
        select customer ->> 'name' from account_openings where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(name.flatten())
}

/// The customers of openings, for calls that carry them: `(opening, customer)`.
pub async fn customers(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<(Uuid, Option<Value>)>> {
    let rows = sqlx::query!(
        r#"-- openings::customers
        select id, customer from account_openings where id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.customer)).collect())
}
