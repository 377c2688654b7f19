//! Open mismatches about charges that are due for a look. Charges are judged per provider under its lock, so these are claimed per
//! provider too, behind that lock.

use sqlx::PgConnection;

use crate::clock::Time;
use crate::db::charge_lines::Key;

/// The providers with charges to be judged again: a mismatch is due, the step that a charge waits for has come, or a group or
/// settlement is stale. A file that is being applied is left out: half of it would be judged as if it were whole.
pub async fn providers_with_charges_due(connection: &mut PgConnection, now: Time) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- mismatches::providers_with_charges_due
        select provider as "provider!"
          from (select provider from mismatches where look_at <= $1 and kind = 'charges'
                 union
                select m.provider
                  from mismatches m
                  join expected_fees f on f.opening_id = m.opening_id and f.code = m.theirs ->> 'code'
                 where m.kind = 'charges' and m.aspect = 'charge' and m.class = 'TIMING_MISMATCH' and m.state = 'waiting'
                 union
                select provider from charge_lines where is_stale) as due
         where not exists (select from reports r
                            where r.provider = due.provider and r.kind = 'charges' and r.state = 'reading' and r.stage = 'apply')
         order by provider"#,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Subject and aspect of the mismatches of a provider that are due. They are looked at again at `later` at the latest.
pub async fn claim_charges(
    connection: &mut PgConnection,
    provider: &str,
    now: Time,
    later: Time,
    limit: i64,
) -> sqlx::Result<Vec<Key>> {
    let rows = sqlx::query!(
        r#"-- mismatches::claim_charges
        update mismatches set look_at = $3
         where id in (select id from mismatches
                       where id in (select id from (select id from mismatches
                                                     where provider = $1 and look_at <= $2 and kind = 'charges'
                                                     order by look_at, id
                                                     limit $4) as due
                                     union all
                                    select id from (select m.id
                                                      from mismatches m
                                                      join expected_fees f
                                                        on f.opening_id = m.opening_id and f.code = m.theirs ->> 'code'
                                                     where m.provider = $1 and m.kind = 'charges' and m.aspect = 'charge'
                                                       and m.class = 'TIMING_MISMATCH' and m.state = 'waiting'
                                                     order by m.id
                                                     limit $4) as awaited)
                       order by subject, aspect
                         for update)
        returning subject, aspect"#,
        provider,
        now,
        later,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.subject, it.aspect)).collect())
}
