//! The invariants that must hold at the end of every test.

use std::collections::BTreeSet;

use account_opening::app::verify;
use account_opening::clock::Time;
use account_opening::domain::Topic;
use account_opening::domain::chain::HistoryKey;
use account_opening::domain::fee::Scope;
use account_opening::outbound::capacity;
use rust_decimal::Decimal;

use super::{KEY, TestApp};

/// Panics where a promise is broken.
pub async fn check(app: &TestApp) {
    no_work_is_due(app).await;
    histories_replay_and_verify(app).await;
    every_opening_is_looked_after(app).await;
    every_timer_stands_in_its_lines(app).await;
    openings_are_counted(app).await;
    ibans_are_noted(app).await;
    fees_are_summed(app).await;
    every_priced_step_has_its_fees(app).await;
    charged_is_what_the_rows_say(app).await;
    reconciliation_is_told(app).await;
    every_event_has_its_place(app).await;
    refused_webhooks_are_counted(app).await;
    let ledger = app.world.ledger();
    assert_eq!(ledger.counts.double_effects, 0, "P9: something was made twice: {ledger:?}");
    assert_eq!(ledger.counts.forged_accepted, 0, "a forged message was taken");
}

/// Nothing is pending that could be done now; what waits has a time at which it is tried again, or a breaker that lets
/// nothing through.
async fn no_work_is_due(app: &TestApp) {
    let (mut topics, mut providers) = (Topic::ALL.to_vec(), app.context.poll_capacity(1));
    topics.retain(|topic| capacity::of(&app.context.gated_work(*topic), 1) > 0);
    providers.retain(|it| it.most > 0);
    let due: i64 = sqlx::query_scalar(
        "select (select count(*) from inbox where due_at <= $1)
               + (select count(*) from outbox o where due_at <= $1 and topic = any ($2)
                     -- What happened to a ticket waits for what happened to it before.
                     and not exists (select from outbox older where older.opening_id = o.opening_id
                         and older.topic like '%ticket' and o.topic like '%ticket' and older.status = 'pending'
                         and older.payload -> 'kind' = o.payload -> 'kind'
                         and (older.payload -> 'revision')::bigint < (o.payload -> 'revision')::bigint))
               + (select count(*) from timers t join account_openings o on o.id = t.opening_id where t.due_at <= $1
                     and (o.provider = any ($3) or o.state not in ('awaiting_provider', 'escalated')))
               + (select count(*) from bulk_runs
                   where started_at is not null and stopped_at is null and finished_at is null)
               + (select count(*) from backfills where status = 'pending' and next_attempt_at <= $1
                     and (lease_until is null or lease_until <= $1))",
    )
    .bind(app.now())
    .bind(topics.iter().map(|topic| topic.as_str()).collect::<Vec<_>>())
    .bind(providers.iter().map(|it| it.provider).collect::<Vec<_>>())
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(due, 0, "work is due that nobody did");
}

/// P7, P22: each history is a chain of legal steps that leads to the anchor's state and head.
async fn histories_replay_and_verify(app: &TestApp) {
    let key = app.state.settings.history_key.clone().unwrap_or_else(|| HistoryKey::new(&KEY));
    let openings: i64 = sqlx::query_scalar("select count(*) from account_openings").fetch_one(&app.pool).await.unwrap();
    let mut findings = Vec::new();
    let totals = verify::histories(&app.pool, &key, None, |_, verified| {
        findings.extend(verified.findings);
        Ok(())
    });
    assert_eq!(totals.await.unwrap().openings, u64::try_from(openings).unwrap());
    assert!(findings.is_empty(), "{findings:?}");
}

/// P9: the IBANs that are unique are those of the openings.
async fn ibans_are_noted(app: &TestApp) {
    let wrong: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select coalesce(i.opening_id, o.id)
           from opening_ibans i full join (select iban, id from account_openings where iban is not null) o using (iban)
          where i.opening_id is distinct from o.id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "the IBANs of {wrong:?} are not noted, or others are");
}

/// P21: an opening that is not at its end has a timer, or people know of it; one that is has none.
async fn every_opening_is_looked_after(app: &TestApp) {
    let forgotten: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "select o.id, o.state from account_openings o left join timers t on t.opening_id = o.id
          where case when o.state in ('completed', 'rejected', 'failed') then t.opening_id is not null
                     when o.state = 'escalated' then not exists (select 1 from tickets k where k.opening_id = o.id
                          and k.kind = 'AccountOpeningWebhookNotReceived' and k.status = 'open')
                     else t.due_at is null end",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(forgotten.is_empty(), "nobody looks after {forgotten:?}");
}

/// P13, P14: a timer that is due is found, with room or without where its deadline has passed.
async fn every_timer_stands_in_its_lines(app: &TestApp) {
    let lost: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "select o.id, o.state from timers t join account_openings o on o.id = t.opening_id
          where t.due_at is not null
            and case o.state when 'escalated' then (t.asks = o.provider) is not true or t.urgent_from is not null
                             when 'awaiting_provider' then t.urgent_from is distinct from o.deadline_at
                                  or (t.due_at < o.deadline_at and (t.asks = o.provider) is not true)
                             else t.asks is not null or (t.urgent_from <= t.due_at) is not true end",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(lost.is_empty(), "not in their lines: {lost:?}");
}

