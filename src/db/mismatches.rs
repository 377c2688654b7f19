//! `mismatches`, `mismatch_reports`, `mismatch_steps`: one finding about one subject and aspect, and what became of it.

mod beside;
mod charges;
mod count;
mod end;
mod list;
mod place;
mod supersede;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

pub use self::beside::{Beside, Case, Step, beside};
pub use self::charges::{claim_charges, providers_with_charges_due};
pub use self::count::{Count, MOST, count};
pub use self::end::{erase, lock_of_case, lock_of_opening, resolve_of_case, resolve_of_report};
pub use self::list::{Listed, Said, get, list, said, why_held};
pub use self::place::Filter;
pub use self::supersede::supersede;

/// A mismatch as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub subject: String,
    pub aspect: String,
    pub class: String,
    pub state: String,
    pub due_at: Option<Time>,
    pub opening_id: Option<Uuid>,
    pub market: Option<String>,
    pub provider_reference: Option<String>,
    pub ours: Value,
    pub theirs: Value,
    pub differences: Value,
    pub suggested: Value,
    /// The newest row that says it.
    pub evidence: Option<Value>,
    pub as_of: Option<Time>,
    /// The fact that it became.
    pub fact_id: Option<Uuid>,
    pub case_id: Option<Uuid>,
    pub look_at: Option<Time>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// The mismatches about these subjects and aspects, locked in the order of their keys. Plan: each by the unique index, one after the other; a
/// join may read all mismatches of the provider once per key.
pub async fn lock(
    connection: &mut PgConnection,
    provider: &str,
    kind: &str,
    keys: &[(String, String)],
) -> sqlx::Result<Vec<Mismatch>> {
    let subjects: Vec<&str> = keys.iter().map(|it| it.0.as_str()).collect();
    let aspects: Vec<&str> = keys.iter().map(|it| it.1.as_str()).collect();
    sqlx::query_as!(
        Mismatch,
        r#"-- mismatches::lock
        select m.id, m.provider, m.kind, m.subject, m.aspect, m.class, m.state, m.due_at, m.opening_id, m.market,
               m.provider_reference, m.ours, m.theirs, m.differences, m.suggested, m.evidence, m.as_of, m.fact_id,
               m.case_id, m.look_at, m.created_at, m.updated_at
          from (select * from unnest($3::text[], $4::text[]) as keys(subject, aspect) order by subject, aspect) as asked
         cross join lateral (select * from mismatches m
                              where m.provider = $1 and m.kind = $2 and m.subject = asked.subject and m.aspect = asked.aspect
                                for update) as m"#,
        provider,
        kind,
        &subjects as &[&str],
        &aspects as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// The classes of the mismatches about these subjects and aspects that are open or were resolved by a person, without a lock. Plan: as of
/// [`lock`].
pub async fn known(
    connection: &mut PgConnection,
    provider: &str,
    kind: &str,
    keys: &[(String, String)],
) -> sqlx::Result<Vec<(String, String, String)>> {
    let subjects: Vec<&str> = keys.iter().map(|it| it.0.as_str()).collect();
    let aspects: Vec<&str> = keys.iter().map(|it| it.1.as_str()).collect();
    let rows = sqlx::query!(
        r#"-- mismatches::known
        select m.subject, m.aspect, m.class
          from unnest($3::text[], $4::text[]) as asked(subject, aspect)
         cross join lateral (select * from mismatches m
                              where m.provider = $1 and m.kind = $2 and m.subject = asked.subject and m.aspect = asked.aspect
                             offset 0) as m
         where m.look_at is not null or m.state = 'resolved'"#,
        provider,
        kind,
        &subjects as &[&str],
        &aspects as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.subject, it.aspect, it.class)).collect())
}

/// A row of a report that says a mismatch; line 0 where a row is missing.
pub type Link = (Uuid, Uuid, i64);

