//! How many rows a list or a look-up reads does not grow with its table.

use account_opening::db::idempotency::{self, Under};
use account_opening::db::{Page, cases, inbox, mismatches, operator_actions, refused_webhooks, reports, tickets};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::TestApp;

/// Rows of each table, of which the first is found.
const SEED: &str = "
set local session_replication_role = replica;

insert into reports (id, provider, kind, format, bytes, sha256, state, dry_run, received_by, received_at, stage)
select n::uuid, 'nexusbank', 'register', 'x', 1, sha256(n::text::bytea), 'finished', false, 'x', now(), 'done' from all_of_them;

insert into mismatches (id, provider, kind, subject, aspect, class, state, opening_id, ours, theirs, differences, suggested,
                        look_at, created_at, updated_at)
select n::uuid, 'nexusbank', 'register', n, 'x', case when n = first then 'RARE' else 'USUAL' end,
       case when n = first then 'case' else 'settled' end, n::uuid, '{}', '{}', '[]', '{}', case when n = first then now() end,
       now(), now()
  from all_of_them;

insert into mismatch_reports (mismatch_id, report_id, line)
select n::uuid, case when n = first then first::uuid else last::uuid end, 1 from all_of_them;

insert into cases (id, opening_id, kind, cause, ours, theirs, evidence, status, created_at)
select n::uuid, n::uuid, case when n = first then 'rare' else 'usual' end, 'x', '{}', '{}', '{}',
       case when n = first then 'open' else 'resolved' end, now()
  from all_of_them;

insert into tickets (id, opening_id, kind, summary, link, status, created_at, updated_at)
select n::uuid, n::uuid, 'AccountOpeningStepFailed', 'x', '/', case when n = first then 'open' else 'closed' end, now(), now()
  from all_of_them;

insert into operator_actions (id, at, who, action, subject, opening_id, reason)
select n::uuid, now(), case when n = first then 'rare' else 'usual' end, case when n = first then 'rare' else 'usual' end, 'x',
       n::uuid, 'x'
  from all_of_them;

insert into account_openings (id, market, customer_type, customer_reference, currency, flow, provider, state, deadline_at,
                              version, head_hash, created_at, updated_at)
select n::uuid, 'BE', 'company', n, 'EUR', 'async', 'nexusbank', 'creating_profile', now(), 1, sha256('x'), now(), now()
  from all_of_them;

-- A third each: facts that wait for their opening, that have waited in vain, and that are dead of another cause.
insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, provider_ref, received_at, retry_from,
                   status, outcome, due_at)
select n::uuid, 'x', n, 'webhook', 'nexusbank', '{}', sha256('{}'), '{}', 'unknown', now(), now(),
       (array['pending', 'dead', 'dead'])[n::bigint % 3 + 1],
       (array['parked', 'no_matching_opening', 'unreadable'])[n::bigint % 3 + 1],
       case when n::bigint % 3 = 0 then now() end
  from all_of_them;

insert into rejected_requests (id, provider, cause, received_at, source, method, path, headers, bytes)
select n::uuid, 'nexusbank', 'too_large', now(), case when n = first then 'rare' else 'usual' end, 'POST', '/', '{}', 1
  from all_of_them;

set local session_replication_role = origin;
analyze account_openings; analyze inbox; analyze reports; analyze mismatches; analyze mismatch_reports; analyze cases; analyze tickets; analyze operator_actions;
analyze rejected_requests;

-- As the service's sessions have it.
set local enable_seqscan = off;
set local plan_cache_mode = force_generic_plan;
set local jit = off;
set local max_parallel_workers_per_gather = 0;
";

/// The ids of the rows, as text.
const ALL_OF_THEM: &str = "
create temporary table all_of_them on commit drop as
select lpad(n::text, 32, '0') as n, lpad('1', 32, '0') as first, lpad('3000', 32, '0') as last from generate_series(1, 3000) as n";

/// A row, those beside it, and what the planner looks at.
const FEW: i64 = 30;

/// The rows that this transaction has read so far.
async fn read(connection: &mut PgConnection) -> i64 {
    let read = "select (sum(seq_tup_read) + sum(idx_tup_fetch))::bigint from pg_stat_xact_user_tables";
    sqlx::query_scalar(read).fetch_one(connection).await.unwrap()
}

/// A list finds the first row alone, and reads few.
macro_rules! finds_one {
    ($connection:ident, $filter:expr, $list:expr) => {{
        let before = read($connection).await;
        let found = $list.await.unwrap().len();
        let rows = read($connection).await - before;
        assert!(found == 1 && rows <= FEW, "{} {:?}: {found} found, {rows} read", stringify!($list), $filter);
    }};
}

const FIRST: Uuid = Uuid::from_u128(1);
/// The id that reads 3000.
const LAST: Uuid = Uuid::from_u128(0x3000);
const PAGE: Page<Uuid> = Page { limit: 51, after: None };

fn rare() -> String {
    "rare".to_owned()
}

