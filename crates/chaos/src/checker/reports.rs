//! P26 to P31: what became of the bank's files, by sums and comparisons of the judge's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use rust_decimal::Decimal;

use super::Run;
use super::csv::records;
use super::dump::{LedgerLine, Mismatch};
use super::report::{Kind, Report, Violation};
use crate::provider::Bank;
use crate::record::{BankFile, Divergence};

/// A step that owes a fee, and the fee's code.
const PRICED: [(&str, &str); 3] = [
    ("awaiting_provider", "request_accepted"),
    ("issuing_card", "account_opened"),
    ("rejected", "application_rejected"),
];
/// A mismatch, and the reports and lines that say it.
type Said<'a> = (&'a Mismatch, Vec<(String, i64)>);

/// The events of reconciliation.
const FINISHED: &str = "reconciliation.report_finished";
const OPENED: &str = "reconciliation.case_opened";

/// The class of a report that is held.
const TOO_MANY: &str = "TOO_MANY_DIFFERENCES";
/// The states of a mismatch that is not over.
const OPEN: [&str; 3] = ["waiting", "applied", "case"];

pub fn check(run: &Run, report: &mut Report) {
    causes(run, report);
    summed(run, report);
    let plan = run.seen.plan.as_ref();
    if plan.is_some_and(|it| it.priced) {
        expected_fees(run, report);
    }
    without_effect(run, report);
    told(run, report);
    let has_files = plan.is_none_or(|it| Bank::named(&it.provider).is_some_and(Bank::has_files));
    if has_files && run.drained && !run.restored {
        report.invalid.extend(not_taken(run));
        charged(run, report);
        divergences(run, report);
    }
}

/// P26: a cause, an expected fee and a reversed line have one line each.
fn causes(run: &Run, report: &mut Report) {
    let (mut causes, mut reversed) = (BTreeSet::new(), BTreeSet::new());
    for line in &run.dump.fee_ledger {
        let twice = !causes.insert(&line.cause) || line.reverses.as_ref().is_some_and(|it| !reversed.insert(it));
        if twice {
            let violation = Violation::of("P26: two ledger lines of one cause", "one", &*line.cause);
            report.add(Kind::DoubleEffects, located(violation, line.opening_id.as_deref()));
        }
    }
    let stands = |line: &&LedgerLine| line.reverses.is_none() && !reversed.contains(&line.id);
    let mut settled: BTreeMap<&str, usize> = BTreeMap::new();
    for accrual in run.dump.fee_ledger.iter().filter(stands).filter_map(|line| line.settles.as_deref()) {
        *settled.entry(accrual).or_default() += 1;
    }
    for (accrual, lines) in settled.into_iter().filter(|it| it.1 > 1) {
        let violation = Violation::of("P26: an expected fee is settled twice", "one line", lines.to_string());
        report.add(Kind::DoubleEffects, violation.key(accrual));
    }
}

/// P31: what was moved between two accounts is the sum of the ledger's lines.
fn summed(run: &Run, report: &mut Report) {
    let lines = run.dump.fee_ledger.iter().map(|it| (&it.debit, &it.credit, &it.currency, it.amount));
    let sums = run.dump.fee_sums.iter().map(|it| (&it.debit, &it.credit, &it.currency, -it.amount));
    let mut differences: BTreeMap<_, Decimal> = BTreeMap::new();
    for (debit, credit, currency, amount) in lines.chain(sums) {
        *differences.entry((debit, credit, currency)).or_default() += amount;
    }
    for ((debit, credit, currency), difference) in differences.into_iter().filter(|it| !it.1.is_zero()) {
        let what = format!("P31: the lines from {debit} to {credit} in {currency} less their sum");
        report.add(Kind::WrongAnswers, Violation::of(what, "0", difference.to_string()));
    }
}

/// P27: each step that owes a fee has its expected fee, and there is no other one.
fn expected_fees(run: &Run, report: &mut Report) {
    let mut owed: BTreeSet<(String, &str)> = BTreeSet::new();
    for (opening, steps) in &run.dump.history {
        let priced = |state: &str| PRICED.iter().find(|it| it.0 == state).map(|it| it.1);
        owed.extend(steps.iter().filter_map(|step| Some((opening.clone(), priced(&step.to_state)?))));
    }
    let accruals = run.dump.fee_ledger.iter().filter(|it| it.debit == "cost" && it.credit == "expected");
    let booked: BTreeSet<(String, &str)> =
        accruals.filter_map(|it| Some((it.opening_id.clone()?, it.code.as_deref()?))).collect();
    for (opening, code) in owed.difference(&booked) {
        let violation = Violation::of(format!("P27: a step owes {code}"), "an expected fee", "none");
        report.add(Kind::Lost, violation.opening(&**opening));
    }
    for (opening, code) in booked.difference(&owed) {
        let violation = Violation::of(format!("P27: no step owes {code}"), "no fee", "an expected fee");
        report.add(Kind::Unexpected, violation.opening(&**opening));
    }
}

