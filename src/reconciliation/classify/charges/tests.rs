//! Charges against the literal tables of `charges.md`, and for any set of rows: the order does not matter, and `charged` moves by
//! the amount of each row.

use chrono::TimeDelta;
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::register::OurOpening;
use super::super::{Act, Class};
use super::*;
use crate::domain::StateName;
use crate::domain::fee::Account;

const TABLES: &str = include_str!("charges.md");

fn now() -> Time {
    "2026-02-01T03:00:00Z".parse().unwrap()
}

fn rules(tolerance: Decimal) -> Rules {
    Rules { tolerance, charge_window: 45 * 86_400, settlement_window: 5 * 86_400, now: now() }
}

/// The cells of the rows of a section's table.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let section = TABLES.split("\n## ").find(|it| it.starts_with(section)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")).skip(1);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn opening(n: u128, reference: &str) -> OurOpening {
    OurOpening {
        id: Uuid::from_u128(n),
        state: StateName::IssuingCard,
        provider_reference: Some(reference.to_owned()),
        market: "BE".to_owned(),
        currency: "EUR".to_owned(),
        iban: None,
        bic: None,
        ended_at: None,
        erased: false,
    }
}

fn amount(text: &str) -> (Decimal, Decimal) {
    let (amount, tax) = text.split_once('/').unwrap();
    (amount.parse().unwrap(), tax.parse().unwrap())
}

/// `a charge 6.05/1.05 EUR of 6.05 EUR @ 11`
fn charge(text: &str) -> Charge {
    let words: Vec<&str> = text.split(' ').collect();
    let (total, tax) = amount(words[2]);
    let original = (words.get(4) == Some(&"of")).then(|| (words[5].parse().unwrap(), words[6].to_owned()));
    let after = TimeDelta::hours(i64::from(words[0].as_bytes()[0]));
    let row = ChargeRow {
        line_id: words[0].to_owned(),
        line_type: words[1].parse().unwrap(),
        word: words[1].to_owned(),
        code: Some("account_opened".to_owned()),
        quantity: 1,
        provider_reference: Some("aor_1".to_owned()),
        reference: None,
        amount: total,
        tax,
        currency: words[3].to_owned(),
        original_amount: original.as_ref().map(|it| it.0),
        original_currency: original.map(|it| it.1),
        fx_rate: words.get(8).map(|it| it.parse().unwrap()),
        settlement_id: None,
        occurred_at: Some("2026-01-01T00:00:00Z".parse::<Time>().unwrap() + after),
        booked_on: Some("2026-01-10".parse().unwrap()),
        description: None,
    };
    Charge { row, received_at: now(), by_tracking_id: Some(opening(1, "aor_1")), by_reference: None }
}

fn expected(text: &str) -> Expected {
    let (amount, tax) = amount(text);
    Expected { line: Uuid::from_u128(9), at: now(), amount, tax, currency: "EUR".to_owned() }
}

fn fee(without_tax: &str, tax: &str) -> Fee {
    let (without_tax, tax) = (without_tax.parse().unwrap(), tax.parse().unwrap());
    Fee { code: "account_opened".to_owned(), without_tax, tax, currency: "EUR".to_owned() }
}

/// Our side, by its words; some words change the rows.
fn ours(words: &str, charges: &mut [Charge]) -> Ours {
    let prices = vec![fee("5.00", "1.05"), fee("5.50", "1.16")];
    let mut ours = Ours { expected: None, prices, may_be_owed: false, is_priced: true, is_crowded: false };
    for it in charges {
        match words {
            "no opening" => it.by_tracking_id = None,
            "two openings" => it.by_reference = Some(opening(2, "aor_2")),
            "second tracking id" => {
                (it.by_tracking_id, it.by_reference) = (None, Some(opening(2, "aor_2")));
            }
            "overdue" => it.row.booked_on = Some("2025-12-01".parse().unwrap()),
            _ => {}
        }
    }
    match words {
        "not priced" => ours.prices.clear(),
        "to come" | "overdue" => ours.may_be_owed = true,
        "no price list" => (ours.is_priced, ours.prices) = (false, Vec::new()),
        "never" | "no opening" | "two openings" | "second tracking id" => {}
        words => ours.expected = Some(expected(words.strip_suffix(" EUR").unwrap())),
    }
    ours
}

