//! Settlements beside the entries that name them, as tables; and statements beside each other.

use chrono::NaiveDate;

use super::chain::{Outcome, Version};
use super::*;
use crate::reconciliation::classify::Act;
use crate::report_files::row::{Aspect, Balance, Flaw, Statement};

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// `300.00 EUR, 5.00 SEK`, booked on 1 February
fn settlement(dues: &str) -> Settlement {
    let due = |text: &str| {
        let (amount, currency) = text.trim().split_once(' ').unwrap();
        Due { currency: currency.to_owned(), amount: amount.parse().unwrap(), said_at: time("2026-02-01T00:00:00Z") }
    };
    Settlement { id: "stl_9".to_owned(), dues: dues.split(',').filter(|it| !it.is_empty()).map(due).collect() }
}

/// `key 300.00 EUR day`, of February; `key …!` in a statement that does not count, `key …&` with a second name, `key …R` reversed
fn entry(text: &str) -> Entry {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let has = |mark: &str| parts.last().is_some_and(|it| it.ends_with(mark));
    let names: &[&str] = if has("&") { &["stl_8", "stl_9"] } else { &["stl_9"] };
    Entry {
        key: parts[0].to_owned(),
        amount: parts[1].parse().unwrap(),
        currency: parts[2].to_owned(),
        booked_on: NaiveDate::from_ymd_opt(2026, 2, parts[3].trim_end_matches(['!', '&', 'R']).parse().unwrap()),
        is_reversal: has("R"),
        names: names.iter().map(|it| (*it).to_owned()).collect(),
        received_at: time("2026-02-04T00:00:00Z"),
        is_sound: !has("!"),
        statement_id: "S1".to_owned(),
        account: "BE68…7034".to_owned(),
        servicer_reference: None,
    }
}

/// The classes of the entries, what is paid, and whether the settlement is found unpaid.
fn judged(dues: &str, entries: &[&str], now: &str) -> String {
    let entries: Vec<Entry> = entries.iter().map(|it| entry(it)).collect();
    let rules = Rules { window: 5 * 24 * 60 * 60, now: time(now), has_statements: true };
    let judged = judge(&settlement(dues), &entries, &rules);
    let act = |it: &Finding| match it.act {
        Act::Case => " case",
        Act::Wait { .. } => " wait",
        _ => " ?",
    };
    let of_entry =
        |it: &JudgedEntry| format!("{} {}{}", it.key, it.rule, it.finding.as_ref().map(act).unwrap_or_default());
    let mut told: Vec<String> = judged.entries.iter().map(of_entry).collect();
    told.extend(judged.payments.iter().map(|it| format!("{} {} by {}", it.amount, it.currency, it.entry)));
    told.extend(judged.unpaid.iter().map(|it| format!("unpaid{}", act(it))));
    told.join("; ")
}

const EARLY: &str = "2026-02-05T00:00:00Z";
const LATE: &str = "2026-02-10T00:00:00Z";

