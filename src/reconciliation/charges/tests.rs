//! Each class of a charges file is found when its divergence is alone and in any company, with one finding for each and no other; a
//! clean file has none. The fees and sums that Postgres finds for groups and settlements are added up here.

use std::fmt::Write as _;

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::preview::{Standing, fee_of, standings};
use super::*;
use crate::db::openings::Held;
use crate::reconciliation::classify::charges::{
    Charge, Expected, Judged, Lines, OpenFees, judge, judge_group, judge_settlement, unlisted,
};
use crate::reconciliation::classify::{Class, Finding};

const PROVIDER: &str = "somebank";

/// The divergence of an opening's rows, the class of each row, and that of its finding without a row.
type Divergence = (&'static str, &'static [Class], Option<Class>);

/// How many of [`DIVERGENCES`] are none.
const CLEAN: usize = 8;

const DIVERGENCES: [Divergence; 33] = [
    ("agrees", &[Class::Matched], None),
    ("converted", &[Class::Matched], None),
    ("two fees", &[Class::Matched, Class::Matched], None),
    ("refunded", &[Class::Matched, Class::Matched], None),
    ("disputed and refunded", &[Class::Matched, Class::Matched, Class::Matched], None),
    ("a group", &[Class::Matched], None),
    ("a settlement", &[Class::Matched, Class::Matched], None),
    ("nothing is owed", &[], None),
    ("tax is missing", &[Class::AmountMismatch], None),
    ("a hundredfold", &[Class::AmountMismatch], None),
    ("another currency", &[Class::CurrencyMismatch], None),
    ("converted, off by a unit", &[Class::FxDifference], None),
    ("converted, off by more", &[Class::FxDifference], None),
    ("charged twice", &[Class::Matched, Class::DuplicateCharge], None),
    ("a stranger", &[Class::MissingInternal], None),
    ("not priced", &[Class::MissingInternal], None),
    ("never owed", &[Class::MissingInternal], None),
    ("before its step", &[Class::TimingMismatch], None),
    ("the reference of another", &[Class::CorrelationMismatch], None),
    ("a second tracking id", &[Class::DuplicateAccount], None),
    ("refund without its charge", &[Class::RefundMismatch], None),
    ("refund is larger", &[Class::Matched, Class::RefundMismatch], None),
    ("an adjustment", &[Class::Adjustment], None),
    ("an unknown word", &[Class::UnknownWord], None),
    ("a group of too many", &[Class::GroupMismatch], None),
    ("a group with another sum", &[Class::GroupMismatch], None),
    ("a settlement with another sum", &[Class::Matched, Class::SettlementMismatch], None),
    ("a settlement with another tax", &[Class::Matched, Class::SettlementMismatch], None),
    ("a settlement waits for lines", &[Class::Matched, Class::TimingMismatch], None),
    ("a settlement without its lines", &[Class::SettlementMismatch], None),
    ("no row yet", &[], Some(Class::TimingMismatch)),
    ("no row ever", &[], Some(Class::MissingExternal)),
    ("rows that contradict each other", &[Class::ConflictingRows, Class::ConflictingRows], Some(Class::TimingMismatch)),
];

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn rules() -> Rules {
    let now = time("2026-02-01T03:00:00Z");
    Rules { tolerance: Decimal::ZERO, charge_window: 45 * 86_400, settlement_window: 5 * 86_400, now }
}

fn file() -> File {
    let received_at = rules().now;
    File { report: Uuid::from_u128(1), as_of: received_at, received_at, period: None, is_complete: true }
}

/// Openings with what they owe, and the rows about them.
#[derive(Default)]
struct World {
    held: Vec<Held>,
    owed: HashMap<Fee, Expected>,
    /// A group's code is priced for its own openings only, so that groups do not share fees.
    group_codes: Vec<String>,
    rows: Vec<(ChargeRow, Class)>,
    absent: Vec<Class>,
}