fn becomes(judged: &Judged) -> String {
    let Some(finding) = &judged.finding else { return judged.class.to_string() };
    let act = match finding.act {
        Act::Case => "case",
        Act::Wait { .. } => "wait",
        Act::Settle => "settle",
        Act::Fact | Act::Poll => "another",
    };
    let hints = ["tax missing", "old price", "×100", "sign", "doubled", "not priced"];
    let hint = finding.suggested.because.iter().find(|it| hints.contains(&it.as_str()));
    let hint = hint.map(|it| format!(" [{it}]")).unwrap_or_default();
    assert_eq!((finding.class, finding.suggested.class), (judged.class, judged.class));
    format!("{} {act}{hint}", judged.class)
}

fn books(judged: &Judged) -> String {
    let shown = |it: &Booking| {
        let star = if it.settles.is_some() { "*" } else { "" };
        format!("{} → {} {} {}{star}", it.debit, it.credit, it.amount, it.currency)
    };
    let all: Vec<String> = judged.bookings.iter().map(shown).collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

fn check(section: &str, rules: &Rules) {
    for row in rows(section) {
        let mut charges: Vec<Charge> = row[0].split("; ").map(charge).collect();
        let ours = ours(row[1], &mut charges);
        let judged = judge(&charges, &ours, rules);
        let all = |shown: fn(&Judged) -> String| judged.iter().map(shown).collect::<Vec<_>>().join("; ");
        assert_eq!((all(becomes).as_str(), all(books).as_str()), (row[2], row[3]), "{row:?}");
    }
}

#[test]
fn charges_are_judged_as_the_tables_say() {
    check("One charge", &rules(Decimal::ZERO));
    check("Within a tolerance", &rules("0.02".parse().unwrap()));
    check("Several rows", &rules(Decimal::ZERO));
}

/// P33: each of too many rows is judged by itself, by a basis of its own size, and none settles the fee.
#[test]
fn a_crowded_fee_is_judged_row_by_row() {
    let mut charges = vec![charge("a charge 6.05/1.05 EUR"), charge("b refund -6.05/-1.05 EUR")];
    let ours = Ours { is_crowded: true, ..ours("6.05/1.05 EUR", &mut charges) };
    let judged = judge(&charges, &ours, &rules(Decimal::ZERO));
    let all: Vec<String> = judged.iter().map(becomes).collect();
    assert_eq!(all, ["DUPLICATE_CHARGE case", "REFUND_MISMATCH case"]);
    for (charge, judged) in charges.into_iter().zip(judged) {
        let alone = Basis::Fee { charges: vec![charge], ours: ours.clone(), rules: rules(Decimal::ZERO) };
        assert_eq!(alone.judge(), Some(judged));
    }
}

fn line(text: &str, line_type: &str) -> Charge {
    let words: Vec<&str> = text.split(' ').collect();
    let mut charge = charge(&format!("a {line_type} {} {}", words[1], words[2]));
    charge.row.quantity = words[0].parse().unwrap();
    if words.get(3) == Some(&"overdue") {
        charge.row.booked_on = Some("2025-12-01".parse().unwrap());
    } else {
        charge.row.booked_on = Some("2026-01-31".parse().unwrap());
    }
    charge
}

#[test]
fn groups_are_judged_as_the_table_says() {
    for row in rows("A group line") {
        let fees = row[1].split(' ').filter(|it| !it.is_empty()).enumerate();
        let fees = fees.map(|(n, it)| Expected { line: Uuid::from_u128(n as u128), ..expected(&format!("{it}/0")) });
        let open = OpenFees { fees: fees.collect(), is_priced: true, is_complete: !row[0].ends_with("cut") };
        let judged = judge_group(&line(row[0], "group"), &open, &rules(Decimal::ZERO));
        assert_eq!((becomes(&judged).as_str(), books(&judged).as_str()), (row[2], row[3]), "{row:?}");
    }
}

#[test]
fn settlements_are_judged_as_the_table_says() {
    for row in rows("A settlement") {
        let words: Vec<&str> = row[1].split(' ').collect();
        let (amount, tax) = amount(words[1]);
        let lines = Lines { count: words[0].parse().unwrap(), amount, tax, foreign: words[2].parse().unwrap() };
        let judged = judge_settlement(&line(row[0], "settlement"), &lines, &rules(Decimal::ZERO));
        assert_eq!((becomes(&judged).as_str(), books(&judged).as_str()), (row[2], row[3]), "{row:?}");
    }
}

#[test]
fn an_expected_fee_without_a_charge_waits_for_its_window() {
    let opening = Uuid::from_u128(1);
    for (step, class) in
        [("2026-01-31T00:00:00Z", Class::TimingMismatch), ("2025-12-01T00:00:00Z", Class::MissingExternal)]
    {
        let expected = Expected { at: step.parse().unwrap(), ..expected("6.05/1.05") };
        let finding = unlisted(opening, "account_opened", &expected, &rules(Decimal::ZERO));
        assert_eq!((finding.class, finding.aspect), (class, "fee"));
    }
}

fn any_row() -> impl Strategy<Value = String> {
    let kinds = ["charge", "charge", "charge", "refund", "refund", "adjustment", "unknown"];
    let amounts = ["6.05/1.05", "12.10/2.10", "5.00/0.00", "-6.05/-1.05", "-5.00/0.00", "-2.00/0.00"];
    let rests = ["EUR", "EUR", "SEK of 6.05 EUR @ 2"];
    let select = (
        prop::sample::select(kinds.to_vec()),
        prop::sample::select(amounts.to_vec()),
        prop::sample::select(rests.to_vec()),
    );
    select.prop_map(|(kind, amount, rest)| format!("{kind} {amount} {rest}"))
}

/// The words for our side of a fee.
const HELD: [&str; 6] = ["6.05/1.05 EUR", "not priced", "to come", "never", "no opening", "no price list"];

proptest! {
    /// P28, P31: in any order the same class and bookings, and `charged` moves by the amount of the row.
    #[test]
    fn the_order_of_rows_does_not_matter(
        rows in prop::collection::vec(any_row(), 1..7),
        words in prop::sample::select(HELD.to_vec()),
        seed in any::<u64>(),
    ) {
        let rows: Vec<String> = rows.iter().zip("abcdefg".chars()).map(|(row, id)| format!("{id} {row}")).collect();
        let mut charges: Vec<Charge> = rows.iter().map(|row| charge(row)).collect();
        let held = ours(words, &mut charges);
        let judged = judge(&charges, &held, &rules(Decimal::ZERO));
        for (charge, judged) in charges.iter().zip(&judged) {
            let charged = judged.bookings.iter().filter(|it| it.credit == Account::Charged);
            prop_assert_eq!(charged.map(|it| it.amount).sum::<Decimal>(), charge.row.amount);
            prop_assert!(judged.bookings.iter().all(|it| it.debit != Account::Charged));
        }
        prop_assert!(judged.iter().filter(|it| it.settles()).count() <= 1);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|n| seed.rotate_left(u32::try_from(n * 9).unwrap()) ^ (*n as u64));
        let shuffled: Vec<Charge> = order.iter().map(|n| charges[*n].clone()).collect();
        for (n, other) in order.iter().zip(judge(&shuffled, &held, &rules(Decimal::ZERO))) {
            prop_assert_eq!(&judged[*n], &other);
        }
    }
}