/// The stored counts of openings are right.
async fn openings_are_counted(app: &TestApp) {
    let wrong: Vec<(String, String, i64)> = sqlx::query_as(
        "select state, market, sum(n)::bigint
           from (select state, market, -count(*) as n from account_openings group by state, market
                  union all select state, market, count from opening_counts
                  union all select state, market, change from opening_count_changes) as counts
          group by state, market having sum(n) <> 0",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "counted too many: {wrong:?}");
}

/// P31: the fee ledger's sums are those of its lines.
async fn fees_are_summed(app: &TestApp) {
    let wrong: Vec<(String, String, String, String, Decimal)> = sqlx::query_as(
        "select provider, debit, credit, currency, sum(amount)
           from (select provider, debit, credit, currency, -amount as amount from fee_ledger
                  union all select provider, debit, credit, currency, amount from fee_sums) as sums
          group by provider, debit, credit, currency having sum(amount) <> 0",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "P31: summed too much: {wrong:?}");
}

/// P27: every step that the price list prices has exactly its expected fees, and nothing else has any.
async fn every_priced_step_has_its_fees(app: &TestApp) {
    let steps: Vec<(uuid::Uuid, String, Time, String, String, String)> = sqlx::query_as(
        "select h.opening_id, h.to_state, h.at, o.provider, o.market, o.customer_type
           from opening_history h join account_openings o on o.id = h.opening_id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let mut owed = BTreeSet::new();
    if let Some(list) = &app.state.settings.price_list {
        for (id, state, at, provider, market, customer_type) in &steps {
            let scope = Scope { provider, market, customer_type: customer_type.parse().unwrap() };
            for fee in list.owed(scope, state.parse().unwrap(), *at) {
                let (amount, tax) = (fee.amount().normalize(), fee.tax.normalize());
                owed.insert((*id, fee.code, amount, tax, fee.currency, provider.clone(), *at));
            }
        }
    }
    let booked: Vec<(uuid::Uuid, String, Decimal, Decimal, String, String, Time)> =
        sqlx::query_as("select opening_id, code, amount, tax, currency, provider, at from expected_fees")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let lines = booked.len();
    let booked: BTreeSet<_> =
        booked.into_iter().map(|it| (it.0, it.1, it.2.normalize(), it.3.normalize(), it.4, it.5, it.6)).collect();
    assert_eq!(booked, owed, "P27: expected fees");
    assert_eq!(booked.len(), lines, "P26: an expected fee was booked twice");
}

/// P26, P31: what the provider says we owe is the sum of the rows that count less what was paid, and no expected fee is settled
/// twice. Of each line id the row of the newest file counts, whichever came first.
async fn charged_is_what_the_rows_say(app: &TestApp) {
    let wrong: Vec<(String, String, Decimal)> = sqlx::query_as(
        "select provider, currency, sum(amount) from (
             select provider, currency, -amount as amount
               from (select distinct on (r.provider, r.row_key) r.provider, r.currency, r.amount, r.status
                       from report_rows r join reports p on p.id = r.report_id
                      where r.kind = 'charges' and p.state = 'finished' and not p.dry_run and r.class <> 'CONFLICTING_ROWS'
                      order by r.provider, r.row_key, coalesce(p.as_of, p.received_at) desc, r.digest desc) as newest
              where status <> 'settlement'
              union all
             select provider, currency, amount from fee_ledger where credit = 'charged' and debit <> 'paid'
              union all
             select provider, currency, case when credit = 'paid' then 0 else -amount end from fee_ledger
              where debit = 'charged') as both_sides
          group by provider, currency having sum(amount) <> 0",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "P31: {wrong:?}");
    let twice: Vec<(uuid::Uuid,)> = sqlx::query_as(
        "select settles from fee_ledger l
          where settles is not null and not exists (select from fee_ledger r where r.reverses = l.id)
          group by settles having count(*) > 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(twice.is_empty(), "P26: settled twice: {twice:?}");
    let paid: Vec<(String,)> = sqlx::query_as(
        "select settlement_id from fee_ledger l
          where settlement_id is not null and not exists (select from fee_ledger r where r.reverses = l.id)
          group by provider, settlement_id, currency having count(*) > 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(paid.is_empty(), "P26: paid twice: {paid:?}");
}

/// P11: each report that had its effects, and each case of reconciliation, is told once.
async fn reconciliation_is_told(app: &TestApp) {
    let wrong: Vec<(Option<uuid::Uuid>, i64)> = sqlx::query_as(
        "select it.id, count(e.id)
           from (select id, 'reconciliation.report_finished' as type from reports where state = 'finished' and not dry_run
                  union all
                 select id, 'reconciliation.case_opened' from cases where evidence = '{}') as it
           full join events e on e.subject = it.id and e.type = it.type
          where it.id is not null or e.type like 'reconciliation.%'
          group by it.id having count(e.id) <> 1 or it.id is null",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "told so many times: {wrong:?}");
}

/// P11: every event is shown, or is to be, and once.
async fn every_event_has_its_place(app: &TestApp) {
    let wrong: Vec<(uuid::Uuid, i64)> = sqlx::query_as(
        "select e.id, count(p.event_id)
           from events e left join (select event_id from event_positions
                                     union all select event_id from events_without_position) as p on p.event_id = e.id
          group by e.id having count(p.event_id) <> 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "events in as many places: {wrong:?}");
}

/// The counters of refused webhooks agree with the rows, and are within the bound.
async fn refused_webhooks_are_counted(app: &TestApp) {
    let (rows, sources, total): (i64, i64, i64) = sqlx::query_as(
        "select (select coalesce(sum(bytes), 0)::bigint from rejected_requests),
                (select coalesce(sum(bytes), 0)::bigint from rejected_sources), (select bytes from rejected_total)",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert!(
        rows == total && sources == total && total <= app.state.settings.rejected_max_bytes,
        "{rows} {sources} {total}"
    );
}
