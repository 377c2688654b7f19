//! Reconciliation in the demo: the bank's files go to the service as an operator would upload them, and what the service
//! finds is compared with what the simulator planned.
//!
//! Both sides come over HTTP: the plan from the simulator, mismatches and rows from the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{SecondsFormat, TimeDelta};
use serde::Serialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::watch::LOOK;
use crate::clock::Time;

/// A file of the bank's, in the order of their upload.
struct File {
    kind: &'static str,
    name: &'static str,
    /// Which edition of it the simulator writes.
    edition: &'static str,
    /// Whether gzip wraps it.
    gzip: bool,
}

const FILES: [File; 5] = [
    // The service holds it, and the operator discards it.
    File { kind: "register", name: "register.csv", edition: "divergences=many", gzip: false },
    File { kind: "register", name: "register.csv", edition: "divergences=quota", gzip: true },
    File { kind: "charges", name: "charges.csv", edition: "divergences=quota", gzip: false },
    File { kind: "charges", name: "charges.csv", edition: "divergences=quota&again=true", gzip: false },
    File { kind: "bank", name: "bank.xml", edition: "divergences=quota", gzip: false },
];
/// The classes that a row has without a mismatch, but for `MATCHED`.
const CLASSES_OF_ROWS: [&str; 3] = ["REPEATED", "REVISED", "UNRELATED"];
const TOO_MANY: &str = "TOO_MANY_DIFFERENCES";
/// Time limit of one file, from its upload until everything that it caused is done.
const PATIENCE: Duration = Duration::from_mins(1);

/// `RECON_WINDOW` and `CHARGE_WINDOW` in compressed time. Some divergences lie well inside, some well outside of them.
pub(super) const WINDOW: Duration = Duration::from_secs(6);

/// The divergences that were seeded, and the findings about them.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    pub report_rows: u64,
    pub classes: BTreeMap<String, Tally>,
    pub seeded: usize,
    /// Divergences without their mismatch or row.
    pub missed: Vec<String>,
    /// Mismatches and rows without a divergence.
    pub false_alarms: Vec<String>,
}

/// The numbers of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub seeded: usize,
    pub found: usize,
}

/// An uploaded file: its report, what the simulator planned for it, and its rows of [`CLASSES_OF_ROWS`].
#[derive(Debug, Default)]
struct Uploaded {
    report: String,
    expected: Vec<Value>,
    rows: Vec<Value>,
}

/// Uploads the files of the time since `from`, and compares what the service makes of them with the simulator's plan.
pub(super) async fn run(caller: &Caller, bank: &str, from: Time, as_of: Time) -> anyhow::Result<Reconciled> {
    let (mut uploads, mut report_rows) = (Vec::new(), 0);
    for file in &FILES {
        let query = query(file, from, as_of);
        let expected = planned(caller, bank, file.kind, &query).await?;
        // Among few openings even the wrong register differs too little to be held.
        if file.edition.ends_with("many") && !expected.iter().any(|it| it["class"] == TOO_MANY) {
            continue;
        }
        let text = caller.fetch(&format!("{bank}/reports/{}?{query}", file.name)).await?;
        let report = caller.upload(file.kind, file.name, text, file.gzip).await?;
        let report = report["id"].as_str().context("a report without an id")?.to_owned();
        report_rows += ended(caller, &report).await?;
        until_applied(caller).await?;
        let mut rows = Vec::new();
        for class in CLASSES_OF_ROWS {
            rows.extend(caller.all(&format!("/v1/reports/{report}/rows?class={class}")).await?);
        }
        uploads.push(Uploaded { report, expected, rows });
    }
    let found = caller.all("/v1/mismatches").await?;
    Ok(Reconciled { report_rows, ..compare(&uploads, &found) })
}

fn query(file: &File, from: Time, as_of: Time) -> String {
    let text = |time: Time| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let window = WINDOW.as_millis();
    // Of two files with a line the later one counts.
    let later = if file.edition.contains("again") { TimeDelta::milliseconds(1) } else { TimeDelta::zero() };
    format!(
        "from={}&until={until}&dealt_at={until}&as_of={}&{}&recon_window={window}&charge_window={window}",
        text(from),
        text(as_of + later),
        file.edition,
        until = text(as_of),
    )
}

/// The divergences of a file.
async fn planned(caller: &Caller, bank: &str, kind: &str, query: &str) -> anyhow::Result<Vec<Value>> {
    let plan = caller.fetch(&format!("{bank}/reports/plan.json?{query}")).await?;
    let mut plan: Value = serde_json::from_slice(&plan)?;
    let Value::Array(mut divergences) = plan["divergences"].take() else { anyhow::bail!("a plan without divergences") };
    divergences.retain(|it| it["file"] == kind);
    Ok(divergences)
}

