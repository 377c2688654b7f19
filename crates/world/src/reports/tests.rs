//! The files over made-up requests: their form, their sums, and that each divergence is dealt as often as it should be.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::mint;
use crate::plan::{self, Verdict};
use crate::snapshot::{AccountRequest, Status};

const MARKETS: [(&str, &str); 6] =
    [("BE", "EUR"), ("NL", "EUR"), ("DE", "EUR"), ("FR", "EUR"), ("ES", "EUR"), ("SE", "SEK")];
const TYPES: [&str; 3] = ["company", "freelancer", "individual"];

fn start() -> Time {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

/// A request every minute; each is decided ten minutes later, the last ones minutes ago.
fn entries(total: usize) -> Vec<Entry> {
    (0..total).map(|number| entry(number, total)).collect()
}

fn entry(number: usize, total: usize) -> Entry {
    let created_at = start() + TimeDelta::minutes(i64::try_from(number).unwrap());
    let decided_at = created_at + TimeDelta::minutes(10);
    let (market, currency) = MARKETS[number % MARKETS.len()];
    let status = match number % 20 {
        3 => Status::Rejected,
        7 => Status::InProgress,
        11 if number == 11 => Status::OnHold,
        _ => Status::Completed,
    };
    let (opened, decided) = (status == Status::Completed, status.is_decided());
    let id = mint::id("aor", 1, &[&number.to_string(), &total.to_string()]);
    let request = AccountRequest {
        iban: opened.then(|| mint::iban(market, 1, &[&id])),
        bic: opened.then(|| mint::bic(market)),
        rejection_reason: (status == Status::Rejected).then(|| format!("reason \"{number}\", and \u{e000}")),
        account_opening_request_id: id,
        reference: format!("0199-{number}"),
        status,
        updated_at: if decided { decided_at } else { created_at },
        created_at,
        decided_at: decided.then_some(decided_at),
        market: market.to_owned(),
        currency: currency.to_owned(),
        customer_type: TYPES[number % TYPES.len()].to_owned(),
        blocking: false,
    };
    let decision = if decided { plan::Decision::By(Verdict::complete()) } else { plan::Decision::Never };
    let silent = number % 50 == 49;
    Entry::new(request, &plan::Plan { decision, silent, ..plan::Plan::default() }, true)
}

fn ask(divergences: Divergences, total: usize) -> Ask {
    let until = start() + TimeDelta::minutes(i64::try_from(total).unwrap() + 12);
    Ask {
        divergences,
        recon_window: TimeDelta::minutes(10),
        charge_window: TimeDelta::minutes(10),
        ..Ask::clean(start(), until)
    }
}

fn quota(total: usize, seed: u64) -> Books {
    write(&entries(total), seed, &ask(Divergences::Quota, total))
}

/// The second file of charges over the period of [`quota`].
fn overlap(total: usize, seed: u64) -> Books {
    let first = ask(Divergences::Quota, total);
    write(&entries(total), seed, &Ask { again: true, as_of: first.as_of + TimeDelta::milliseconds(1), ..first })
}

/// Records of a file, read with a reader of the test's own.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(field.is_empty() && record.is_empty() && !quoted, "the file does not end with a record");
    records
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

#[test]
fn both_files_have_their_form_and_the_trailer_counts_and_sums_what_is_written() {
    for (text, columns) in [(quota(200, 1).register, 10), (quota(200, 1).charges, 16)] {
        let records = records(&text);
        let (header, rows, trailer) = (&records[0], &records[2..records.len() - 1], records.last().unwrap());
        assert_eq!((header.len(), &*header[0], &*header[3]), (7, "HEADER", "1"));
        assert!(records[1..records.len() - 1].iter().all(|record| record.len() == columns));
        assert_eq!((&*trailer[0], &*trailer[1]), ("TRAILER", &*rows.len().to_string()));
        if columns == 16 {
            let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
            for row in rows.iter().filter(|row| row[1] != "settlement") {
                *sums.entry(&row[8]).or_default() += decimal(&row[6]);
            }
            let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{currency}={sum:.2}")).collect();
            assert_eq!(trailer[2], sums.join(";"));
        }
    }
}

#[test]
fn settlements_name_all_lines_and_their_sum() {
    let total = 200;
    let books = write(&entries(total), 1, &ask(Divergences::None, total));
    let records = records(&books.charges);
    let rows = &records[2..records.len() - 1];
    let settlements: Vec<_> = rows.iter().filter(|row| row[1] == "settlement").collect();
    assert!(settlements.len() > MARKETS.len());
    for settlement in settlements {
        let lines: Vec<_> = rows.iter().filter(|row| row[1] != "settlement" && row[12] == settlement[0]).collect();
        let sum = |column: usize| lines.iter().map(|row| decimal(&row[column])).sum::<Decimal>();
        assert_eq!(settlement[3], lines.len().to_string());
        assert_eq!((decimal(&settlement[6]), decimal(&settlement[7])), (sum(6), sum(7)));
        assert!(lines.iter().all(|row| row[8] == settlement[8]), "two currencies in one settlement");
    }
}

#[test]
fn clean_files_expect_only_what_the_plans_of_the_openings_made() {
    let total = 200;
    let plan = write(&entries(total), 1, &ask(Divergences::None, total)).plan;
    let kinds: BTreeMap<Kind, usize> = plan.divergences.iter().fold(BTreeMap::new(), |mut kinds, it| {
        *kinds.entry(it.kind).or_default() += 1;
        kinds
    });
    assert_eq!(kinds, BTreeMap::from([(Kind::MissedAnswer, 4), (Kind::OnHold, 1)]));
}

#[test]
fn the_same_seed_writes_the_same_bytes_and_another_seed_others() {
    assert_eq!(quota(200, 7), quota(200, 7));
    assert_ne!(quota(200, 7).register, quota(200, 8).register);
    assert_ne!(quota(200, 7).charges, quota(200, 8).charges);
}

#[test]
fn every_kind_is_dealt_once_per_subject_and_no_file_is_held() {
    for (total, seed) in (0..30).map(|seed| (200, seed)).chain([(2_000, 1)]) {
        let books = quota(total, seed);
        let many = write(&entries(total), seed, &ask(Divergences::Many, total));
        let all: Vec<Expected> =
            [&books, &overlap(total, seed), &many].into_iter().flat_map(|it| it.plan.divergences.clone()).collect();
        let dealt: BTreeSet<Kind> = all.iter().map(|it| it.kind).collect();
        let missing: Vec<Kind> = divergence::RULES.iter().map(|it| it.kind).filter(|it| !dealt.contains(it)).collect();
        let expected = if total == 200 { vec![Kind::SettlementCount, Kind::SettlementTax] } else { Vec::new() };
        assert_eq!(missing, expected, "{total} requests, seed {seed}");
        let subjects: Vec<_> = all.iter().filter_map(|it| it.reference.clone()).collect();
        assert_eq!(subjects.iter().collect::<BTreeSet<_>>().len(), subjects.len(), "two divergences of one opening");
        for (file, rows) in &books.plan.rows {
            let weight = |it: &&Expected| it.file == *file;
            let cases: usize = books.plan.divergences.iter().filter(weight).map(|it| it.kind.rule().weight).sum();
            assert!(cases <= 20.max(rows / 20), "{cases} of {rows} rows of {file:?} are cases");
        }
        let classes: BTreeSet<&str> = all.iter().map(|it| it.class).collect();
        assert_eq!(classes.len(), 26, "{classes:?}");
    }
}

#[test]
fn the_lines_of_a_divergence_are_those_of_its_rows() {
    let books = quota(200, 3);
    for expected in books.plan.divergences {
        let text = match expected.file {
            File::Register => &books.register,
            File::Charges => &books.charges,
            File::Bank => &books.bank,
        };
        let lines: Vec<&str> = text.lines().collect();
        for line in &expected.lines {
            let of_it = expected.reference.as_ref().is_some_and(|it| lines[line - 1].contains(&**it));
            let of_it = of_it || (expected.file == File::Bank && lines[line - 1].starts_with('<'));
            assert!(of_it || lines[line - 1].starts_with(&*expected.key), "{expected:?}: {}", lines[line - 1]);
        }
        assert_eq!(expected.lines.is_empty(), expected.kind.is_absence(), "{expected:?}");
        let absent =
            if expected.file == File::Register { expected.key } else { format!("account_opened,1,{}", expected.key) };
        assert!(!expected.kind.is_absence() || !text.contains(&absent), "{absent} is there");
    }
}

#[test]
fn a_cut_file_has_no_trailer_and_expects_no_absence() {
    let total = 200;
    let books = write(&entries(total), 1, &Ask { cut: true, ..ask(Divergences::Quota, total) });
    assert!(!books.register.contains("TRAILER") && !books.charges.contains("TRAILER"));
    assert!(!books.plan.complete && books.plan.divergences.iter().all(|it| !it.kind.is_absence()));
    let whole = quota(total, 1);
    assert!(books.bank.len() < whole.bank.len() && !books.bank.contains("</Document>"));
    assert!(whole.register.starts_with(&books.register) && whole.charges.starts_with(&books.charges));
}

#[test]
fn a_revised_file_has_the_same_divergences_but_for_amounts_and_time() {
    let total = 200;
    let first = ask(Divergences::Quota, total);
    let later = first.as_of + TimeDelta::hours(1);
    let revised = Ask { as_of: later, until: later, revised: true, ..first.clone() };
    let (first, revised) = (write(&entries(total), 1, &first).plan, write(&entries(total), 1, &revised).plan);
    // The statement has an account for each currency of the charges. Revised charges have fewer currencies, so fewer rents too.
    let keys = |plan: Plan, which: &dyn Fn(&Expected) -> bool| -> Vec<(Kind, String)> {
        let lasting = plan.divergences.into_iter().filter(|it| it.kind != Kind::Unrelated);
        lasting.filter(which).map(|it| (it.kind, it.key)).collect()
    };
    assert_eq!(keys(first, &|it| !it.kind.is_corrected()), keys(revised, &|_| true));
}

#[test]
fn a_file_with_many_divergences_expects_that_it_is_held_unless_it_is_small() {
    let many = |total| write(&entries(total), 1, &ask(Divergences::Many, total));
    let different = |total: usize, books: &Books| {
        let right = write(&entries(total), 1, &ask(Divergences::None, total)).register;
        books.register.lines().zip(right.lines()).filter(|(other, right)| other != right).count()
    };
    let books = many(200);
    assert!(different(200, &books) > 100);
    let classes: Vec<&str> = books.plan.divergences.iter().map(|it| it.class).collect();
    assert_eq!(classes, ["TOO_MANY_DIFFERENCES"]);
    let (total, books) = (20, many(20));
    let other_ibans = books.plan.divergences.iter().filter(|it| it.kind == Kind::OtherIban).count();
    assert_eq!(
        (other_ibans, books.plan.divergences.iter().any(|it| it.kind == Kind::TooMany)),
        (different(total, &books), false)
    );
}

#[test]
fn a_second_file_repeats_lines_of_the_first_and_gives_others_another_text() {
    let (first, second) = (quota(2_000, 1), overlap(2_000, 1));
    let first: BTreeSet<&str> = first.charges.lines().collect();
    let lines: Vec<&str> = second.charges.lines().collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for expected in &second.plan.divergences {
        let line = lines[expected.lines[0] - 1];
        assert_eq!(first.contains(line), expected.class == "REPEATED", "{line}");
        let id = format!("{},", expected.key);
        assert!(line.starts_with(&id) && first.iter().any(|it| it.starts_with(&id)), "{line}");
        *counts.entry(expected.class).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("REPEATED", 4), ("REVISED", 4)]));
    assert_eq!(second.plan.rows[&File::Charges], second.plan.divergences.len(), "no other row");
}