fn held(n: u128, state: &str) -> Held {
    Held {
        id: Uuid::from_u128(n),
        state: state.to_owned(),
        provider_ref: Some(format!("aor_{n}")),
        market: "BE".to_owned(),
        customer_type: "company".to_owned(),
        currency: "EUR".to_owned(),
        iban: None,
        bic: None,
        version: 5,
        erased: false,
    }
}

/// `charge 6.05/1.05 EUR of 6.05 EUR @ 11`, about an opening.
fn row(n: u128, id: &str, text: &str) -> ChargeRow {
    let words: Vec<&str> = text.split(' ').collect();
    let (amount, tax) = words[1].split_once('/').unwrap();
    ChargeRow {
        line_id: format!("{id}_{n}"),
        line_type: words[0].parse().unwrap(),
        word: words[0].to_owned(),
        code: Some("account_opened".to_owned()),
        quantity: 1,
        provider_reference: Some(format!("aor_{n}")),
        reference: None,
        amount: decimal(amount),
        tax: decimal(tax),
        currency: words[2].to_owned(),
        original_amount: words.get(4).map(|it| decimal(it)),
        original_currency: words.get(5).map(|it| (*it).to_owned()),
        fx_rate: words.get(7).map(|it| decimal(it)),
        settlement_id: None,
        occurred_at: Some(time("2026-01-10T00:00:00Z") + TimeDelta::seconds(i64::from(id.as_bytes()[0]))),
        booked_on: Some("2026-01-31".parse().unwrap()),
        description: None,
    }
}

/// A group or settlement: it is about no opening.
fn whole(n: u128, text: &str, quantity: u64, code: Option<String>) -> ChargeRow {
    ChargeRow { quantity, code, provider_reference: None, ..row(n, "whole", text) }
}

const CHARGE: &str = "charge 6.05/1.05 EUR";

impl World {
    /// Each of these divergences, about openings of its own.
    fn of(divergences: &[usize]) -> Self {
        let mut world = Self::default();
        for (n, divergence) in (1_u128..).zip(divergences) {
            world.add(n * 10, DIVERGENCES[*divergence]);
        }
        world
    }

    fn owe(&mut self, n: u128, code: &str, amount: &str, tax: &str, at: &str) {
        let line = Uuid::from_u128(1_000_000 + self.owed.len() as u128);
        let (amount, tax, currency) = (decimal(amount), decimal(tax), "EUR".to_owned());
        let fee = (Uuid::from_u128(n).to_string(), code.to_owned());
        self.owed.insert(fee, Expected { line, at: time(at), amount, tax, currency });
    }

    fn add(&mut self, n: u128, (divergence, classes, absent): Divergence) {
        let state = match divergence {
            "before its step" | "nothing is owed" => "awaiting_provider",
            "never owed" => "rejected",
            _ => "issuing_card",
        };
        self.held.extend([held(n, state), held(n + 1, "awaiting_provider")]);
        let is_owed =
            state == "issuing_card" && !divergence.contains("group") && !divergence.contains("without its lines");
        let without = ["a stranger", "not priced", "an adjustment", "an unknown word", "refund without its charge"];
        if is_owed && !without.contains(&divergence) {
            let step = if divergence == "no row ever" { "2025-12-01T00:00:00Z" } else { "2026-01-10T00:00:00Z" };
            self.owe(n, "account_opened", "6.05", "1.05", step);
        }
        let rows = self.rows_of(n, divergence);
        assert_eq!(rows.len(), classes.len(), "{divergence}");
        self.rows.extend(rows.into_iter().zip(classes.iter().copied()));
        self.absent.extend(absent);
    }

