//! Our side of the comparison with a provider's register.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::TryStreamExt as _;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::fee_ledger::Accrual;

/// The columns of an opening that a register speaks of.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: Uuid,
    pub state: String,
    pub provider_ref: Option<String>,
    pub market: String,
    pub customer_type: String,
    pub currency: String,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub version: i64,
    pub erased: bool,
}

/// The openings of a provider that have one of these ids, or one of these tracking ids. Most rows of a register name an opening by
/// both: it is looked up once, by its id.
pub async fn reported(
    connection: &mut PgConnection,
    provider: &str,
    references: &[String],
    ids: &[Uuid],
) -> sqlx::Result<Vec<Held>> {
    let mut held = of_ids(connection, provider, ids).await?;
    let found: HashSet<&str> = held.iter().filter_map(|it| it.provider_ref.as_deref()).collect();
    let left: Vec<&str> = references.iter().map(String::as_str).filter(|it| !found.contains(it)).collect();
    if left.is_empty() {
        return Ok(held);
    }
    let left = ids_of_references(connection, provider, &left).await?;
    held.extend(of_ids(connection, provider, &left).await?);
    Ok(held)
}

/// Plan: the lateral query has no other index than the primary key; a join would let the planner scan all openings.
async fn of_ids(connection: &mut PgConnection, provider: &str, ids: &[Uuid]) -> sqlx::Result<Vec<Held>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Held,
        r#"-- openings::reported::of_ids
        select o.id, o.state, o.provider_ref, o.market, o.customer_type, o.currency, o.iban, o.bic, o.version,
               o.erased_at is not null as "erased!"
          from unnest($2::uuid[]) as asked(id)
         cross join lateral (select * from account_openings o
                              where o.id = asked.id and o.provider = $1
                             offset 0) as o"#,
        provider,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// As [`reported`], with the expected fees of each opening.
pub async fn reported_with_fees(
    connection: &mut PgConnection,
    provider: &str,
    references: &[String],
    ids: &[Uuid],
) -> sqlx::Result<Vec<(Held, Vec<Accrual>)>> {
    let mut held = of_ids_with_fees(connection, provider, ids).await?;
    let found: HashSet<&str> = held.iter().filter_map(|it| it.0.provider_ref.as_deref()).collect();
    let left: Vec<&str> = references.iter().map(String::as_str).filter(|it| !found.contains(it)).collect();
    if left.is_empty() {
        return Ok(held);
    }
    let left = ids_of_references(connection, provider, &left).await?;
    held.extend(of_ids_with_fees(connection, provider, &left).await?);
    Ok(held)
}

/// Plan: as of [`of_ids`]; the fees by their own unique index.
async fn of_ids_with_fees(
    connection: &mut PgConnection,
    provider: &str,
    ids: &[Uuid],
) -> sqlx::Result<Vec<(Held, Vec<Accrual>)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Row by row: all of them at once would be many megabytes beside what they become.
    let mut rows = sqlx::query!(
        r#"-- openings::reported::of_ids_with_fees
        select o.id, o.state, o.provider_ref, o.market, o.customer_type, o.currency, o.version, o.erased_at is not null as "erased!",
               f.id as "fee?", f.at as "at?", f.code as "code?", f.amount as "amount?", f.tax as "tax?", f.currency as "fee_currency?"
          from unnest($2::uuid[]) as asked(id)
         cross join lateral (select * from account_openings o
                              where o.id = asked.id and o.provider = $1
                             offset 0) as o
          left join lateral (select * from expected_fees e where e.opening_id = o.id offset 0) as f on true
         order by o.id"#,
        provider,
        ids,
    )
    .fetch(connection);
    let mut held: Vec<(Held, Vec<Accrual>)> = Vec::with_capacity(ids.len());
    while let Some(it) = rows.try_next().await? {
        let fee = || {
            let (id, at, code, amount, tax, currency) =
                (it.fee?, it.at?, it.code?, it.amount?, it.tax?, it.fee_currency?);
            Some(Accrual { id, at, opening_id: it.id, code, amount, tax, currency })
        };
        let fee = fee();
        if held.last().is_none_or(|(last, _)| last.id != it.id) {
            let (id, state, provider_ref, market) = (it.id, it.state, it.provider_ref, it.market);
            let (customer_type, currency, version, erased) = (it.customer_type, it.currency, it.version, it.erased);
            // A charge compares no account.
            let opening = Held {
                id,
                state,
                provider_ref,
                market,
                customer_type,
                currency,
                iban: None,
                bic: None,
                version,
                erased,
            };
            held.push((opening, Vec::new()));
        }
        if let Some((_, fees)) = held.last_mut() {
            fees.extend(fee);
        }
    }
    Ok(held)
}