/// P30: an incomplete file shows no absence, and a held file does nothing.
fn without_effect(run: &Run, report: &mut Report) {
    let files = uploaded(run);
    let complete = |id: &String| files.get(id.as_str()).is_none_or(|it| it.complete);
    let held = |id: &String| files.get(id.as_str()).is_some_and(|it| it.held);
    for (mismatch, said) in mismatches(run) {
        let reports: Vec<&String> = said.iter().map(|it| &it.0).collect();
        if mismatch.class == "MISSING_EXTERNAL" && !reports.is_empty() && !reports.iter().any(|it| complete(it)) {
            let violation = Violation::of("P30: an incomplete file shows an absence", "none", &*mismatch.subject);
            report.add(Kind::Unexpected, located(violation, mismatch.opening_id.as_deref()));
        }
        let only_held = !reports.is_empty() && reports.iter().all(|it| held(it));
        if only_held && mismatch.class != TOO_MANY {
            let violation = Violation::of("P30: a held file has a mismatch", "none", &*mismatch.class);
            report.add(Kind::Unexpected, located(violation, mismatch.opening_id.as_deref()));
        }
    }
    for line in run.dump.fee_ledger.iter().filter(|it| it.report_id.as_ref().is_some_and(held)) {
        report.add(Kind::Unexpected, Violation::of("P30: a held file is booked", "nothing", &*line.cause));
    }
}

/// P10, P11: each finished report and each case that a report opened has one event, and there is no other one.
fn told(run: &Run, report: &mut Report) {
    let finished = run.dump.reports.iter().filter(|it| it.state == "finished").map(|it| &it.id);
    let opened = run.dump.cases_of_reports().map(|it| &it.id);
    let mut events: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in run.dump.events.iter().filter(|it| !it.is_of_opening()) {
        *events.entry((&event.kind, &event.opening_id)).or_default() += 1;
    }
    let wanted = finished.map(|id| (FINISHED, id)).chain(opened.map(|id| (OPENED, id)));
    for (kind, id) in wanted {
        let found = events.remove(&(kind, id.as_str())).unwrap_or_default();
        if found != 1 {
            let violation = Violation::of(format!("P11: {kind} of {id}"), "one event", found.to_string());
            report.add(Kind::Atomicity, violation);
        }
    }
    // The mismatch of a case may have another class by now, and another case.
    let cases: BTreeSet<&str> = run.dump.cases.iter().map(|it| it.id.as_str()).collect();
    for (kind, id) in events.into_keys().filter(|(kind, id)| *kind != OPENED || !cases.contains(id)) {
        report.add(Kind::Atomicity, Violation::of(format!("P11: {kind} of {id}"), "no event", "one"));
    }
}

/// Why the reports of the run prove nothing.
fn not_taken(run: &Run) -> Vec<String> {
    let states: HashMap<&str, &str> = run.dump.reports.iter().map(|it| (it.id.as_str(), it.state.as_str())).collect();
    let files = uploaded(run);
    let state = |it: &str| states.get(it).copied().unwrap_or("none");
    let wrong = files.iter().filter(|(id, file)| state(id) != if file.held { "held" } else { "finished" });
    let mut wrong: Vec<String> =
        wrong.map(|(id, file)| format!("file {} ({}) is {}", file.number, file.kind, state(id))).collect();
    let last = files.values().filter(|it| it.last).count();
    if last < run.seen.files.values().filter(|it| it.last).count() {
        wrong.push("the last files were not taken".to_owned());
    }
    wrong
}

/// P31: `charged` is the sum of the usable rows, each in its newest version, less what was paid.
fn charged(run: &Run, report: &mut Report) {
    let (mut rows, mut broken) = (BTreeMap::new(), Vec::new());
    for file in uploaded(run).values().filter(|it| it.kind == "charges" && !it.held) {
        match Charges::read(&file.text) {
            Some(charges) => charges.into_newest(&mut rows),
            None => broken.push(format!("file {} cannot be summed", file.number)),
        }
    }
    report.invalid.extend(broken);
    let mut owed: BTreeMap<String, Decimal> = BTreeMap::new();
    for (_, currency, amount) in rows.into_values() {
        *owed.entry(currency).or_default() += amount;
    }
    let mut booked: BTreeMap<String, Decimal> = BTreeMap::new();
    for line in &run.dump.fee_ledger {
        let balance = booked.entry(line.currency.clone()).or_default();
        *balance += line.amount * Decimal::from(i8::from(line.credit == "charged") - i8::from(line.debit == "charged"));
        // A paid charge is owed no more; a run pays nothing, so this is 0.
        *balance += line.amount * Decimal::from(i8::from(line.credit == "paid") - i8::from(line.debit == "paid"));
    }
    let currencies: BTreeSet<&String> = owed.keys().chain(booked.keys()).collect();
    for currency in currencies {
        let [owed, booked] = [&owed, &booked].map(|it| it.get(currency).copied().unwrap_or_default());
        if owed != booked {
            let what = format!("P31: the balance of `charged` in {currency}");
            report.add(Kind::WrongAnswers, Violation::of(what, owed.to_string(), booked.to_string()));
        }
    }
}