async fn lists_of_reconciliation(connection: &mut PgConnection) {
    for filter in [
        mismatches::Filter { id: Some(FIRST), ..Default::default() },
        mismatches::Filter { report: Some(FIRST), ..Default::default() },
        mismatches::Filter { opening_id: Some(FIRST), ..Default::default() },
        mismatches::Filter { class: Some("RARE".to_owned()), ..Default::default() },
        mismatches::Filter { state: Some("case".to_owned()), ..Default::default() },
    ] {
        finds_one!(connection, filter, mismatches::list(&mut *connection, &filter, PAGE));
        if filter.id.is_none() {
            finds_one!(connection, filter, mismatches::count(&mut *connection, &filter));
        }
    }
    let filter = reports::Filter { id: Some(FIRST), ..Default::default() };
    finds_one!(connection, filter, reports::list(&mut *connection, &filter, PAGE));
}

async fn lists_of_work(connection: &mut PgConnection) {
    for filter in [
        cases::Filter { id: Some(FIRST), ..Default::default() },
        cases::Filter { opening: Some(FIRST), ..Default::default() },
        cases::Filter { status: Some("open"), ..Default::default() },
        cases::Filter { kind: Some(rare()), ..Default::default() },
    ] {
        finds_one!(connection, filter, cases::list(&mut *connection, &filter, PAGE));
    }
    for (status, opening) in [(Some("open"), None), (None, Some(FIRST))] {
        finds_one!(connection, (status, opening), tickets::list(&mut *connection, status, opening, PAGE));
    }
    for filter in [
        operator_actions::Filter { opening: Some(FIRST), ..Default::default() },
        operator_actions::Filter { who: Some(rare()), ..Default::default() },
        operator_actions::Filter { action: Some(rare()), ..Default::default() },
        operator_actions::Filter { who: Some(rare()), action: Some(rare()), ..Default::default() },
    ] {
        finds_one!(connection, filter, operator_actions::list(&mut *connection, &filter, PAGE));
    }
    let filter = refused_webhooks::Filter { source: Some(rare()), ..Default::default() };
    finds_one!(connection, filter, refused_webhooks::list(&mut *connection, &filter, PAGE));
}

/// Lists without a filter, whose page reads its own rows, and a count, which stops.
async fn lists_of_all(connection: &mut PgConnection) {
    let page = Page { limit: 51, after: Some(Uuid::from_u128(0x2000)) };
    let before = read(connection).await;
    let found = inbox::unmatched(connection, page).await.unwrap();
    let rows = read(connection).await - before;
    assert!(found.len() == 51 && found.iter().any(|it| it.status == "dead"), "{found:?}");
    assert!(rows <= 51 + FEW, "{rows} read");
    let before = read(connection).await;
    let of_report = mismatches::Filter { report: Some(LAST), ..Default::default() };
    let counts = mismatches::count(connection, &of_report).await.unwrap();
    let rows = read(connection).await - before;
    assert_eq!(counts.iter().map(|it| it.count).sum::<i64>(), mismatches::MOST + 1);
    // Of each its link, the row, and once more the link as the filter has it.
    assert!(rows <= 3 * (mismatches::MOST + 1) + FEW, "{rows} read");
}

#[tokio::test]
async fn a_list_reads_what_it_shows_and_not_all_that_came_since() {
    let app = TestApp::with().unused_cell().start().await;
    let mut transaction = app.pool.begin().await.unwrap();
    for sql in [ALL_OF_THEM, SEED] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
    }
    lists_of_reconciliation(&mut transaction).await;
    lists_of_work(&mut transaction).await;
    lists_of_all(&mut transaction).await;
    transaction.rollback().await.unwrap();
    app.finish().await;
}

/// The keys of one caller.
const KEYS: &str = "
insert into idempotency_keys (token_name, key, digest, status, body, opening_id, expires_at)
select 'demo', case when n = first then 'erased:' || encode(sha256('erased'), 'hex') else n end, sha256('x'), 202, '{}', n::uuid,
       now() + interval '1 day'
  from all_of_them";

/// A session keeps the plan that it made while the table was empty, when each way to read it seemed to cost the same.
#[tokio::test]
async fn a_look_for_a_key_reads_no_other_keys_of_the_caller() {
    let app = TestApp::with().unused_cell().start().await;
    let mut transaction = app.pool.begin().await.unwrap();
    let sessions =
        "analyze idempotency_keys; set local session_replication_role = replica; set local enable_seqscan = off;
                    set local plan_cache_mode = force_generic_plan";
    for sql in [ALL_OF_THEM, sessions] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
    }
    let last = format!("{:0>32}", 3000);
    let asked = [("demo", last.as_str()), ("demo", "erased"), ("demo", "unknown"), ("other", last.as_str())];
    let found = async |transaction: &mut PgConnection| {
        let under = idempotency::look(transaction, &asked, false, app.clock.now()).await.unwrap();
        under.iter().map(|it| matches!(it, Under::Answer(_))).collect::<Vec<_>>()
    };
    assert_eq!(found(&mut transaction).await, [false; 4]);
    sqlx::raw_sql(KEYS).execute(&mut *transaction).await.unwrap();
    let before = read(&mut transaction).await;
    assert_eq!(found(&mut transaction).await, [true, true, false, false]);
    let rows = read(&mut transaction).await - before;
    assert!(rows <= FEW, "{rows} read");
    transaction.rollback().await.unwrap();
    app.finish().await;
}
