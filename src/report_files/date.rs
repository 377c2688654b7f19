//! Times and dates of report files: read in one way, or refused.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::error::{Code, shown};
use super::number::Refusal;
use crate::clock::Time;

/// RFC 3339 with up to nine digits of a second; those beyond microseconds are cut off, as Postgres cannot hold them.
pub fn time(text: &str) -> Result<Time, Refusal> {
    let expected = "expected a time with its zone, such as 2026-01-02T03:00:00Z";
    let read = |text: &str| {
        let (local, rest) = date_time(text)?;
        let shifted = local.checked_sub_signed(offset(rest)?)?;
        // A zone can shift a time out of the years that are written with four digits.
        (1..=9999).contains(&shifted.year()).then(|| shifted.and_utc())
    };
    read(text).ok_or_else(|| refused(Code::NotATime, text, expected))
}

/// A time without a zone, or with a zone that is left out of account: the date in a statement is the bank's own.
pub fn local_time(text: &str) -> Result<NaiveDateTime, Refusal> {
    let expected = "expected a time such as 2026-01-02T03:00:00";
    let read = date_time(text).filter(|(_, rest)| rest.is_empty() || offset(rest).is_some());
    read.map(|(local, _)| local).ok_or_else(|| refused(Code::NotATime, text, expected))
}

/// `2026-01-02`
pub fn date(text: &str) -> Result<NaiveDate, Refusal> {
    let read = day(text.as_bytes()).filter(|_| text.len() == 10);
    read.ok_or_else(|| refused(Code::NotADate, text, "expected a date such as 2026-01-02"))
}

/// A date with or without a zone, as XML writes it; the zone is left out of account as in [`local_time`].
pub fn local_date(text: &str) -> Result<NaiveDate, Refusal> {
    let has_zone = text.get(10..).is_some_and(|it| offset(it).is_some());
    date(if has_zone { &text[..10] } else { text })
}

/// In UTC, with as many digits of a second as are needed.
#[must_use]
pub fn written(time: Time) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn refused(code: Code, text: &str, expected: &str) -> Refusal {
    let code = if is_ambiguous(text) { Code::AmbiguousDate } else { code };
    let why = if code == Code::AmbiguousDate { ", which can be read as two dates" } else { "" };
    (code, format!("found {}{why}; {expected}", shown(text)))
}

/// Whether day, month and perhaps year could stand in two orders: `03/04/2026`, `01-02-26`.
fn is_ambiguous(text: &str) -> bool {
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split(['/', '.', '-']).collect();
    let [first, second, year] = parts[..] else { return false };
    let small = |it: &str| it.len() <= 2 && it.parse::<u8>().is_ok_and(|it| (1..=12).contains(&it));
    small(first) && small(second) && matches!(year.len(), 2 | 4) && year.bytes().all(|it| it.is_ascii_digit())
}

fn two(bytes: &[u8]) -> Option<u32> {
    match *bytes.first_chunk::<2>()? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    }
}

fn day(bytes: &[u8]) -> Option<NaiveDate> {
    let (century, year, month, day) = (two(bytes)?, two(&bytes[2..])?, bytes.get(5..7)?, bytes.get(8..10)?);
    let dashes = bytes[4] == b'-' && bytes[7] == b'-';
    let year = i32::try_from(century * 100 + year).ok().filter(|it| dashes && *it > 0)?;
    NaiveDate::from_ymd_opt(year, two(month)?, two(day)?)
}

/// Date and time at the beginning of a text, and the rest.
fn date_time(text: &str) -> Option<(NaiveDateTime, &str)> {
    let bytes = text.as_bytes();
    let date = day(bytes)?;
    let clock = bytes.get(10..19).filter(|it| matches!(it[0], b'T' | b't') && it[3] == b':' && it[6] == b':')?;
    let (hour, minute, second) = (two(&clock[1..])?, two(&clock[4..])?, two(&clock[7..])?);
    let (micros, length) = fraction(&bytes[19..])?;
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?;
    Some((date.and_time(time), text.get(19 + length..)?))
}