#[test]
fn a_settlement_is_paid_once_by_the_first_entry_with_its_amount() {
    for (dues, entries, now, expected) in [
        ("300.00 EUR", &["a 300.00 EUR 3"][..], EARLY, "a pays_its_settlement; 300.00 EUR by a"),
        ("300.00 EUR", &["a 300 EUR 3R"], EARLY, "a pays_its_settlement; 300.00 EUR by a"),
        ("-5.00 EUR", &["a -5.00 EUR 3"], EARLY, "a pays_its_settlement; -5.00 EUR by a"),
        ("-5.00 EUR", &["a -5.00 EUR 3R"], EARLY, "a pays_its_settlement; -5.00 EUR by a"),
        ("300.00 EUR", &["a 299.99 EUR 3"], LATE, "a another_amount case"),
        ("300.00 EUR", &["a 300.00 SEK 3"], LATE, "a another_currency case"),
        ("300.00 EUR", &["a -300.00 EUR 3"], LATE, "a gives_the_payment_back case"),
        (
            "300.00 EUR",
            &["b 300.00 EUR 4", "a 300.00 EUR 3"],
            LATE,
            "b second_payment case; a pays_its_settlement; 300.00 EUR by a",
        ),
        (
            "300.00 EUR",
            &["a 300.00 EUR 3", "b -300.00 EUR 4R"],
            LATE,
            "a pays_its_settlement; b gives_the_payment_back case; 300.00 EUR by a",
        ),
        (
            "300.00 EUR",
            &["a 299.00 EUR 3", "b 300.00 EUR 4"],
            LATE,
            "a second_payment case; b pays_its_settlement; 300.00 EUR by b",
        ),
        ("300.00 EUR", &["a 300.00 EUR 3&"], LATE, "a names_several_settlements case"),
        (
            "300.00 EUR, 5.00 SEK",
            &["a 300.00 EUR 3", "b 5.00 SEK 3"],
            LATE,
            "a pays_its_settlement; b pays_its_settlement; 300.00 EUR by a; 5.00 SEK by b",
        ),
        ("", &["a 300.00 EUR 3"], EARLY, "a settlement_is_still_to_come wait"),
        ("", &["a 300.00 EUR 3"], LATE, "a settlement_never_came case"),
        ("300.00 EUR", &[], EARLY, ""),
        ("300.00 EUR", &[], LATE, "unpaid case"),
        ("0.00 EUR", &[], LATE, ""),
        ("0.00 EUR", &["a 0.00 EUR 3"], LATE, "a nothing_to_pay"),
        ("300.00 EUR", &["a 300.00 EUR 3!"], LATE, ""),
        ("300.00 EUR", &["a 300.00 EUR 3!", "b 300.00 EUR 4"], LATE, "b pays_its_settlement; 300.00 EUR by b"),
    ] {
        assert_eq!(judged(dues, entries, now), expected, "{dues}: {entries:?}");
    }
}

#[test]
fn an_absent_payment_says_nothing_without_statements() {
    let rules = Rules { window: 60, now: time(LATE), has_statements: true };
    let without_digit = Settlement { id: "fees".to_owned(), ..settlement("300.00 EUR") };
    assert_eq!(judge(&without_digit, &[], &rules).unpaid, None, "no text is searched for it");
    let rules = Rules { has_statements: false, ..rules };
    let judged = judge(&settlement("300.00 EUR"), &[], &rules);
    assert_eq!((judged.unpaid, judged.is_open, judged.look_at), (None, true, None));
    let rules = Rules { window: 5 * 24 * 60 * 60, now: time(EARLY), has_statements: false };
    assert_eq!(judge(&settlement("300.00 EUR"), &[], &rules).look_at, Some(time("2026-02-06T00:00:00Z")));
}

