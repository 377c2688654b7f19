//! P33: a slice of 10,000 rows takes the same few statements, however many rows a file has.

use std::collections::BTreeMap;

use super::bank::{BANK, Message, Statement, entry};
use super::charges::{CHARGES, Charges};
use super::{REGISTER, Register, upload};
use crate::support::TestApp;

/// Of 10,000 rows, for each time that they are gone through: to read them, to judge them beside the whole file, to book them.
const MOST: u64 = 12;

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

/// The statements of one slice: what 20,000 rows take more than 10,000.
async fn per_slice(query: &str, file: fn(usize) -> String) -> BTreeMap<String, u64> {
    let (one, two) = (statements(query, file(10_000), 10_000).await, statements(query, file(20_000), 20_000).await);
    let more = |name: &String, runs: u64| runs - one.get(name).copied().unwrap_or_default();
    // A piece of 1 MiB is read by a statement of its own.
    let slices = two.into_iter().filter(|(name, _)| *name != "reports::chunk");
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

/// Every tenth entry names a settlement, and every hundredth the same one.
fn statement(rows: usize) -> String {
    message(rows, |n| match n {
        n if n.is_multiple_of(100) => "stl_1".to_owned(),
        n if n.is_multiple_of(10) => format!("Fees stl_{n}"),
        n => format!("Invoice {n}"),
    })
}

/// Every entry pays a settlement of its own.
fn payments(rows: usize) -> String {
    message(rows, |n| format!("stl_{n}"))
}

fn message(rows: usize, text: fn(usize) -> String) -> String {
    let entries: Vec<String> = (0..rows).map(|n| entry(&format!("b{n}"), "1.00", &text(n))).collect();
    let moved = -100 * i64::try_from(rows).unwrap();
    Message::statements(&[Statement::numbered(1, (0, moved), &entries)]).text()
}

/// Without a price list every line is booked, and none is a case.
fn charges(rows: usize) -> String {
    let row =
        |file: Charges, n| file.row(&format!("chg_{n},charge,account_opened,1,aor_{n},,6.05,1.05,EUR,,,,stl_{n}"));
    (0..rows).fold(Charges::default(), row).text()
}

/// What is more in one than in the other.
fn beyond(all: &BTreeMap<String, u64>, some: &BTreeMap<String, u64>) -> u64 {
    all.values().sum::<u64>() - some.values().sum::<u64>()
}

#[tokio::test]
async fn a_slice_of_a_register_takes_a_constant_number_of_statements() {
    let of_slice = per_slice(&format!("{REGISTER}&dry_run=true"), register).await;
    assert!((3..=MOST).contains(&of_slice.values().sum()), "{of_slice:?}");
}

/// To read a slice of charges, and then to book it.
#[tokio::test]
async fn a_slice_of_charges_takes_a_constant_number_of_statements() {
    let read = per_slice(&format!("{CHARGES}&dry_run=true"), charges).await;
    assert!((3..=MOST).contains(&read.values().sum()), "{read:?}");
    let all = per_slice(CHARGES, charges).await;
    let booked = beyond(&all, &read);
    assert!((3..=MOST).contains(&booked), "{booked}: {all:?} but for {read:?}");
}

/// To read a slice of a bank statement, the rows that name settlements once more, and then to book it.
#[tokio::test]
async fn a_slice_of_a_bank_statement_takes_a_constant_number_of_statements() {
    for file in [statement, payments] {
        let read = per_slice(&format!("{BANK}&dry_run=true"), file).await;
        assert!((3..=MOST).contains(&read.values().sum()), "{read:?}");
        let all = per_slice(BANK, file).await;
        // The settlements that are named are marked, then judged.
        let booked = beyond(&all, &read);
        assert!((3..=2 * MOST).contains(&booked), "{booked}: {all:?} but for {read:?}");
    }
}