    fn rows_of(&mut self, n: u128, divergence: &str) -> Vec<ChargeRow> {
        let first = |text: &str| row(n, "a", text);
        let second = |text: &str| row(n, "b", text);
        match divergence {
            "converted" => vec![first("charge 66.55/11.55 SEK of 6.05 EUR @ 11")],
            "two fees" => {
                self.owe(n, "card_order", "1.51", "0.26", "2026-01-10T00:00:00Z");
                let code = Some("card_order".to_owned());
                vec![first(CHARGE), ChargeRow { code, ..second("charge 1.51/0.26 EUR") }]
            }
            "refunded" => vec![first(CHARGE), second("refund -6.05/-1.05 EUR")],
            "disputed and refunded" => {
                vec![first(CHARGE), second("charge 12.10/2.10 EUR"), row(n, "c", "refund -12.10/-2.10 EUR")]
            }
            "tax is missing" => vec![first("charge 5.00/0.00 EUR")],
            "a hundredfold" => vec![first("charge 605.00/105.00 EUR")],
            "another currency" => vec![first("charge 6.05/1.05 SEK")],
            "converted, off by a unit" => vec![first("charge 66.56/11.55 SEK of 6.05 EUR @ 11")],
            "converted, off by more" => vec![first("charge 66.60/11.55 SEK of 6.05 EUR @ 11")],
            "charged twice" => vec![first(CHARGE), second(CHARGE)],
            "a stranger" => vec![ChargeRow { provider_reference: Some(format!("stranger_{n}")), ..first(CHARGE) }],
            "not priced" => vec![ChargeRow { code: Some("unheard_of".to_owned()), ..first(CHARGE) }],
            "the reference of another" => vec![naming(n + 1, first(CHARGE))],
            "a second tracking id" => {
                vec![naming(n, ChargeRow { provider_reference: Some(format!("second_{n}")), ..first(CHARGE) })]
            }
            "refund without its charge" => vec![first("refund -6.05/-1.05 EUR")],
            "refund is larger" => vec![first(CHARGE), second("refund -6.06/-1.05 EUR")],
            "an adjustment" => vec![first("adjustment -0.50/0.00 EUR")],
            "an unknown word" => vec![first("unknown 1.00/0.00 EUR")],
            "rows that contradict each other" => vec![first(CHARGE), first("charge 6.06/1.05 EUR")],
            "nothing is owed" | "no row yet" | "no row ever" => Vec::new(),
            _ if divergence.contains("group") => vec![self.group(n, divergence)],
            _ if divergence.contains("settlement") => settlement(n, divergence),
            _ => vec![first(CHARGE)],
        }
    }

    /// A line for two refused openings.
    fn group(&mut self, n: u128, divergence: &str) -> ChargeRow {
        let code = format!("refused_{n}");
        for one in [n + 2, n + 3] {
            self.held.push(held(one, "rejected"));
            self.owe(one, &code, "1.50", "0.00", "2026-01-10T00:00:00Z");
        }
        self.group_codes.push(code.clone());
        let count = if divergence == "a group of too many" { 3 } else { 2 };
        let sum = if divergence == "a group with another sum" { "3.01" } else { "3.00" };
        whole(n, &format!("group {sum}/0.00 EUR"), count, Some(code))
    }

    fn prices(&self) -> PriceList {
        let mut text = "provider,market,customer_type,on,code,amount,currency,tax_percent,valid_from,valid_until\n\
                        somebank,*,*,opened,account_opened,5.00,EUR,21,,\n\
                        somebank,*,*,opened,card_order,1.25,EUR,21,,\n"
            .to_owned();
        for code in &self.group_codes {
            writeln!(text, "somebank,*,*,rejected,{code},1.50,EUR,0,,").unwrap();
        }
        PriceList::read(&text, &[PROVIDER]).unwrap()
    }

