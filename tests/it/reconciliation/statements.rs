//! P33: a slice takes the same few statements, however many rows a file has.

use std::collections::BTreeMap;

use account_opening::db::fee_ledger::{Look, Steps, uncharged};
use sqlx::Executor;
use uuid::Uuid;

use super::bank::{BANK, Message, Statement, entry};
use super::charges::{CHARGES, Charges};
use super::{REGISTER, Register, upload};
use crate::counts::read;
use crate::support::TestApp;

const SLICE: usize = 10_000;
const SLICE_OF_CHARGES: usize = 25_000;
/// For each time that a slice is gone through.
const MOST: u64 = 12;
/// For all times together: charges are read and booked. Of 10,000 rows eight.
const ALL_OF_CHARGES: u64 = 20;

/// The statements that a file of so many rows took, by name.
async fn statements(query: &str, text: String, rows: usize) -> BTreeMap<String, u64> {
    let app =
        TestApp::with().through_proxy().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let before = app.proxy.as_ref().unwrap().runs();
    let uploaded = upload(&app, query, text).await;
    app.settle().await;
    let report = app.get(&format!("/v1/reports/{}", uploaded.id())).await;
    assert_eq!((&report["state"], &report["rows"]), (&"finished".into(), &rows.into()), "{report}");
    let mut runs = app.proxy.as_ref().unwrap().runs();
    for (name, runs) in &mut runs {
        *runs -= before.get(name).copied().unwrap_or_default();
    }
    app.finish().await;
    runs
}

/// The statements of a whole slice: what a file takes more that has it beside so many rows.
async fn per_slice(query: &str, file: fn(usize) -> String, (rows, slice): (usize, usize)) -> BTreeMap<String, u64> {
    let more = rows + slice;
    let (one, two) = (statements(query, file(rows), rows).await, statements(query, file(more), more).await);
    let more = |name: &String, runs: u64| runs - one.get(name).copied().unwrap_or_default();
    // The file itself, in pieces of 1 MiB, and a look at webhooks are no part of a slice.
    let others = ["reports::insert_chunks", "reports::chunks", "inbox::webhooks_after"];
    let slices = two.into_iter().filter(|(name, _)| !others.contains(&name.as_str()));
    slices.map(|(name, runs)| (name.clone(), more(&name, runs))).filter(|(_, runs)| *runs > 0).collect()
}