/// Those of a provider's openings with one of these ids or tracking ids that are erased.
pub async fn erased(
    connection: &mut PgConnection,
    provider: &str,
    references: &[String],
    ids: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    if references.is_empty() && ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"-- openings::reported::erased
        select o.id as "id!"
          from unnest($2::text[]) as asked(reference)
         cross join lateral (select o.id, o.erased_at from account_openings o
                              where o.provider = $1 and o.provider_ref = asked.reference
                             offset 0) as o
         where o.erased_at is not null
         union
        select o.id
          from unnest($3::uuid[]) as asked(id)
         cross join lateral (select o.id, o.erased_at from account_openings o where o.id = asked.id offset 0) as o
         where o.erased_at is not null
         order by 1"#,
        provider,
        references,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// When openings were decided: the time of the step to `issuing_card`, `rejected` or `failed`. A step of the history is read for each,
/// so ask only for openings of which the time matters.
pub async fn decided(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<(Uuid, Time)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"-- openings::reported::decided
        select asked.id as "id!", step.at
          from unnest($1::uuid[]) as asked(id)
         cross join lateral (select h.at from opening_history h
                              where h.opening_id = asked.id and h.to_state in ('issuing_card', 'rejected', 'failed')
                              order by h.version desc
                              limit 1) as step"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

async fn ids_of_references(
    connection: &mut PgConnection,
    provider: &str,
    references: &[&str],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- openings::reported::ids_of_references
        select o.id
          from unnest($2::text[]) as asked(reference)
         cross join lateral (select o.id from account_openings o
                              where o.provider = $1 and o.provider_ref = asked.reference
                             offset 0) as o"#,
        provider,
        references as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// An opening that a complete register does not name.
#[derive(Clone, Debug)]
pub struct Absent {
    pub id: Uuid,
    pub state: String,
    pub provider_ref: String,
    pub market: String,
}

/// The period of a register, in which an opening must have begun to wait to be missed.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub from: Time,
    pub until: Time,
    /// How long before it began to wait an opening may have been made.
    pub made_before: TimeDelta,
}

/// The smallest id that is made at a time.
fn first_id(at: Time) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

/// Reads the next openings of a period that the report does not name, and where the next look begins. None: that was all.
///
/// Plan: both sides are read as one range of their index and subtracted. A look-up of a row for each opening took twenty times as long,
/// and `$2 is null` beside the range made each look read all openings behind it. Each opening that is left is looked up, its history
/// first: that shows the openings that began to wait before the period. `is not distinct from` keeps the planner from scanning the report.
pub async fn absent(
    connection: &mut PgConnection,
    provider: &str,
    report: Uuid,
    period: Period,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<(Vec<Absent>, Option<Uuid>)> {
    let from = after.unwrap_or_else(|| first_id(period.from - period.made_before));
    let last = sqlx::query_scalar!(
        r#"-- openings::absent::next
        select id from account_openings where id > $1 and id < $2 order by id offset $3 limit 1"#,
        from,
        first_id(period.until),
        limit,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let absent = sqlx::query_as!(
        Absent,
        r#"-- openings::absent
        with unnamed as materialized (
            select id from account_openings
             where id > $1 and id <= coalesce($2::uuid, $3::uuid) and id < $3 and provider = $4 and provider_ref is not null
            except
            select opening_id from report_rows
             where opening_id > $1 and opening_id <= coalesce($2::uuid, $3::uuid) and report_id is not distinct from $7)
        select o.id, o.state, o.provider_ref as "provider_ref!", o.market
          from unnamed
         cross join lateral (select from opening_history h
                              where h.opening_id = unnamed.id and h.to_state = 'awaiting_provider'
                                and h.at >= $5 and h.at < $6
                              limit 1) as waited
         cross join lateral (select o.id, o.state, o.provider_ref, o.market
                               from account_openings o
                              where o.id = unnamed.id
                                and not exists (select from report_rows r
                                                 where r.provider_reference = o.provider_ref and r.provider = $4
                                                   and r.kind = 'register' and r.report_id is not distinct from $7)
                             offset 0) as o
         order by o.id"#,
        from,
        last,
        first_id(period.until),
        provider,
        period.from,
        period.until,
        report,
    )
    .fetch_all(connection)
    .await?;
    Ok((absent, last))
}