    /// The judgement of each row, in their order, and the findings about fees without a row.
    fn judged(&self, rows: &[&ChargeRow]) -> (Vec<Judged>, Vec<Finding>) {
        let (named, list) = (Named::of(self.held.iter().map(|it| (it.clone(), Vec::new())).collect()), self.prices());
        let mut by_fee: HashMap<Fee, Vec<usize>> = HashMap::new();
        for (n, row) in rows.iter().enumerate().filter(|(_, it)| !is_whole(it.line_type.as_str())) {
            by_fee.entry(fee_of(row, named.opening(row))).or_default().push(n);
        }
        let mut judged: HashMap<usize, Judged> = HashMap::new();
        for (fee, of_fee) in &by_fee {
            let charges: Vec<Charge> =
                of_fee.iter().map(|n| named.charge(rows[*n].clone(), file().received_at)).collect();
            let mut ours = named.ours(PROVIDER, named.opening(rows[of_fee[0]]), &fee.1, Some(&list));
            ours.expected = self.owed.get(fee).cloned();
            judged.extend(of_fee.iter().copied().zip(judge(&charges, &ours, &rules())));
        }
        let (mut open, mut absent) = (HashMap::<&str, Vec<Expected>>::new(), Vec::new());
        for (fee, expected) in self.owed.iter().filter(|(fee, _)| !by_fee.contains_key(*fee)) {
            if self.group_codes.contains(&fee.1) {
                open.entry(&fee.1).or_default().push(expected.clone());
            } else {
                absent.push(unlisted(fee.0.parse().unwrap(), &fee.1, expected, &rules()));
            }
        }
        for (n, row) in rows.iter().enumerate().filter(|(_, it)| is_whole(it.line_type.as_str())) {
            judged.insert(n, judge_whole(row, &open, rows));
        }
        ((0..rows.len()).map(|n| judged.remove(&n).unwrap()).collect(), absent)
    }
}

fn naming(n: u128, row: ChargeRow) -> ChargeRow {
    ChargeRow { reference: Some(Uuid::from_u128(n).to_string()), ..row }
}

/// A charge and the settlement that it belongs to.
fn settlement(n: u128, divergence: &str) -> Vec<ChargeRow> {
    let id = || Some(format!("stl_{n}"));
    let (quantity, amounts) = match divergence {
        "a settlement with another sum" => (1, "6.06/1.05"),
        "a settlement with another tax" => (1, "6.05/1.04"),
        "a settlement waits for lines" => (2, "12.10/2.10"),
        _ => (1, "6.05/1.05"),
    };
    let total = ChargeRow { settlement_id: id(), ..whole(n, &format!("settlement {amounts} EUR"), quantity, None) };
    if divergence == "a settlement without its lines" {
        return vec![ChargeRow { booked_on: Some("2026-01-01".parse().unwrap()), ..total }];
    }
    vec![ChargeRow { settlement_id: id(), ..row(n, "a", CHARGE) }, total]
}

fn judge_whole(row: &ChargeRow, open: &HashMap<&str, Vec<Expected>>, rows: &[&ChargeRow]) -> Judged {
    let charge = Charge { row: row.clone(), received_at: file().received_at, by_tracking_id: None, by_reference: None };
    if row.line_type == ChargeType::Group {
        let fees = row.code.as_deref().and_then(|it| open.get(it)).cloned().unwrap_or_default();
        return judge_group(&charge, &OpenFees { fees, is_priced: true, is_complete: true }, &rules());
    }
    let mut lines = Lines::default();
    let of_settlement = |it: &&&ChargeRow| it.settlement_id == row.settlement_id && !is_whole(it.line_type.as_str());
    for it in rows.iter().filter(of_settlement) {
        (lines.count, lines.amount, lines.tax) = (lines.count + 1, lines.amount + it.amount, lines.tax + it.tax);
    }
    judge_settlement(&charge, &lines, &rules())
}

fn incoming(rows: &[ChargeRow]) -> Vec<Incoming> {
    let one = |(n, row): (i64, &ChargeRow)| Incoming {
        n,
        line: n + 2,
        digest: Sha256::digest(serde_json::to_vec(row).unwrap()).into(),
        row: row.clone(),
    };
    (1..).zip(rows).map(one).collect()
}

