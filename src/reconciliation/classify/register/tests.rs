//! Rows of a register against the literal tables of `register.md`.

use super::*;
use crate::clock::Time;
use crate::domain::bank::made_up_iban;
use crate::report_files::framed::PULLED;

const TABLES: &str = include_str!("register.md");
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// The cells of the rows of a section's table, after the names of its columns.
fn table(section: &str) -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
    let section = TABLES.split("\n## ").find(|it| it.starts_with(section)).unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let mut rows = lines.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    (rows.next().unwrap(), rows.collect())
}

fn states() -> Vec<&'static str> {
    StateName::ALL.iter().map(|it| it.as_str()).collect()
}

fn as_of() -> Time {
    "2026-01-02T03:00:00Z".parse().unwrap()
}

fn times() -> Times {
    Times::new(as_of(), as_of() + TimeDelta::hours(1), WINDOW)
}

fn opening(n: u128, state: StateName) -> OurOpening {
    let has_account = state.status() == Status::Succeeded;
    OurOpening {
        id: Uuid::from_u128(n),
        state,
        provider_reference: Some(format!("aor_{n}")),
        market: "BE".to_owned(),
        currency: "EUR".to_owned(),
        iban: has_account.then(|| made_up_iban("BE", n).as_str().to_owned()),
        bic: has_account.then(|| "NEXUBEBB".to_owned()),
        ended_at: (state.status() != Status::InProgress).then(|| as_of() - WINDOW * 2),
        erased: false,
    }
}

/// The bank's row about opening 1.
fn row(status: &str) -> RegisterRow {
    let has_account = status == "COMPLETED";
    RegisterRow {
        provider_reference: "aor_1".to_owned(),
        reference: Some(Uuid::from_u128(1).to_string()),
        status: status.to_owned(),
        verdict: (PULLED.verdict)(status),
        iban: has_account.then(|| made_up_iban("BE", 1).as_str().to_owned()),
        bic: has_account.then(|| "NEXUBEBB".to_owned()),
        rejection_reason: None,
        market: Some("BE".to_owned()),
        currency: Some("EUR".to_owned()),
        created_at: None,
        decided_at: None,
    }
}

/// The findings as the tables write them.
fn shown(classified: &Classified) -> String {
    let act = |act: &Act| match act {
        Act::Fact => "fact",
        Act::Poll => "poll",
        Act::Case => "case",
        Act::Settle => "settle",
        Act::Wait { .. } => "wait",
    };
    let findings: Vec<String> = classified.findings.iter().map(|it| format!("{} {}", it.class, act(&it.act))).collect();
    if findings.is_empty() { classified.class.to_string() } else { findings.join(", ") }
}

#[test]
fn every_row_means_in_every_state_what_the_table_says() {
    let (columns, rows) = table("Answers");
    assert_eq!(columns[1..], states());
    for cells in rows {
        let (status, particular) = cells[0].split_once(", ").unwrap_or((cells[0], ""));
        for (state, cell) in StateName::ALL.iter().copied().zip(&cells[1..]) {
            let (mut opening, mut row) = (opening(1, state), row(status));
            let mut ours = Ours::default();
            match particular {
                "" => {}
                "ours ended just now" => {
                    opening.ended_at = opening.ended_at.map(|_| as_of() - WINDOW + TimeDelta::seconds(1));
                }
                "another row of the file is final" => ours.said_later = true,
                "a newer file has the request" => ours.newer = true,
                "without an account" => (row.iban, row.bic) = (None, None),
                "another IBAN" => row.iban = Some(made_up_iban("BE", 2).as_str().to_owned()),
                "another bank" => row.bic = Some("OTHRBEBB".to_owned()),
                "another bank and no IBAN" => (row.iban, row.bic) = (None, Some("OTHRBEBB".to_owned())),
                "another branch of the bank" => row.bic = Some("NEXUBEBBXXX".to_owned()),
                other => panic!("{other}"),
            }
            ours.by_tracking_id = Some(opening);
            assert_eq!(shown(&classify(&row, &ours, times())), *cell, "{} in {state}", cells[0]);
        }
    }
}

/// Where the window ends, a lost decision begins.
#[test]
fn a_row_that_is_behind_waits_until_the_window_is_over() {
    let mut held = opening(1, StateName::Completed);
    for (ended_at, class) in [
        (as_of() - WINDOW + TimeDelta::microseconds(1), Class::TimingMismatch),
        (as_of() - WINDOW, Class::StatusMismatch),
    ] {
        held.ended_at = Some(ended_at);
        let ours = Ours { by_tracking_id: Some(held.clone()), ..Ours::default() };
        assert_eq!(classify(&row("IN_PROGRESS"), &ours, times()).class, class);
    }
}

#[test]
fn a_row_is_compared_with_the_opening_that_it_names_as_the_table_says() {
    let (_, rows) = table("Names and attributes");
    let held = |name: &str| match name {
        "1" => Some(opening(1, StateName::Completed)),
        "2" => Some(opening(2, StateName::AwaitingProvider)),
        "3" => Some(OurOpening { provider_reference: None, ..opening(3, StateName::RequestingAccount) }),
        _ => None,
    };
    for cells in rows {
        let (by_tracking_id, by_reference) = (held(cells[0]), held(cells[1]));
        let mut row = row("COMPLETED");
        match cells[2].split_once(' ') {
            Some(("market", market)) => row.market = Some(market.to_owned()),
            Some(("currency", currency)) => row.currency = Some(currency.to_owned()),
            _ => assert_eq!(cells[2], "-"),
        }
        // As the matching gives it: the opening of the reference, where it is another one or the only one.
        let is_other = |it: &OurOpening| by_tracking_id.as_ref().is_none_or(|first| first.id != it.id);
        let by_reference = by_reference.filter(is_other);
        let ours = Ours { by_tracking_id, by_reference, ..Ours::default() };
        assert_eq!(shown(&classify(&row, &ours, times())), cells[3], "{cells:?}");
    }
}

#[test]
fn an_opening_that_no_row_names_is_asked_about_or_put_before_a_person() {
    let (columns, rows) = table("Absences");
    assert_eq!(columns, states());
    for (state, cell) in StateName::ALL.iter().copied().zip(&rows[0]) {
        let found = |is_second_time| {
            let finding = absent(Uuid::from_u128(1), state, "aor_1", is_second_time);
            shown(&Classified::found("absent", vec![finding]))
        };
        assert_eq!(found(false), *cell, "{state}");
        assert_eq!(found(true), "MISSING_EXTERNAL case", "{state}");
    }
}
