//! Values as a profile says they are written.

use chrono::{
    DateTime, Datelike as _, DurationRound as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc,
};
use rust_decimal::Decimal;

use super::Profile;
use crate::clock::Time;
use crate::domain::Verdict;
use crate::report_files::date;
use crate::report_files::error::{Code, shown};
use crate::report_files::fields::{Field, Style};
use crate::report_files::number::{NumberFormat, Refusal, negated};
use crate::report_files::row::ChargeType;

impl Style for Profile {
    fn number(&self) -> NumberFormat {
        self.number
    }

    fn time(&self, text: &str) -> Result<Time, Refusal> {
        if self.times.is_empty() {
            return date::time(text);
        }
        let local = match one_reading(text, &self.times, Code::NotATime, moment)? {
            Moment::Zoned(time) => return Ok(time),
            Moment::Local(local) => local,
        };
        let found = |what: &str| format!("found {}, which {what} in {}", shown(text), self.zone);
        let expected = "expected a time that a clock shows once";
        match self.zone.from_local_datetime(&local) {
            chrono::LocalResult::Single(time) => Ok(time.with_timezone(&Utc)),
            chrono::LocalResult::Ambiguous(..) => {
                Err((Code::AmbiguousDate, format!("{}; {expected}", found("comes twice"))))
            }
            chrono::LocalResult::None => Err((Code::NotATime, format!("{}; {expected}", found("does not exist")))),
        }
    }

    fn date(&self, text: &str) -> Result<NaiveDate, Refusal> {
        if self.dates.is_empty() {
            return date::date(text);
        }
        one_reading(text, &self.dates, Code::NotADate, day)
    }

    fn verdict(&self, word: &str) -> Verdict {
        self.statuses.get(word).copied().unwrap_or(Verdict::Unknown)
    }

    fn charge_type(&self, word: &str) -> ChargeType {
        self.types.get(word).copied().unwrap_or(ChargeType::Unknown)
    }

    fn signed(&self, amount: Decimal) -> Decimal {
        if self.is_reversed { negated(amount) } else { amount }
    }

    fn default(&self, field: Field) -> Option<&str> {
        self.defaults.get(&field).map(String::as_str)
    }
}

/// The value that every format which can read the text agrees on.
fn one_reading<T: PartialEq>(
    text: &str,
    formats: &[String],
    code: Code,
    read: impl Fn(&str, &str) -> Option<T>,
) -> Result<T, Refusal> {
    let expected = format!("expected the format {}", formats.join(" or "));
    let mut readings = formats.iter().filter_map(|format| read(text, format));
    let first = readings.next().ok_or_else(|| (code, format!("found {}; {expected}", shown(text))))?;
    if readings.all(|it| it == first) {
        return Ok(first);
    }
    Err((Code::AmbiguousDate, format!("found {}, which can be read as two dates; {expected}", shown(text))))
}

/// A year of two digits is a year of the first century to the parser.
fn is_plausible(day: NaiveDate) -> bool {
    (1900..3000).contains(&day.year())
}

fn day(text: &str, format: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, format).ok().filter(|it| is_plausible(*it))
}

/// A time of a file.
#[derive(PartialEq)]
enum Moment {
    /// With its own zone, such as `+01:00`.
    Zoned(Time),
    /// In the profile's zone.
    Local(NaiveDateTime),
}

/// A format without a time of day gives the first moment of the day.
fn moment(text: &str, format: &str) -> Option<Moment> {
    // Postgres holds microseconds.
    let micro = TimeDelta::microseconds(1);
    // The zone comes first: a local time is read from the same text, and its zone passed over.
    if let Ok(time) = DateTime::parse_from_str(text, format) {
        let time = time.duration_trunc(micro).ok().filter(|it| is_plausible(it.date_naive()))?;
        return Some(Moment::Zoned(time.with_timezone(&Utc)));
    }
    let time = NaiveDateTime::parse_from_str(text, format).ok();
    let time = time.or_else(|| day(text, format).map(|it| it.and_time(NaiveTime::MIN)))?;
    time.duration_trunc(micro).ok().filter(|it| is_plausible(it.date())).map(Moment::Local)
}
