//! Fees against the literal tables of `fee.md`, and for any price list: rounding, overlap, the narrowest price.

use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};

use super::super::fee::{Fee, On, PriceList, Scope, minor_unit, round_half_up};
use super::*;

const TABLES: &str = include_str!("fee.md");
const PROVIDERS: [&str; 2] = ["somebank", "otherbank"];
const COLUMNS: &str = "provider,market,customer_type,on,code,amount,currency,tax_percent,valid_from,valid_until";

fn list() -> PriceList {
    let csv = TABLES.split("```csv\n").nth(1).unwrap().split("```").next().unwrap();
    PriceList::read(csv, &PROVIDERS).unwrap()
}

/// The cells of the rows of a section's table.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let section = TABLES.split("\n## ").find(|it| it.starts_with(section)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")).skip(1);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn shown(fees: &[Fee]) -> String {
    let shown = fees.iter().map(|it| format!("{} {} + {} {}", it.code, it.without_tax, it.tax, it.currency));
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "nothing".to_owned() } else { shown }
}

#[test]
fn a_step_owes_what_the_table_says() {
    let (list, rows) = (list(), rows("Owed"));
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let scope = Scope { provider: "somebank", market: row[1], customer_type: row[2].parse().unwrap() };
        let owed = list.owed(scope, row[0].parse().unwrap(), row[3].parse().unwrap());
        assert_eq!(shown(&owed), row[4], "{row:?}");
    }
}

#[test]
fn a_wrong_price_list_is_refused_as_the_table_says() {
    let rows = rows("Refused");
    assert!(rows.len() > 25, "{rows:?}");
    for row in rows {
        let text = format!("{COLUMNS}\n{}\n", row[0].trim_matches('`').replace(" ⏎ ", "\r\n"));
        let flaws = match PriceList::read(&text, &PROVIDERS) {
            Ok(_) => "none".to_owned(),
            Err(flaws) => flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        assert_eq!(flaws, row[1].replace("COLUMNS", COLUMNS), "{}", row[0]);
    }
}

#[test]
fn a_file_without_the_columns_is_refused_at_once() {
    for text in ["", "\n\n", "code,amount\nx,y\n", &COLUMNS.replace(',', ";"), "\"unclosed\n"] {
        let flaws = PriceList::read(text, &PROVIDERS).unwrap_err();
        assert_eq!(flaws.len(), 1, "{flaws:?}");
        assert!(flaws[0].expected.contains(COLUMNS), "{flaws:?}");
    }
    assert!(PriceList::read(&format!("\u{feff}{COLUMNS}\r\n\r\n"), &PROVIDERS).is_ok());
}

#[test]
fn a_price_list_is_known_by_its_bytes() {
    let (list, other) = (list(), PriceList::read(&format!("{COLUMNS}\n"), &PROVIDERS).unwrap());
    assert_eq!(list.sha256(), PriceList::read(list.text(), &PROVIDERS).unwrap().sha256());
    assert_ne!(list.sha256(), other.sha256());
}

fn amount() -> impl Strategy<Value = Decimal> {
    (0_i64..10_000_000_000, 0_u32..=6).prop_map(|(units, scale)| Decimal::new(units, scale))
}

/// A row of a price list, of a few markets, types and days, so that rows meet often.
fn row() -> impl Strategy<Value = String> {
    let scope = ("BE|SE|\\*", "company|individual|\\*", "opened|rejected", "a|b");
    let days = (0_u32..6, 1_u32..6);
    (scope, amount(), 0_u32..=100, days).prop_map(|((market, kind, on, code), amount, tax, (from, days))| {
        let (from, until) = (from + 1, from + 1 + days);
        format!("somebank,{market},{kind},{on},{code},{amount},EUR,{tax},2026-01-{from:02},2026-01-{until:02}")
    })
}

proptest! {
    /// Half up means: within half a unit of the exact amount, and up where it is the middle.
    #[test]
    fn rounding_is_half_up_to_the_minor_unit(amount in amount(), currency in "EUR|JPY|TND") {
        let (rounded, unit) = (round_half_up(amount, &currency), minor_unit(&currency));
        let half = unit / Decimal::TWO;
        prop_assert!((rounded % unit).is_zero());
        prop_assert!(rounded - amount <= half && amount - rounded < half);
        prop_assert_eq!(round_half_up(-amount, &currency), -rounded, "a refund undoes its charge");
    }

    /// Two rows of equal rank for the same fee, at the same time: refused exactly then, with both lines.
    #[test]
    fn rows_that_overlap_are_refused_with_their_lines(rows in prop::collection::vec(row(), 1..8)) {
        let text = format!("{COLUMNS}\n{}\n", rows.join("\n"));
        let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.split(',').collect()).collect();
        let overlap = |a: &[&str], b: &[&str]| a[1..5] == b[1..5] && a[8] < b[9] && b[8] < a[9];
        let pairs = (0..rows.len()).flat_map(|a| (a + 1..rows.len()).map(move |b| (a, b)));
        let expected: Vec<String> = pairs
            .filter(|(a, b)| overlap(&cells[*a], &cells[*b]))
            .map(|(a, b)| format!("lines {} and {} price the same fee at the same time", a + 2, b + 2))
            .collect();
        let found = PriceList::read(&text, &PROVIDERS).err().unwrap_or_default();
        prop_assert_eq!(found.into_iter().map(|it| it.problem).collect::<Vec<_>>(), expected);
    }

    /// The narrowest of the rows that hold, in any order of lines.
    #[test]
    fn the_narrowest_price_wins(rows in prop::collection::vec(row(), 1..8), market in "BE|SE|NL", day in 1_u32..12) {
        let text = format!("{COLUMNS}\n{}\n", rows.join("\n"));
        let Ok(list) = PriceList::read(&text, &PROVIDERS) else { return Ok(()) };
        let today = format!("2026-01-{day:02}");
        let at = format!("{today}T12:00:00Z").parse().unwrap();
        for kind in CustomerType::ALL {
            let scope = Scope { provider: "somebank", market: &market, customer_type: *kind };
            let owed = list.owed(scope, StateName::IssuingCard, at);
            let mut expected = Vec::new();
            for code in ["a", "b"] {
                let cells = rows.iter().map(|row| row.split(',').collect::<Vec<_>>());
                let holds = |it: &Vec<&str>| {
                    it[3] == On::Opened.as_str() && it[4] == code && it[8] <= today.as_str() && today.as_str() < it[9]
                };
                let rank = |it: &Vec<&str>| {
                    let of = |cell: &str, ours: &str, weight| match cell {
                        "*" => Some(0),
                        cell if cell == ours => Some(weight),
                        _ => None,
                    };
                    Some(of(it[1], &market, 2)? + of(it[2], kind.as_str(), 1)?)
                };
                let best = cells.filter(holds).filter_map(|it| Some((rank(&it)?, it))).max_by_key(|(rank, _)| *rank);
                let Some((_, row)) = best else { continue };
                let (without_tax, tax): (Decimal, Decimal) = (row[5].parse().unwrap(), row[7].parse().unwrap());
                let tax = (without_tax * tax / Decimal::ONE_HUNDRED)
                    .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
                if !without_tax.is_zero() {
                    expected.push(Fee { code: code.to_owned(), without_tax, tax, currency: "EUR".to_owned() });
                }
            }
            prop_assert_eq!(owed, expected);
        }
    }
}
