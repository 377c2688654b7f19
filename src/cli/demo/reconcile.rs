//! Reconciliation in the demo: the bank's files go to the service as an operator would upload them, and what the service
//! finds is compared with what the simulator planned.
//!
//! Both sides come over HTTP: the plan from the simulator, the mismatches from the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::Value;

use super::caller::Caller;
use super::watch::LOOK;
use crate::clock::Time;

/// The kinds of files in the order of their upload, their names, and whether gzip wraps them.
const FILES: [(&str, &str, bool); 3] =
    [("register", "register.csv", true), ("charges", "charges.csv", false), ("bank", "bank.xml", false)];
/// Time limit of one file, from its upload until everything that it caused is done.
const PATIENCE: Duration = Duration::from_mins(1);

/// `RECON_WINDOW` and `CHARGE_WINDOW` in compressed time. Some divergences lie well inside, some well outside of them.
pub(super) const WINDOW: Duration = Duration::from_secs(6);

/// What was seeded and found.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    pub report_rows: u64,
    pub classes: BTreeMap<String, Tally>,
    pub seeded: usize,
    /// Divergences without their mismatch.
    pub missed: Vec<String>,
    /// Mismatches without a divergence.
    pub false_alarms: Vec<String>,
}

/// The numbers of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub seeded: usize,
    pub found: usize,
}

/// Uploads the files of the time since `from`, and compares what the service makes of them with the simulator's plan.
pub(super) async fn run(caller: &Caller, bank: &str, from: Time, as_of: Time) -> anyhow::Result<Reconciled> {
    let query = query(from, as_of);
    let plan = caller.fetch(&format!("{bank}/reports/plan.json?{query}")).await?;
    let plan: Value = serde_json::from_slice(&plan)?;
    let (mut reports, mut report_rows) = (BTreeMap::new(), 0);
    for (kind, name, gzip) in FILES {
        let file = caller.fetch(&format!("{bank}/reports/{name}?{query}")).await?;
        let report = caller.upload(kind, name, file, gzip).await?;
        let id = report["id"].as_str().context("a report without an id")?.to_owned();
        report_rows += finished(caller, &id).await?;
        reports.insert(id, kind);
        until_applied(caller).await?;
    }
    let found = caller.all("/v1/mismatches").await?;
    Ok(Reconciled { report_rows, ..compare(&plan, &reports, &found) })
}

fn query(from: Time, as_of: Time) -> String {
    let text = |time: Time| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let window = WINDOW.as_millis();
    format!(
        "from={}&until={as_of}&as_of={as_of}&divergences=quota&recon_window={window}&charge_window={window}",
        text(from),
        as_of = text(as_of),
    )
}

/// Waits until a report is read and applied; returns its rows.
async fn finished(caller: &Caller, id: &str) -> anyhow::Result<u64> {
    let started = Instant::now();
    loop {
        let report = caller.get(&format!("/v1/reports/{id}")).await?;
        match report["state"].as_str() {
            Some("finished") => return report["rows"].as_u64().context("a report without rows"),
            Some("received" | "reading") if started.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
            state => anyhow::bail!("the report {id} ended as {state:?}: {report}"),
        }
    }
}

