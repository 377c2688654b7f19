//! P33: a slice of 10,000 rows takes the same few statements, however many rows a file has.

use std::collections::BTreeMap;

use super::{REGISTER, Register, upload};
use crate::support::TestApp;

/// Of a slice of 10,000 rows.
const MOST: u64 = 12;

/// The statements that a register of so many rows took, by name.
async fn statements(rows: usize) -> BTreeMap<String, u64> {
    let app =
        TestApp::with().through_proxy().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let mut register = Register::of_day("2026-01-01");
    for n in 0..rows {
        let status = if n % 2 == 0 { "COMPLETED,BE68539007547034,NEXUBEBB" } else { "IN_PROGRESS,," };
        register = register.row(&format!("aor_{n},,{status},,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let before = app.proxy.as_ref().unwrap().runs();
    let uploaded = upload(&app, &format!("{REGISTER}&dry_run=true"), register.text()).await;
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

#[tokio::test]
async fn a_slice_of_a_register_takes_a_constant_number_of_statements() {
    let (two, four) = (statements(20_000).await, statements(40_000).await);
    let more = |name: &String, runs: &u64| runs - two.get(name).copied().unwrap_or_default();
    // A piece of 1 MiB is read by a statement of its own.
    let slices = four.iter().filter(|(name, _)| *name != "reports::chunk");
    let of_two_slices: BTreeMap<&String, u64> = slices.map(|(name, runs)| (name, more(name, runs))).collect();
    let per_slice = of_two_slices.values().sum::<u64>() / 2;
    assert!((3..=MOST).contains(&per_slice), "{of_two_slices:?}");
}
