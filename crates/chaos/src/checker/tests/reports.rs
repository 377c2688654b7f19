//! The bank's files: a run in which both came to the right end, and what is put wrong in it, each alone.

use serde_json::{Value, json};

use super::super::Moment;
use super::super::report::{Kind, Report};
use super::opening::SINK;
use super::seeds::forget;
use super::world::{BEGAN, SECOND, World, opening, time};
use crate::record::{BankFile, Divergence, Seen};

const CHARGES: &str = "HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z
line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,original_currency,fx_rate,settlement_id,occurred_at,booked_on,description
chg_1,charge,account_opened,1,aor_0,,6.05,1.05,EUR,,,,stl_1,,2026-01-01,\"opened, once\"
chg_2,charge,account_opened,1,aor_1,,12.10,2.10,EUR,,,,stl_1,,2026-01-01,
adj_1,adjustment,,1,,,2.00,0.00,EUR,,,,,,2026-01-01,
adj_1,adjustment,,1,,,3.00,0.00,EUR,,,,,,2026-01-01,
stl_1,settlement,,2,,,18.15,3.15,EUR,,,,stl_1,,2026-01-01,
TRAILER,5,EUR=23.15
";

fn divergence(class: &str, state: &str, lines: &[i64], reference: Option<String>) -> Divergence {
    Divergence {
        kind: class.to_lowercase(),
        class: class.to_owned(),
        states: vec![state.to_owned()],
        becomes: None,
        lines: lines.to_vec(),
        reference,
    }
}

fn file(number: u64, kind: &str, expected: Vec<Divergence>) -> BankFile {
    let text = if kind == "charges" { CHARGES.to_owned() } else { String::new() };
    BankFile {
        at: BEGAN,
        number,
        kind: kind.to_owned(),
        text,
        sha256: String::new(),
        complete: true,
        held: false,
        last: true,
        expected,
    }
}

/// A register that leaves out opening 2, and charges with a doubled amount and a conflict; both are found.
fn run() -> World {
    let mut world = World::clean();
    let left_out = divergence("MISSING_EXTERNAL", "case", &[], Some(opening(2)));
    let doubled = divergence("AMOUNT_MISMATCH", "case", &[4], Some(opening(1)));
    let conflict = divergence("CONFLICTING_ROWS", "case", &[5, 6], None);
    upload(&mut world, "register", file(1, "register", vec![left_out]));
    upload(&mut world, "charges", file(2, "charges", vec![doubled, conflict]));
    mismatch(&mut world, "m1", "MISSING_EXTERNAL", Some(2), ("register", 0));
    mismatch(&mut world, "m2", "AMOUNT_MISMATCH", Some(1), ("charges", 4));
    mismatch(&mut world, "m3", "CONFLICTING_ROWS", None, ("charges", 5));
    book(&mut world, "l1", "charge:chg_1", ["expected", "charged"], "6.05");
    book(&mut world, "l2", "charge:chg_2", ["suspense", "charged"], "12.10");
    world
}

/// A file that was answered with a report of its kind's name.
fn upload(world: &mut World, report: &str, file: BankFile) {
    let number = file.number;
    world.insert("reports", json!({"id": report, "kind": file.kind, "state": "finished"}));
    world.history.push(Seen::File(file));
    let report = Some(report.to_owned());
    world.history.push(Seen::Upload { at: BEGAN + 50 * SECOND, file: number, replica: 0, status: 202, report });
}

fn mismatch(world: &mut World, id: &str, class: &str, n: Option<usize>, (report, line): (&str, i64)) {
    let opening_id = n.map(opening);
    world.insert(
        "mismatches",
        json!({"id": id, "subject": id, "class": class, "state": "case", "opening_id": opening_id}),
    );
    world.insert("mismatch_reports", json!({"mismatch_id": id, "report_id": report, "line": line}));
}

fn book(world: &mut World, id: &str, cause: &str, [debit, credit]: [&str; 2], amount: &str) {
    let row = json!({"id": id, "cause": cause, "debit": debit, "credit": credit, "amount": amount, "currency": "EUR",
                     "opening_id": null, "code": null, "report_id": "charges", "settles": null, "reverses": null});
    world.insert("fee_ledger", row);
}

/// Sums the ledger's lines, each by itself.
fn sum(world: &mut World) {
    let lines: Vec<Value> = world.find("fee_ledger", |_| true).map(|row| row.clone()).collect();
    for line in lines {
        let [debit, credit, amount, currency] = ["debit", "credit", "amount", "currency"].map(|it| &line[it]);
        world.insert("fee_sums", json!({"debit": debit, "credit": credit, "amount": amount, "currency": currency}));
    }
}

/// Tells of each finished report.
fn tell(world: &mut World) {
    let told = world.rows.len();
    let finished = world.find("reports", |row| row["state"] == "finished").map(|row| row["id"].clone());
    for id in finished.collect::<Vec<_>>() {
        let (event, at) = (format!("told-{}", id.as_str().unwrap()), BEGAN + 51 * SECOND);
        let kind = "reconciliation.report_finished";
        let row =
            json!({"id": event, "opening_id": id, "type": kind, "version": 0, "data": {"id": id}, "at": time(at)});
        world.insert("events", row);
        world.queue(0, "deliver_event", &json!({"event_id": event, "sink": SINK}), at);
        world.find("outbox", |row| row["payload"]["event_id"] == *event).next().unwrap()["opening_id"] = json!("");
    }
    world.tell(told);
}

