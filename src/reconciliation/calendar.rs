//! Pure: which days the reports of each kind cover, and which of those that should be here are missing.
//!
//! No setting says how often a provider sends its files: the last one of a kind shows it by the length of its period. A day is
//! missing when the next file of that length should have come, and none is about the day.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate, TimeDelta};
use uuid::Uuid;

use super::resource::ReportState;
use crate::clock::Time;
use crate::db::reports::Covering;
use crate::domain::text::string_enum;

string_enum!(
    /// The state of a day by the reports of a kind; of several, the first that applies.
    DayState {
        /// A report waits for an operator's decision.
        Held = "held",
        Finished = "finished",
        /// Being read.
        Reading = "reading",
        /// Only a part of a file is here: it says nothing about what is absent.
        Incomplete = "incomplete",
        Failed = "failed",
        /// No report is about the day, and one should be.
        Missing = "missing",
    }
);

impl DayState {
    fn of(report: &Covering) -> Option<Self> {
        // A pull is never complete, and nothing is missing from it.
        let is_whole = report.complete || report.format == crate::report_files::PULL;
        Some(match report.state.parse().ok()? {
            ReportState::Held => Self::Held,
            ReportState::Received | ReportState::Reading => Self::Reading,
            ReportState::Finished if is_whole => Self::Finished,
            ReportState::Finished => Self::Incomplete,
            ReportState::Failed => Self::Failed,
            ReportState::Discarded => return None,
        })
    }
}

/// The days of a calendar, and the state of each in each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Provider and kind.
    pub columns: Vec<(String, String)>,
    /// Newest first.
    pub days: Vec<Day>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    pub date: NaiveDate,
    /// A cell per column. None: no report is expected yet.
    pub cells: Vec<Option<Cell>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub state: DayState,
    /// The report that says so.
    pub report: Option<Uuid>,
}

impl Calendar {
    /// The last `days` days up to `now`. A report may come `window` late.
    #[must_use]
    pub fn new(reports: &[Covering], now: Time, days: u64, window: TimeDelta) -> Self {
        let mut columns: BTreeMap<(String, String), Vec<&Covering>> = BTreeMap::new();
        for report in reports {
            columns.entry((report.provider.clone(), report.kind.clone())).or_default().push(report);
        }
        let today = now.date_naive();
        let dates = (0..days).filter_map(|back| today.checked_sub_days(Days::new(back)));
        let cells = |date| columns.values().map(|reports| cell(reports, date, now, window)).collect();
        let days = dates.map(|date| Day { date, cells: cells(date) }).collect();
        Self { days, columns: columns.into_keys().collect() }
    }
}

fn cell(reports: &[&Covering], date: NaiveDate, now: Time, window: TimeDelta) -> Option<Cell> {
    let begins = date.and_time(chrono::NaiveTime::MIN).and_utc();
    let ends = begins + TimeDelta::days(1);
    let about = reports.iter().filter(|it| it.from < ends && it.until > begins);
    let said = about.filter_map(|it| Some(Cell { state: DayState::of(it)?, report: Some(it.id) }));
    said.min_by_key(|it| it.state).or_else(|| {
        let first = reports.iter().map(|it| it.from).min()?;
        let last = reports.iter().max_by_key(|it| it.until)?;
        let is_missing = first < ends && due_by(last, begins) + window <= now;
        is_missing.then_some(Cell { state: DayState::Missing, report: None })
    })
}

/// The end of the period that a moment belongs to, if reports go on like the last one.
fn due_by(last: &Covering, moment: Time) -> Time {
    let length = (last.until - last.from).num_seconds().max(1);
    let behind = (moment - last.until).num_seconds();
    let periods = if behind < 0 { 0 } else { behind / length + 1 };
    last.until + TimeDelta::seconds(periods.saturating_mul(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn report(kind: &str, state: &str, from: &str, until: &str) -> Covering {
        let (from, until) = (time(&format!("{from}T00:00:00Z")), time(&format!("{until}T00:00:00Z")));
        Covering {
            id: Uuid::from_u128(1),
            provider: "somebank".to_owned(),
            kind: kind.to_owned(),
            state: state.to_owned(),
            complete: true,
            format: "somebank".to_owned(),
            from,
            until,
        }
    }

    /// The words of a column, newest first.
    fn words(reports: &[Covering], now: &str) -> Vec<&'static str> {
        let calendar = Calendar::new(reports, time(now), 5, TimeDelta::days(1));
        let word = |it: &Day| it.cells[0].map_or("-", |it| it.state.as_str());
        calendar.days.iter().map(word).collect()
    }

    #[test]
    fn a_day_is_missing_only_when_its_report_should_have_come() {
        let daily = [report("register", "finished", "2026-01-02", "2026-01-03")];
        assert_eq!(words(&daily, "2026-01-05T12:00:00Z"), ["-", "-", "missing", "finished", "-"]);
        assert_eq!(words(&daily, "2026-01-04T23:59:59Z"), ["-", "-", "finished", "-", "-"]);
        let monthly = [report("charges", "finished", "2025-12-01", "2026-01-01")];
        assert_eq!(words(&monthly, "2026-01-03T00:00:00Z"), ["-", "-", "-", "finished", "finished"]);
        // The file of January is due in February, that of February is not.
        assert_eq!(words(&monthly, "2026-02-03T00:00:00Z"), ["-", "-", "-", "missing", "missing"]);
    }

    #[test]
    fn of_several_reports_about_a_day_that_counts_which_a_person_decides_else_the_best() {
        let about = |states: &[&str]| -> Vec<Covering> {
            states.iter().map(|it| report("register", it, "2026-01-02", "2026-01-03")).collect()
        };
        for (states, word) in [
            (&["failed", "finished"][..], "finished"),
            (&["finished", "held"], "held"),
            (&["failed", "reading"], "reading"),
            (&["failed"], "failed"),
            (&["received"], "reading"),
        ] {
            assert_eq!(words(&about(states), "2026-01-02T12:00:00Z")[0], word, "{states:?}");
        }
        let cut = Covering { complete: false, ..about(&["finished"]).remove(0) };
        assert_eq!(words(std::slice::from_ref(&cut), "2026-01-02T12:00:00Z")[0], "incomplete");
        let pull = Covering { format: "pull".to_owned(), ..cut };
        assert_eq!(words(&[pull], "2026-01-02T12:00:00Z")[0], "finished");
    }
}