/// The class of each row, and every finding.
fn come_to(world: &World, rows: &[ChargeRow]) -> (Vec<Class>, Vec<Finding>) {
    let incoming = incoming(rows);
    let standings = standings(file(), &incoming, &[], &HashMap::new());
    let counting = rows.iter().zip(&standings).filter(|(_, it)| **it == Standing::Counts).map(|(row, _)| row);
    let (judged, mut findings) = world.judged(&counting.collect::<Vec<_>>());
    findings.extend(judged.iter().filter_map(|it| it.finding.clone()));
    let mut judged = judged.into_iter();
    let class = |it: &Standing| match it {
        Standing::Counts => judged.next().unwrap().class,
        Standing::Conflicts => Class::ConflictingRows,
        Standing::IsThere => Class::Repeated,
        Standing::IsOlder => Class::Revised,
    };
    (standings.iter().map(class).collect(), findings)
}

/// Each row has its class, and there is one finding for each difference and none besides.
fn check(world: &World, order: &[(ChargeRow, Class)]) {
    let rows: Vec<ChargeRow> = order.iter().map(|it| it.0.clone()).collect();
    let (classes, findings) = come_to(world, &rows);
    let expected: Vec<Class> = order.iter().map(|it| it.1).collect();
    assert_eq!(classes, expected, "{rows:?}");
    // Rows that contradict each other are found by the slice, not by a judgement.
    let is_found = |it: &Class| ![Class::Matched, Class::ConflictingRows, Class::Repeated].contains(it);
    let mut seeded: Vec<&str> = expected.iter().filter(|it| is_found(it)).map(|it| it.as_str()).collect();
    seeded.extend(world.absent.iter().map(|it| it.as_str()));
    let mut found: Vec<&str> = findings.iter().map(|it| it.class.as_str()).collect();
    seeded.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, seeded);
    let keys: BTreeSet<(&str, &str)> = findings.iter().map(|it| (it.subject.as_str(), it.aspect)).collect();
    assert_eq!(keys.len(), findings.len(), "each finding is a mismatch of its own: {keys:?}");
}

#[test]
fn each_divergence_alone_is_found_with_its_class() {
    for n in 0..DIVERGENCES.len() {
        let world = World::of(&[n]);
        check(&world, &world.rows);
    }
}

fn any_company() -> impl Strategy<Value = Vec<usize>> {
    vec(0..DIVERGENCES.len(), 1..40)
}

/// The rows in an order that follows from the numbers.
fn shuffled(rows: &[(ChargeRow, Class)], order: &[Index]) -> Vec<(ChargeRow, Class)> {
    let mut rows = rows.to_vec();
    for n in (1..rows.len()).rev() {
        rows.swap(n, order[n % order.len()].index(n + 1));
    }
    rows
}

proptest! {
    #[test]
    fn a_clean_file_finds_nothing(clean in vec(0..CLEAN, 1..40)) {
        let world = World::of(&clean);
        let rows: Vec<ChargeRow> = world.rows.iter().map(|it| it.0.clone()).collect();
        let (classes, findings) = come_to(&world, &rows);
        prop_assert!(classes.iter().all(|it| *it == Class::Matched), "{classes:?}");
        prop_assert!(findings.is_empty(), "{findings:?}");
    }

    /// P29.
    #[test]
    fn each_divergence_is_found_in_any_company_and_order(company in any_company(), order in vec(any::<Index>(), 40)) {
        let world = World::of(&company);
        check(&world, &shuffled(&world.rows, &order));
    }

    /// P28: a row that stands in its file twice counts once.
    #[test]
    fn a_row_that_comes_again_changes_no_class(company in any_company(), of: Index) {
        let world = World::of(&company);
        let is_alone = |it: &&(ChargeRow, Class)| it.1 != Class::ConflictingRows;
        let rows: Vec<&(ChargeRow, Class)> = world.rows.iter().filter(is_alone).collect();
        if !rows.is_empty() {
            let again = (of.get(&rows).0.clone(), Class::Repeated);
            check(&world, &[world.rows.clone(), vec![again]].concat());
        }
    }
}