/// Microseconds, and the length of what they were read from.
fn fraction(bytes: &[u8]) -> Option<(u32, usize)> {
    let Some(digits) = bytes.strip_prefix(b".") else { return Some((0, 0)) };
    let count = digits.iter().take_while(|it| it.is_ascii_digit()).count();
    let value = |place: usize| digits.get(place).filter(|_| place < count).map_or(0, |it| u32::from(it - b'0'));
    let micros = (0..6).fold(0, |sum, place| sum * 10 + value(place));
    (1..=9).contains(&count).then_some((micros, count + 1))
}

/// East of UTC.
fn offset(zone: &str) -> Option<TimeDelta> {
    let bytes = zone.as_bytes();
    if matches!(bytes, b"Z" | b"z") {
        return Some(TimeDelta::zero());
    }
    let (hours, minutes) = (two(bytes.get(1..3)?)?, two(bytes.get(4..6)?)?);
    let is_zone = bytes.len() == 6 && bytes[3] == b':' && hours < 24 && minutes < 60;
    let minutes = i64::from(hours * 60 + minutes);
    match bytes[0] {
        b'+' if is_zone => Some(TimeDelta::minutes(minutes)),
        b'-' if is_zone => Some(TimeDelta::minutes(-minutes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_utc_in_microseconds() {
        for (text, utc) in [
            ("2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("2026-01-02t03:00:00z", "2026-01-02T03:00:00Z"),
            ("2026-01-02T03:00:00+02:00", "2026-01-02T01:00:00Z"),
            ("2026-01-02T03:00:00-05:30", "2026-01-02T08:30:00Z"),
            ("2026-01-02T03:00:00.5Z", "2026-01-02T03:00:00.500Z"),
            ("2026-01-02T03:00:00.123456789Z", "2026-01-02T03:00:00.123456Z"),
            ("2024-02-29T23:59:59.999999999-00:00", "2024-02-29T23:59:59.999999Z"),
        ] {
            assert_eq!(time(text).map(written), Ok(utc.to_owned()), "{text}");
        }
        assert_eq!(local_time("2026-01-02T03:00:00.123456789").unwrap().to_string(), "2026-01-02 03:00:00.123456");
        assert_eq!(local_time("2026-01-02T23:00:00-05:00").unwrap().to_string(), "2026-01-02 23:00:00");
        assert_eq!(date("2026-01-02").unwrap().to_string(), "2026-01-02");
        for text in ["2026-01-02", "2026-01-02Z", "2026-01-02+01:00", "2026-01-02-11:00"] {
            assert_eq!(local_date(text).unwrap().to_string(), "2026-01-02", "{text}");
        }
        for text in ["2026-01-02 01:00", "2026-01-02X", "2026-02-30Z", "2026-01-02+1"] {
            assert_eq!(local_date(text).map_err(|it| it.0), Err(Code::NotADate), "{text}");
        }
    }

    #[test]
    fn other_times_and_dates_are_refused() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:00:00",
            "2026-01-02 03:00:00Z",
            "2026-01-02T03:00Z",
            "2026-02-29T03:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:00:60Z",
            "2026-01-02T03:00:00.Z",
            "2026-01-02T03:00:00.1234567890Z",
            "2026-01-02T03:00:00+0200",
            "2026-01-02T03:00:00 CET",
            "1767322800",
            "0000-01-02T03:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(time(text).map_err(|it| it.0), Err(Code::NotATime), "{text}");
        }
        for text in
            ["", "2026-1-2", "20260102", "2026-13-01", "2026-01-32", "25/12/2026", "2026-01-02T00:00:00Z", "٢٠٢٦-01-02"]
        {
            assert_eq!(date(text).map_err(|it| it.0), Err(Code::NotADate), "{text}");
        }
        for text in ["03/04/2026", "3.4.2026", "01-02-26", "12/12/2026"] {
            let (code, detail) = date(text).unwrap_err();
            assert_eq!(code, Code::AmbiguousDate, "{text}");
            assert!(detail.contains(text) && detail.contains("2026-01-02"), "{detail}");
        }
        assert_eq!(time("03/04/2026 10:00").map_err(|it| it.0), Err(Code::AmbiguousDate));
    }

    proptest! {
        #[test]
        fn a_time_comes_back_as_it_was(micros in -62_135_596_800_000_000_i64..253_402_300_799_999_999) {
            let at = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(time(&written(at)), Ok(at));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+/é-]{0,40}") {
            let _ = (time(&text), local_time(&text), date(&text));
        }
    }
}