#[test]
fn an_entry_is_judged_again_from_its_basis() {
    let texts = ["a 300.00 EUR 3", "b 300.00 EUR 4", "c 1.00 EUR 2", "d 300.00 EUR 5"];
    let (settlement, entries) = (settlement("300.00 EUR"), texts.map(entry));
    let rules = Rules { window: 60, now: time(LATE), has_statements: true };
    let judged = judge(&settlement, &entries, &rules);
    let basis = Basis::of("b", &settlement, &entries, (&judged.payments, rules));
    assert_eq!(basis.entries.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let again: Basis = serde_json::from_value(serde_json::to_value(&basis).unwrap()).unwrap();
    assert_eq!(again, basis);
    assert_eq!(again.judge().map(|it| it.rule), Some("second_payment"));
}

/// `number opening closing day`: `-` is none, `n7` a notification, `1/2` the second page; `!` does not add up, `~` is of an incomplete
/// file.
fn version(text: &str) -> Version {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let number = parts[0].trim_start_matches('n').split('/').next().unwrap();
    let day = parts.get(3).map(|it| it.trim_end_matches(['!', '~']));
    let date = day.filter(|it| !it.is_empty()).map(|it| it.parse().unwrap());
    let balance = |text: &str| {
        let (amount, currency) = (text.trim_end_matches(['!', '~']).parse().ok()?, "EUR".to_owned());
        Some(Balance { amount, currency, date })
    };
    let flaw = Flaw {
        aspect: Aspect::Entries,
        line: 1,
        byte: 0,
        expected: "1".to_owned(),
        found: "2".to_owned(),
        currency: None,
    };
    let statement = Statement {
        line: 1,
        byte: 0,
        number_in_file: 1,
        id: format!("S{number}"),
        account: "BE68…7034".to_owned(),
        account_key: "key".to_owned(),
        number: number.parse().ok(),
        page: parts[0].split_once('/').map(|it| it.1.parse().unwrap()),
        is_notification: parts[0].starts_with('n'),
        made_at: None,
        opening: balance(parts[1]),
        closing: balance(parts[2]),
        movements: Vec::new(),
        rows: 0,
        flaws: if text.contains('!') { vec![flaw] } else { Vec::new() },
    };
    Version { statement, is_complete: !text.contains('~'), as_of: time(EARLY) }
}

#[test]
fn statements_of_an_account_follow_on_from_each_other() {
    use Outcome::{BalanceMismatch as Balance, Sound, StatementGap as Gap};
    for (statements, expected) in [
        (&["1 0 5", "2 5 9", "3 9 1"][..], &[Sound, Sound, Sound][..]),
        (&["1 0 5", "3 9 1"], &[Sound, Gap]),
        (&["3 9 1", "1 0 5"], &[Gap, Sound]),
        (&["7 9 1"], &[Sound]),
        (&["1 0 5", "2 6 9"], &[Sound, Gap]),
        (&["1 0 5!", "2 5 9"], &[Balance, Sound]),
        (&["1 0 5!", "3 9 9"], &[Balance, Gap]),
        (&["- 0 5 2026-02-01", "- 5 9 2026-02-02", "- 8 9 2026-02-03"], &[Sound, Sound, Gap]),
        // A new year begins the count again.
        (&["2 4 5 2026-12-31", "1 5 6 2027-01-02", "2 6 7 2027-01-03"], &[Sound, Sound, Sound]),
        (&["2 4 5 2026-12-31", "1 5 6 2027-01-02", "3 8 9 2027-01-04"], &[Sound, Sound, Gap]),
        // Pages of one statement.
        (&["1/1 0 5", "1/2 5 9", "2/1 9 9"], &[Sound, Sound, Sound]),
        (&["1/1 0 5", "1/3 7 9"], &[Sound, Gap]),
        // A statement of several days beside those of the days.
        (&["- 0 9 2026-02-01", "- 0 5 2026-02-01"], &[Sound, Sound]),
        // Notifications have no balances, and numbers of their own.
        (&["1 0 5", "n7 - -", "n9 - -", "2 5 6"], &[Sound, Sound, Sound, Sound]),
        // An incomplete file says nothing about sums and gaps.
        (&["1 0 5", "3 9 1~"], &[Sound, Sound]),
        (&["1 0 5!~"], &[Sound]),
    ] {
        let versions: Vec<Version> = statements.iter().map(|it| version(it)).collect();
        let outcomes: Vec<Outcome> = chain::judge(&versions).into_iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, expected, "{statements:?}");
    }
}

#[test]
fn the_newest_version_of_a_statement_counts() {
    let (flawed, right) = (version("1 0 5!"), version("1 0 5"));
    let newer = |it: &Version| Version { as_of: time(LATE), ..it.clone() };
    let outcomes = |versions: &[Version]| -> Vec<(Outcome, bool, bool)> {
        let judged = chain::judge(versions);
        judged.into_iter().map(|it| (it.outcome, it.is_newest, it.finding.is_some())).collect()
    };
    let corrected = [(Outcome::BalanceMismatch, false, false), (Outcome::Sound, true, false)];
    assert_eq!(outcomes(&[flawed.clone(), newer(&right)]), corrected);
    let spoiled = [(Outcome::BalanceMismatch, false, false), (Outcome::BalanceMismatch, true, true)];
    assert_eq!(outcomes(&[right.clone(), newer(&flawed)]), spoiled);
    assert_eq!(
        outcomes(&[right.clone(), newer(&right)]),
        [(Outcome::Sound, false, false), (Outcome::Sound, true, false)]
    );
    let two = chain::judge(&[version("1 0 5"), version("3 9 1")]);
    let finding = two[1].finding.as_ref().unwrap();
    assert_eq!(finding.suggested.because, ["a statement is missing before this one"]);
    assert_eq!(
        (finding.differences[0].ours.as_deref(), finding.differences[0].theirs.as_deref()),
        (Some("2"), Some("3"))
    );
}
