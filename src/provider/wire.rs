//! The part of a bank's wire that adapters share: URLs with ids in them, times, the birth of an opening, bodies that
//! are not the documented JSON.

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use reqwest::Url;

use crate::clock::Time;
use crate::domain::OpeningId;
use crate::outbound::CallError;
use crate::outbound::json::place;
use crate::provider::Parsed;

/// How far a bank's clock may be behind ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// A URL below a base, with these further path segments; an id may contain any character.
///
/// # Errors
/// If the base is no URL that has a path.
pub fn url(base: &str, segments: &[&str]) -> Result<Url, CallError> {
    let wrong = || CallError::ours("the base URL cannot be extended");
    let mut url = Url::parse(base).map_err(|_| wrong())?;
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(segments);
    Ok(url)
}

/// A time as banks write it: RFC 3339, an offset without a colon, no offset (UTC), or milliseconds since the epoch.
#[must_use]
pub fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    let zoned =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    let zoned = zoned.map(|it| it.to_utc()).ok();
    let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|it| it.and_utc());
    let number = || text.parse().ok().and_then(DateTime::from_timestamp_millis);
    zoned.or_else(local).or_else(number)
}

/// A message that violates the documentation, with the place of the error and none of the values.
#[must_use]
pub fn unreadable(error: &serde_json::Error) -> Parsed {
    Parsed::Unreadable(format!("not the documented JSON: {}", place(error)))
}

/// The earliest time that a bank can write for what it did for an opening: the opening's birth, by its id, less the clocks'
/// difference.
#[must_use]
pub fn not_before(opening: OpeningId) -> Time {
    let (seconds, nanoseconds) = opening.0.get_timestamp().map(|it| it.to_unix()).unwrap_or_default();
    let born = i64::try_from(seconds).ok().and_then(|it| DateTime::from_timestamp(it, nanoseconds));
    born.unwrap_or(Time::UNIX_EPOCH) - SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_any_content_is_one_segment() {
        let url = |id| url("https://bank.example/v1/", &["requests", id]).unwrap().to_string();
        assert_eq!(url("a/b?c#d:e"), "https://bank.example/v1/requests/a%2Fb%3Fc%23d:e");
        assert_eq!(url("aorq"), "https://bank.example/v1/requests/aorq");
        assert!(super::url("nowhere", &["x"]).is_err());
    }

    #[test]
    fn a_time_is_read_in_every_form_that_banks_use() {
        let expected: Time = "2021-10-26T06:38:13Z".parse().unwrap();
        for text in [
            "2021-10-26T06:38:13+0000",
            "2021-10-26T06:38:13+00:00",
            "2021-10-26T06:38:13.000000000Z",
            "2021-10-26T08:38:13+0200",
            "2021-10-26T06:38:13",
            " 2021-10-26T06:38:13.000 ",
            "1635230293000",
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for wrong in ["", "soon", "2021-10-26", "2021-13-26T06:38:13Z", "99999999999999999999"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_openings_id_says_when_it_was_born() {
        let id = |text: &str| OpeningId(uuid::Uuid::parse_str(text).unwrap());
        let born: Time = "2025-09-01T00:00:00Z".parse().unwrap();
        let millis = u64::try_from(born.timestamp_millis()).unwrap();
        let text = format!("{:08x}-{:04x}-7000-8000-000000000001", millis >> 16, millis & 0xffff);
        assert_eq!(not_before(id(&text)), born - SKEW);
        assert_eq!(not_before(id("11111111-1111-4111-8111-111111111111")), Time::UNIX_EPOCH - SKEW, "of no time");
    }
}