/// Waits until the service has seen the effect of everything that it did by itself.
async fn until_applied(caller: &Caller) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let applied = caller.all("/v1/mismatches?state=applied").await?;
        let Some(first) = applied.first() else { return Ok(()) };
        let count = applied.len();
        anyhow::ensure!(
            started.elapsed() < PATIENCE,
            "{count} mismatches were applied without effect; the first: {first}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// Pairs each divergence with one mismatch of its class, about its rows or its opening.
fn compare(plan: &Value, reports: &BTreeMap<String, &str>, mismatches: &[Value]) -> Reconciled {
    let mut result = Reconciled::default();
    let mut found: Vec<Option<&Value>> = mismatches.iter().map(Some).collect();
    let uploaded = |it: &&Value| reports.values().any(|kind| it["file"] == **kind);
    for expected in plan["divergences"].as_array().into_iter().flatten().filter(uploaded) {
        let tally = result.classes.entry(text(expected, "class")).or_default();
        (result.seeded, tally.seeded) = (result.seeded + 1, tally.seeded + 1);
        let fits = |it: Option<&Value>| it.is_some_and(|it| is_expected(expected, it, reports));
        match found.iter_mut().find(|it| fits(**it)) {
            Some(mismatch) => {
                tally.found += 1;
                *mismatch = None;
            }
            None => result.missed.push(expected.to_string()),
        }
    }
    for mismatch in found.into_iter().flatten() {
        result.classes.entry(text(mismatch, "class")).or_default().found += 1;
        result.false_alarms.push(mismatch.to_string());
    }
    result
}

fn is_expected(expected: &Value, mismatch: &Value, reports: &BTreeMap<String, &str>) -> bool {
    // Past its window a difference has another class, and is a case.
    let is_late = mismatch["class"] == expected["becomes"] && mismatch["state"] == "case";
    let states = expected["states"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_right = mismatch["class"] == expected["class"] && states.contains(&mismatch["state"]);
    let said = mismatch["reports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut said = said.iter().filter(|it| {
        let kind = it["id"].as_str().and_then(|id| reports.get(id));
        kind.is_some_and(|kind| expected["file"] == **kind)
    });
    let lines = expected["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_there = if lines.is_empty() {
        said.next().is_some() && mismatch["opening_id"] == expected["reference"]
    } else {
        said.any(|it| lines.contains(&it["line"]))
    };
    (is_right || is_late) && is_there
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Value {
        let row = |class: &str, lines: Value, reference: &str| {
            json!({"file": "register", "class": class, "states": ["case"], "becomes": null,
                   "lines": lines, "reference": reference})
        };
        let mut timing = row("TIMING_MISMATCH", json!([7]), "c");
        (timing["states"], timing["becomes"]) = (json!(["waiting"]), json!("STATUS_MISMATCH"));
        json!({"divergences": [row("IBAN_MISMATCH", json!([5]), "a"), row("MISSING_EXTERNAL", json!([]), "b"), timing]})
    }

    fn mismatch(class: &str, state: &str, opening: &str, line: u64) -> Value {
        json!({"class": class, "state": state, "opening_id": opening, "reports": [{"id": "r", "line": line}]})
    }

    fn compared(found: &[Value]) -> (usize, usize, usize) {
        let result = compare(&plan(), &BTreeMap::from([("r".to_owned(), "register")]), found);
        (result.seeded, result.missed.len(), result.false_alarms.len())
    }

    #[test]
    fn each_divergence_is_found_by_its_row_or_its_opening() {
        let found = [
            mismatch("IBAN_MISMATCH", "case", "a", 5),
            mismatch("MISSING_EXTERNAL", "case", "b", 0),
            mismatch("TIMING_MISMATCH", "waiting", "c", 7),
        ];
        assert_eq!(compared(&found), (3, 0, 0));
        let late = [&found[..2], &[mismatch("STATUS_MISMATCH", "case", "c", 7)]].concat();
        assert_eq!(compared(&late), (3, 0, 0), "past its window");
        assert_eq!(compared(&[]), (3, 3, 0));
        let twice = [&found[..], &found[..1]].concat();
        assert_eq!(compared(&twice), (3, 0, 1), "the second one is a false alarm");
    }

    #[test]
    fn another_class_state_row_or_file_is_missed_and_a_false_alarm() {
        let right = [mismatch("MISSING_EXTERNAL", "case", "b", 0), mismatch("TIMING_MISMATCH", "waiting", "c", 7)];
        for wrong in [
            mismatch("STATUS_MISMATCH", "case", "a", 5),
            mismatch("IBAN_MISMATCH", "waiting", "a", 5),
            mismatch("IBAN_MISMATCH", "case", "a", 6),
            json!({"class": "IBAN_MISMATCH", "state": "case", "opening_id": "a", "reports": [{"id": "x", "line": 5}]}),
        ] {
            assert_eq!(compared(&[&right[..], &[wrong]].concat()), (3, 1, 1));
        }
    }
}