fn register(rows: usize) -> String {
    let mut register = Register::of_day("2026-01-01");
    for n in 0..rows {
        let status = if n % 2 == 0 { "COMPLETED,BE68539007547034,NEXUBEBB" } else { "IN_PROGRESS,," };
        register = register.row(&format!("aor_{n},,{status},,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    register.text()
}

/// Every entry pays a settlement of its own.
fn payments(rows: usize) -> String {
    let entries: Vec<String> = (0..rows).map(|n| entry(&format!("b{n}"), "1.00", &format!("stl_{n}"))).collect();
    let moved = -100 * i64::try_from(rows).unwrap();
    Message::statements(&[Statement::numbered(1, (0, moved), &entries)]).text()
}

/// Without a price list every line is booked, and none is a case.
fn charges(rows: usize) -> String {
    let row =
        |file: Charges, n| file.row(&format!("chg_{n},charge,account_opened,1,aor_{n},,6.05,1.05,EUR,,,,stl_{n}"));
    (0..rows).fold(Charges::default(), row).text()
}

#[tokio::test]
async fn a_slice_of_a_register_takes_a_constant_number_of_statements() {
    let of_slice = per_slice(&format!("{REGISTER}&dry_run=true"), register, (1, SLICE)).await;
    assert!((3..=MOST).contains(&of_slice.values().sum()), "{of_slice:?}");
}

/// To read a slice of charges, to judge it beside the whole file, and to book it.
#[tokio::test]
async fn a_slice_of_charges_takes_a_constant_number_of_statements() {
    let all = per_slice(CHARGES, charges, (1, SLICE_OF_CHARGES)).await;
    assert!((6..=ALL_OF_CHARGES).contains(&all.values().sum()), "{all:?}");
}

/// To read a slice of a bank statement, the rows that name settlements once more, and then to book it. An ordinary statement names few.
#[tokio::test]
async fn a_slice_of_a_bank_statement_takes_a_constant_number_of_statements() {
    let read = per_slice(&format!("{BANK}&dry_run=true"), payments, (SLICE, SLICE)).await;
    assert!((3..=MOST).contains(&read.values().sum()), "{read:?}");
    let all = per_slice(BANK, payments, (SLICE, SLICE)).await;
    assert!((6..=2 * MOST).contains(&all.values().sum()), "{all:?}");
}

/// 2,000 expected fees of openings that are numbered.
const FEES: &str = "set local session_replication_role = replica;
    set local enable_seqscan = off;
    set local plan_cache_mode = force_generic_plan;
    insert into expected_fees (id, at, opening_id, code, amount, currency, provider, price_list)
    select (lpad(to_hex(1768003200000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, to_timestamp(1768003200),
           lpad(to_hex(n), 32, '0')::uuid, 'x', 1, 'EUR', 'nexusbank', ''
      from generate_series(1, 2000) as n;";
/// 500 settlements of the report.
const SETTLEMENTS: &str =
    "insert into report_rows (report_id, n, line, byte, length, provider, kind, row_key, digest, status, class, rule, theirs, found)
    select '00000000-0000-7000-8000-000000000001', n, n, n, 1, 'nexusbank', 'charges', 'stl_' || n, sha256(''), 'settlement',
           'MATCHED', '', '{}', false
      from generate_series(1, 500) as n";
/// 2,000 charges of the report, half of them for fees; the statistics know only the rows of a register.
const UNKNOWN_TO_STATISTICS: &str =
    "insert into report_rows (report_id, n, line, byte, length, provider, kind, row_key, digest, provider_reference, class, rule, theirs,
                              found)
    select '00000000-0000-7000-8000-000000000002', n, n, n, 1, 'nexusbank', 'register', 'aor_' || n, sha256(''), 'aor_' || n, 'MATCHED',
           '', '{}', false
      from generate_series(1, 5000) as n;
    analyze report_rows;
    insert into report_rows (report_id, n, line, byte, length, provider, kind, row_key, digest, status, opening_id, class, rule, theirs,
                             found)
    select '00000000-0000-7000-8000-000000000001', n, n, n, 1, 'nexusbank', 'charges', 'chg_' || n, sha256(''), 'charge',
           lpad(to_hex(2 * n), 32, '0')::uuid, 'MATCHED', '', '{\"code\": \"x\"}', false
      from generate_series(1, 2000) as n";

/// How many of [`FEES`] the rows of a report do not charge, and how many rows of reports it takes to find that out.
async fn look_for_absences(app: &TestApp, rows: &'static str) -> (usize, i64) {
    let mut transaction = app.pool.begin().await.unwrap();
    transaction.execute(sqlx::raw_sql(FEES)).await.unwrap();
    transaction.execute(sqlx::raw_sql(rows)).await.unwrap();
    let steps = Steps {
        provider: "nexusbank",
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: "2026-02-01T00:00:00Z".parse().unwrap(),
    };
    let report = Some(Uuid::from_u128(0x7000_8000_0000_0000_0001));
    let (mut found, mut after) = (0, None);
    let before = read(&mut transaction, "report_rows").await;
    loop {
        let look = Look { after, most: 1_000, found: 300 };
        let (fees, next) = uncharged(&mut transaction, steps, report, look).await.unwrap();
        found += fees.len();
        after = next;
        if after.is_none() {
            break;
        }
    }
    let rows = read(&mut transaction, "report_rows").await - before;
    transaction.rollback().await.unwrap();
    (found, rows)
}

/// A file has many settlements beside its charges; the groups among them are read one time in a look, and not once per expected fee.
#[tokio::test]
async fn a_look_for_absent_charges_reads_a_few_rows_per_expected_fee() {
    let app = TestApp::start().await;
    let (found, rows) = look_for_absences(&app, SETTLEMENTS).await;
    assert_eq!(found, 2_000);
    let looks = 2_000 / 300 + 2;
    assert!(rows < 2 * 2_000 + looks * 2 * 500, "{rows} for 2,000 fees beside 500 settlements");
    app.finish().await;
}

/// The first charges after many registers: an index that had no entry when the table was analysed seems to cost nothing to read whole.
#[tokio::test]
async fn a_look_for_absent_charges_reads_a_few_rows_with_any_statistics() {
    let app = TestApp::with().unused_cell().start().await;
    let (found, rows) = look_for_absences(&app, UNKNOWN_TO_STATISTICS).await;
    assert_eq!(found, 1_000);
    assert!(rows < 10 * 2_000, "{rows} for 2,000 fees beside 2,000 charges");
    app.finish().await;
}