/// Writes mismatches, new ones and what changed in those that the caller has locked, and adds the rows that say them.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn write(connection: &mut PgConnection, all: &[Mismatch], links: &[Link]) -> sqlx::Result<()> {
    if all.is_empty() && links.is_empty() {
        return Ok(());
    }
    let said: Vec<Uuid> = links.iter().map(|it| it.0).collect();
    let reports: Vec<Uuid> = links.iter().map(|it| it.1).collect();
    let places: Vec<i64> = links.iter().map(|it| it.2).collect();
    let text = |get: fn(&Mismatch) -> &str| -> Vec<&str> { all.iter().map(get).collect() };
    let time = |get: fn(&Mismatch) -> Option<Time>| -> Vec<Option<Time>> { all.iter().map(get).collect() };
    let id = |get: fn(&Mismatch) -> Option<Uuid>| -> Vec<Option<Uuid>> { all.iter().map(get).collect() };
    let json = |get: fn(&Mismatch) -> &Value| -> Vec<&Value> { all.iter().map(get).collect() };
    let ids: Vec<Uuid> = all.iter().map(|it| it.id).collect();
    let markets: Vec<Option<&str>> = all.iter().map(|it| it.market.as_deref()).collect();
    let references: Vec<Option<&str>> = all.iter().map(|it| it.provider_reference.as_deref()).collect();
    let evidence: Vec<Option<&Value>> = all.iter().map(|it| it.evidence.as_ref()).collect();
    let created: Vec<Time> = all.iter().map(|it| it.created_at).collect();
    let updated: Vec<Time> = all.iter().map(|it| it.updated_at).collect();
    sqlx::query!(
        r#"-- mismatches::write
        with said as (
            insert into mismatch_reports (mismatch_id, report_id, line)
            select * from unnest($23::uuid[], $24::uuid[], $25::bigint[])
            on conflict do nothing
        )
        insert into mismatches (id, provider, kind, subject, aspect, class, state, due_at, opening_id, market,
            provider_reference, ours, theirs, differences, suggested, evidence, as_of, fact_id, case_id, look_at,
            created_at, updated_at)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::timestamptz[], $9::uuid[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[], $14::jsonb[],
            $15::jsonb[], $16::jsonb[], $17::timestamptz[], $18::uuid[], $19::uuid[], $20::timestamptz[],
            $21::timestamptz[], $22::timestamptz[])
        on conflict (id) do update
           set class = excluded.class, state = excluded.state, due_at = excluded.due_at,
               opening_id = excluded.opening_id, market = excluded.market,
               provider_reference = excluded.provider_reference, ours = excluded.ours, theirs = excluded.theirs,
               differences = excluded.differences, suggested = excluded.suggested, evidence = excluded.evidence,
               as_of = excluded.as_of, fact_id = excluded.fact_id, case_id = excluded.case_id,
               look_at = excluded.look_at, updated_at = excluded.updated_at"#,
        &ids,
        &text(|it| &it.provider) as &[&str],
        &text(|it| &it.kind) as &[&str],
        &text(|it| &it.subject) as &[&str],
        &text(|it| &it.aspect) as &[&str],
        &text(|it| &it.class) as &[&str],
        &text(|it| &it.state) as &[&str],
        &time(|it| it.due_at) as &[Option<Time>],
        &id(|it| it.opening_id) as &[Option<Uuid>],
        &markets as &[Option<&str>],
        &references as &[Option<&str>],
        &json(|it| &it.ours) as &[&Value],
        &json(|it| &it.theirs) as &[&Value],
        &json(|it| &it.differences) as &[&Value],
        &json(|it| &it.suggested) as &[&Value],
        &evidence as &[Option<&Value>],
        &time(|it| it.as_of) as &[Option<Time>],
        &id(|it| it.fact_id) as &[Option<Uuid>],
        &id(|it| it.case_id) as &[Option<Uuid>],
        &time(|it| it.look_at) as &[Option<Time>],
        &created,
        &updated,
        &said,
        &reports,
        &places,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A change of a mismatch. Its number follows the last one.
#[derive(Clone, Debug)]
pub struct NewStep {
    pub mismatch_id: Uuid,
    pub from_state: Option<String>,
    pub to_state: String,
    pub class: String,
    pub by: String,
    pub reason: String,
}

/// Appends steps. The caller holds the mismatches' locks, or has just inserted them.
pub async fn append_steps(connection: &mut PgConnection, steps: &[NewStep], now: Time) -> sqlx::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let text = |get: fn(&NewStep) -> &str| -> Vec<&str> { steps.iter().map(get).collect() };
    let ids: Vec<Uuid> = steps.iter().map(|it| it.mismatch_id).collect();
    let from: Vec<Option<&str>> = steps.iter().map(|it| it.from_state.as_deref()).collect();
    sqlx::query!(
        r#"-- mismatches::append_steps
        insert into mismatch_steps (mismatch_id, n, at, from_state, to_state, class, by, reason)
        select s.mismatch_id,
               (select count(*) from mismatch_steps before where before.mismatch_id = s.mismatch_id)
                   + row_number() over (partition by s.mismatch_id order by s.place),
               $7, s.from_state, s.to_state, s.class, s.by, s.reason
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality
            as s(mismatch_id, from_state, to_state, class, by, reason, place)"#,
        &ids,
        &from as &[Option<&str>],
        &text(|it| &it.to_state) as &[&str],
        &text(|it| &it.class) as &[&str],
        &text(|it| &it.by) as &[&str],
        &text(|it| &it.reason) as &[&str],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The open mismatches that are to be looked at, locked, but for those about charges; another replica's are skipped.
pub async fn claim(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<Vec<Mismatch>> {
    sqlx::query_as!(
        Mismatch,
        r#"-- mismatches::claim
        select id, provider, kind, subject, aspect, class, state, due_at, opening_id, market, provider_reference, ours,
               theirs, differences, suggested, evidence, as_of, fact_id, case_id, look_at, created_at, updated_at
          from mismatches
         where look_at <= $1 and kind <> 'charges'
         order by look_at, id
         limit $2
           for update skip locked"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Gives the open mismatches about requests that this report names the newest row about them, of whichever report it is, and makes
/// them due for a look: so the order in which reports come does not matter. An absence is ended only by a row of a later time.
pub async fn renew_evidence(
    connection: &mut PgConnection,
    provider: &str,
    report: Uuid,
    now: Time,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- mismatches::renew_evidence
        update mismatches m
           set evidence = r.theirs, as_of = greatest(m.as_of, r.as_of), look_at = $3
          from (select o.id, newest.theirs, newest.as_of
                  from mismatches o
                 cross join lateral (
                        select last.* from (
                            select distinct on (r.report_id) r.theirs, r.digest, r.report_id, p.as_of,
                                   r.theirs ->> 'verdict' in ('completed', 'rejected') as final
                              from report_rows r join reports p on p.id = r.report_id
                             where r.provider = o.provider and r.provider_reference = o.provider_reference
                               and r.kind = 'register' and not r.redacted and r.class <> 'CONFLICTING_ROWS'
                               and not p.dry_run and p.state in ('reading', 'finished')
                             order by r.report_id, final desc, r.n desc) as last
                         order by last.as_of desc, last.final desc, last.digest desc
                         limit 1) as newest
                 where o.provider = $1 and o.kind = 'register' and o.look_at is not null
                   and (o.evidence is not null or newest.as_of > o.as_of)
                   and (exists (select from mismatch_reports said
                                 where said.mismatch_id = o.id and said.report_id = $2)
                        or newest.report_id = $2)) as r
         where m.id = r.id"#,
        provider,
        report,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Of these openings those that an earlier report missed too, after which the provider was asked.
pub async fn missed_before(
    connection: &mut PgConnection,
    provider: &str,
    report: Uuid,
    openings: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- mismatches::missed_before
        select m.opening_id as "opening_id!" from mismatches m
         where m.provider = $1 and m.opening_id = any($3) and m.class = 'MISSING_EXTERNAL' and m.state = 'applied'
           and not exists (select from mismatch_reports r where r.mismatch_id = m.id and r.report_id = $2)"#,
        provider,
        report,
        openings,
    )
    .fetch_all(connection)
    .await
}