/// Waits until a report is read and applied; returns its rows. A report that the service holds is discarded.
async fn ended(caller: &Caller, id: &str) -> anyhow::Result<u64> {
    let started = Instant::now();
    loop {
        let report = caller.get(&format!("/v1/reports/{id}")).await?;
        match report["state"].as_str() {
            Some("finished") => return report["rows"].as_u64().context("a report without rows"),
            Some("discarded") => return Ok(0),
            Some("held") => {
                caller.post(&format!("/v1/reports/{id}/discard"), &json!({"reason": "the wrong file"})).await?;
            }
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

/// Pairs each divergence with one mismatch of its class, about its rows or its opening, or with one row of its class.
fn compare(uploads: &[Uploaded], mismatches: &[Value]) -> Reconciled {
    let mut result = Reconciled::default();
    let mut mismatches: Vec<&Value> = mismatches.iter().collect();
    for upload in uploads {
        let mut rows: Vec<&Value> = upload.rows.iter().collect();
        for expected in &upload.expected {
            let found = if is_of_rows(expected) {
                take(&mut rows, |row| row["class"] == expected["class"] && names(expected, &row["line"]))
            } else {
                take(&mut mismatches, |it| is_expected(expected, it, &upload.report))
            };
            let tally = result.classes.entry(text(expected, "class")).or_default();
            (result.seeded, tally.seeded) = (result.seeded + 1, tally.seeded + 1);
            if found {
                tally.found += 1;
            } else {
                result.missed.push(expected.to_string());
            }
        }
        result.unexpected(rows);
    }
    result.unexpected(mismatches);
    result
}

impl Reconciled {
    fn unexpected(&mut self, found: Vec<&Value>) {
        for it in found {
            self.classes.entry(text(it, "class")).or_default().found += 1;
            self.false_alarms.push(it.to_string());
        }
    }
}

/// Takes the first that fits; whether there was one.
fn take<'a>(from: &mut Vec<&'a Value>, fits: impl Fn(&'a Value) -> bool) -> bool {
    let place = from.iter().position(|it| fits(it));
    place.map(|at| from.swap_remove(at)).is_some()
}

/// Whether rows are expected, and no mismatch.
fn is_of_rows(expected: &Value) -> bool {
    expected["states"].as_array().is_some_and(Vec::is_empty)
}

fn names(expected: &Value, line: &Value) -> bool {
    expected["lines"].as_array().is_some_and(|lines| lines.contains(line))
}

fn is_expected(expected: &Value, mismatch: &Value, report: &str) -> bool {
    // Past its window a difference has another class, and is a case.
    let is_late = mismatch["class"] == expected["becomes"] && mismatch["state"] == "case";
    let states = expected["states"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_right = mismatch["class"] == expected["class"] && states.contains(&mismatch["state"]);
    let said = mismatch["reports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut said = said.iter().filter(|it| it["id"] == report);
    let is_there = if expected["lines"].as_array().is_none_or(Vec::is_empty) {
        said.next().is_some() && mismatch["opening_id"] == expected["reference"]
    } else {
        said.any(|it| names(expected, &it["line"]))
    };
    (is_right || is_late) && is_there
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn expected() -> Vec<Value> {
        let row = |class: &str, lines: Value, reference: &str| json!({"class": class, "states": ["case"], "becomes": null, "lines": lines, "reference": reference});
        let (mut timing, mut again) = (row("TIMING_MISMATCH", json!([7]), "c"), row("REPEATED", json!([9]), "d"));
        (timing["states"], timing["becomes"]) = (json!(["waiting"]), json!("STATUS_MISMATCH"));
        again["states"] = json!([]);
        vec![row("IBAN_MISMATCH", json!([5]), "a"), row("MISSING_EXTERNAL", json!([]), "b"), timing, again]
    }

    fn mismatch(class: &str, state: &str, opening: &str, line: u64) -> Value {
        json!({"class": class, "state": state, "opening_id": opening, "reports": [{"id": "r", "line": line}]})
    }

    fn row(class: &str, line: u64) -> Value {
        json!({"class": class, "line": line})
    }

    fn compared(found: &[Value], rows: &[Value]) -> (usize, usize, usize) {
        let upload = Uploaded { report: "r".to_owned(), expected: expected(), rows: rows.to_vec() };
        let result = compare(&[upload], found);
        (result.seeded, result.missed.len(), result.false_alarms.len())
    }

    #[test]
    fn each_divergence_is_found_by_its_row_or_its_opening() {
        let rows = [row("REPEATED", 9)];
        let found = [
            mismatch("IBAN_MISMATCH", "case", "a", 5),
            mismatch("MISSING_EXTERNAL", "case", "b", 0),
            mismatch("TIMING_MISMATCH", "waiting", "c", 7),
        ];
        assert_eq!(compared(&found, &rows), (4, 0, 0));
        let late = [&found[..2], &[mismatch("STATUS_MISMATCH", "case", "c", 7)]].concat();
        assert_eq!(compared(&late, &rows), (4, 0, 0), "past its window");
        assert_eq!(compared(&[], &[]), (4, 4, 0));
        let twice = [&found[..], &found[..1]].concat();
        assert_eq!(compared(&twice, &rows), (4, 0, 1), "the second one is a false alarm");
        assert_eq!(compared(&found, &[&rows[..], &rows].concat()), (4, 0, 1), "and the second row");
    }

    #[test]
    fn another_class_state_row_or_file_is_missed_and_a_false_alarm() {
        let right = [mismatch("MISSING_EXTERNAL", "case", "b", 0), mismatch("TIMING_MISMATCH", "waiting", "c", 7)];
        let iban = mismatch("IBAN_MISMATCH", "case", "a", 5);
        let again = row("REPEATED", 9);
        for wrong in [
            mismatch("STATUS_MISMATCH", "case", "a", 5),
            mismatch("IBAN_MISMATCH", "waiting", "a", 5),
            mismatch("IBAN_MISMATCH", "case", "a", 6),
            json!({"class": "IBAN_MISMATCH", "state": "case", "opening_id": "a", "reports": [{"id": "x", "line": 5}]}),
        ] {
            assert_eq!(compared(&[&right[..], &[wrong]].concat(), from_ref(&again)), (4, 1, 1));
        }
        for wrong in [row("REVISED", 9), row("REPEATED", 10)] {
            assert_eq!(compared(&[&right[..], from_ref(&iban)].concat(), &[wrong]), (4, 1, 1));
        }
        let as_mismatch = mismatch("REPEATED", "case", "d", 9);
        assert_eq!(compared(&[&right[..], &[iban, as_mismatch]].concat(), &[]), (4, 1, 1));
    }
}