/// The judge's report about a changed run.
fn judged(change: impl FnOnce(&mut World)) -> Report {
    let mut world = run();
    change(&mut world);
    sum(&mut world);
    tell(&mut world);
    world.judged(Moment::Drained)
}

fn only(report: &Report, kind: Kind, promise: &str) {
    let found = &report.found[&kind];
    assert_eq!((report.violations(), found.count), (1, 1), "{report}");
    assert!(found.examples[0].what.starts_with(promise), "{report}");
}

fn of<'a>(world: &'a mut World, table: &'a str, id: &'a str) -> &'a mut Value {
    world.find(table, move |row| row["id"] == id).next().unwrap()
}

#[test]
fn a_run_with_files_is_clean_if_each_divergence_is_one_mismatch() {
    let report = judged(|_| ());
    assert_eq!((report.violations(), &report.invalid[..]), (0, &[][..]), "{report}");
}

#[test]
fn p11_a_report_or_case_without_its_event_and_an_event_without_its_report_are_found() {
    let told = |change: fn(&mut World)| {
        let mut world = run();
        sum(&mut world);
        tell(&mut world);
        change(&mut world);
        world.judged(Moment::Drained)
    };
    only(&told(|world| forget(world, "told-register")), Kind::Atomicity, "P11");
    only(&told(|world| of(world, "reports", "register")["state"] = json!("discarded")), Kind::Atomicity, "P11");
    let case = told(|world| {
        let case = json!({"id": "c1", "opening_id": opening(1), "kind": "amount_mismatch", "cause": "m2:1"});
        world.insert("cases", case);
    });
    only(&case, Kind::Atomicity, "P11");
}

#[test]
fn p26_a_second_line_of_a_cause_or_of_an_expected_fee_is_found() {
    let twice = judged(|world| {
        book(world, "l3", "charge:chg_1", ["expected", "charged"], "1.00");
        book(world, "l4", "reversal:l3", ["charged", "expected"], "1.00");
        of(world, "fee_ledger", "l4")["reverses"] = json!("l3");
    });
    only(&twice, Kind::DoubleEffects, "P26");
    let settled = judged(|world| {
        for id in ["l1", "l2"] {
            of(world, "fee_ledger", id)["settles"] = json!("a1");
        }
    });
    only(&settled, Kind::DoubleEffects, "P26");
}

#[test]
fn p27_a_step_without_its_expected_fee_is_found() {
    let priced = |world: &mut World| {
        let Some(Seen::Plan(plan)) = world.history.first_mut() else { panic!("no plan") };
        plan.priced = true;
    };
    let report = judged(priced);
    assert!(report.found[&Kind::Lost].count > 20, "no opening has its fees: {report}");
}

#[test]
fn p29_a_missed_divergence_and_a_mismatch_without_one_are_found() {
    let missed = judged(|world| _ = world.remove("mismatches", |row| row["id"] == "m1"));
    only(&missed, Kind::Lost, "P29");
    let other_class = judged(|world| of(world, "mismatches", "m2")["class"] = json!("CURRENCY_MISMATCH"));
    assert_eq!((other_class.found[&Kind::Lost].count, other_class.found[&Kind::Unexpected].count), (1, 1));
    let twice = judged(|world| mismatch(world, "m4", "AMOUNT_MISMATCH", Some(1), ("charges", 4)));
    only(&twice, Kind::Unexpected, "P29");
    let settled = judged(|world| {
        mismatch(world, "m4", "TIMING_MISMATCH", Some(3), ("register", 4));
        of(world, "mismatches", "m4")["state"] = json!("settled");
    });
    assert_eq!(settled.violations(), 0, "what has settled is no difference: {settled}");
}

#[test]
fn p30_an_absence_in_a_cut_file_and_an_effect_of_a_held_one_are_found() {
    let held = |world: &mut World| {
        let file = BankFile { held: true, last: false, ..file(3, "register", Vec::new()) };
        upload(world, "held", file);
        of(world, "reports", "held")["state"] = json!("held");
    };
    assert_eq!(judged(held).violations(), 0);
    let found = judged(|world| {
        held(world);
        mismatch(world, "m4", "IBAN_MISMATCH", Some(3), ("held", 4));
        of(world, "mismatches", "m4")["state"] = json!("settled");
    });
    only(&found, Kind::Unexpected, "P30");
    let cut = judged(|world| {
        let file = BankFile { complete: false, last: false, ..file(3, "register", Vec::new()) };
        upload(world, "cut", file);
        mismatch(world, "m4", "MISSING_EXTERNAL", Some(3), ("cut", 0));
        of(world, "mismatches", "m4")["state"] = json!("settled");
    });
    only(&cut, Kind::Unexpected, "P30");
    let unread = judged(|world| of(world, "reports", "charges")["state"] = json!("reading"));
    assert!(unread.invalid.iter().any(|why| why.contains("is reading")), "{unread}");
}

#[test]
fn p31_a_cent_between_the_file_and_the_ledger_is_found() {
    let off = judged(|world| of(world, "fee_ledger", "l1")["amount"] = json!("6.06"));
    only(&off, Kind::WrongAnswers, "P31");
    let conflict = judged(|world| book(world, "l3", "charge:adj_1", ["suspense", "charged"], "2.00"));
    only(&conflict, Kind::WrongAnswers, "P31");
    let sums = judged(|world| {
        let row = json!({"debit": "cost", "credit": "expected", "amount": "0.01", "currency": "EUR"});
        world.insert("fee_sums", row);
    });
    only(&sums, Kind::WrongAnswers, "P31");
}