#[test]
fn the_bank_bills_what_its_list_says() {
    assert!(PRICE_LIST.lines().skip(1).all(|line| prices::rows_of(line) == 1), "a row that the bank cannot read");
    let books = write(&entries(200), 1, &ask(Divergences::None, 200));
    let records = records(&books.charges);
    let billed = |code: &str, market: &str| -> BTreeSet<String> {
        let row = |it: &&Vec<String>| it[2] == code && it[15].ends_with(market) && it[3] == "1";
        let shown = |it: &Vec<String>| [&*it[6], &it[7], &it[8], &it[9], &it[10], &it[11]].join(" ");
        records.iter().filter(row).map(shown).collect()
    };
    let of = |rows: &[&str]| rows.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
    // Half a cent is rounded up: 0.105 is 0.11.
    assert_eq!(billed("request_accepted", "BE"), of(&["0.61 0.11 EUR   "]));
    assert_eq!(billed("account_opened", "BE"), of(&["6.05 1.05 EUR   "]));
    // Companies by market and type; the market goes before the type of individuals.
    assert_eq!(billed("account_opened", "DE"), of(&["6.55 1.05 EUR   "]));
    assert_eq!(billed("account_opened", "SE"), of(&["53.70 9.32 SEK 4.78 EUR 11.2345"]));
}

#[test]
fn a_statement_adds_up_and_pays_each_settlement_once() {
    let books = write(&entries(200), 1, &ask(Divergences::None, 200));
    let amount = |line: &str| {
        let text = line.split("<Amt Ccy=\"").nth(1).unwrap().split(['>', '<']).nth(1).unwrap().to_owned();
        decimal(&text) * if line.contains("<CdtDbtInd>DBIT") { Decimal::NEGATIVE_ONE } else { Decimal::ONE }
    };
    let (mut balance, mut payments) = (Decimal::ZERO, 0);
    for line in books.bank.lines() {
        if line.contains("OPBD") {
            balance = amount(line);
        } else if line.starts_with("<Ntry>") {
            balance += amount(line);
        } else if line.contains("</Stmt>") {
            assert_eq!(balance, Decimal::ZERO, "the closing balance is taken off");
        }
        if line.contains("CLBD") {
            balance -= amount(line);
        }
        payments += usize::from(line.contains("stl_"));
    }
    let records = records(&books.charges);
    assert_eq!(payments, records.iter().filter(|it| it.get(1).is_some_and(|kind| kind == "settlement")).count());
}