/// Rows by their line id: the file's `as of` in microseconds, currency and amount.
type Rows = BTreeMap<String, (i64, String, Decimal)>;

/// The charge rows of one file.
struct Charges {
    as_of: i64,
    rows: Rows,
}

impl Charges {
    /// None: not a charges file.
    fn read(text: &str) -> Option<Self> {
        let records = records(text);
        let as_of = records.first().filter(|it| it.len() == 7)?;
        let as_of = DateTime::parse_from_rfc3339(&as_of[6]).ok()?.timestamp_micros();
        let mut seen: BTreeMap<&str, &Vec<String>> = BTreeMap::new();
        let (mut rows, mut conflicting) = (Rows::new(), BTreeSet::new());
        for record in records.iter().skip(2).filter(|it| it.len() == 16 && it[1] != "settlement") {
            if seen.insert(&record[0], record).is_some_and(|first| first != record) {
                conflicting.insert(record[0].clone());
            }
            let amount = Decimal::from_str_exact(&record[6]).ok()?;
            rows.insert(record[0].clone(), (as_of, record[8].clone(), amount));
        }
        rows.retain(|id, _| !conflicting.contains(id));
        Some(Self { as_of, rows })
    }

    fn into_newest(self, all: &mut Rows) {
        for (id, row) in self.rows {
            if all.get(&id).is_none_or(|it| it.0 < self.as_of) {
                all.insert(id, row);
            }
        }
    }
}

/// P28, P29: each divergence of the last files is one mismatch of its class, and no other mismatch is open.
fn divergences(run: &Run, report: &mut Report) {
    let files = uploaded(run);
    let mut found: Vec<Option<Said<'_>>> = mismatches(run).into_iter().map(Some).collect();
    for (id, file) in files.iter().filter(|it| it.1.last) {
        for expected in &file.expected {
            let fits = |it: &Option<Said<'_>>| {
                it.as_ref().is_some_and(|(mismatch, said)| is_expected(expected, mismatch, said, id))
            };
            if let Some(it) = found.iter_mut().find(|it| fits(it)) {
                *it = None;
                continue;
            }
            let what = format!("P29: the {} has {} at {:?}", file.kind, expected.kind, expected.lines);
            let violation = Violation::of(what, &*expected.class, "no such mismatch");
            report.add(Kind::Lost, located(violation, expected.reference.as_deref()));
        }
    }
    let is_held = |id: &String| files.get(id.as_str()).is_some_and(|it| it.held);
    let tells_of_held = |it: &Said<'_>| it.0.class == TOO_MANY && it.1.iter().all(|(report, _)| is_held(report));
    let open = found.into_iter().flatten().filter(|it| OPEN.contains(&it.0.state.as_str()));
    for (mismatch, said) in open.filter(|it| !tells_of_held(it)) {
        let what = format!("P29: an open mismatch that no file was given, about {}", mismatch.subject);
        let violation = Violation::of(what, "none", format!("{} {} {said:?}", mismatch.class, mismatch.state));
        report.add(Kind::Unexpected, located(violation, mismatch.opening_id.as_deref()));
    }
}

fn is_expected(expected: &Divergence, mismatch: &Mismatch, said: &[(String, i64)], report: &str) -> bool {
    let is_late = expected.becomes.as_ref() == Some(&mismatch.class) && mismatch.state == "case";
    let is_right = mismatch.class == expected.class && expected.states.contains(&mismatch.state);
    let mut lines = said.iter().filter(|it| it.0 == report).map(|it| it.1);
    let is_there = if expected.lines.is_empty() {
        mismatch.opening_id == expected.reference && lines.next().is_some()
    } else {
        lines.any(|line| expected.lines.contains(&line))
    };
    (is_right || is_late) && is_there
}

/// The files by the report that they became.
fn uploaded(run: &Run) -> BTreeMap<&str, &BankFile> {
    let taken = run.seen.uploads.iter().filter_map(|(file, report)| Some((report.as_deref()?, file)));
    taken.filter_map(|(report, file)| Some((report, run.seen.files.get(file)?))).collect()
}

/// Each mismatch with the rows that say it.
fn mismatches(run: &Run) -> Vec<Said<'_>> {
    let mut said: HashMap<&str, Vec<(String, i64)>> = HashMap::new();
    for row in &run.dump.mismatch_reports {
        said.entry(row.mismatch_id.as_str()).or_default().push((row.report_id.clone(), row.line));
    }
    run.dump.mismatches.iter().map(|it| (it, said.remove(it.id.as_str()).unwrap_or_default())).collect()
}

fn located(violation: Violation, opening: Option<&str>) -> Violation {
    match opening {
        Some(opening) => violation.opening(opening),
        None => violation,
    }
}
