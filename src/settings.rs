//! Reads settings: parses their texts and collects what is wrong with them, so that a wrong configuration is reported whole.
//!
//! Adapters and services describe their own settings with it; [`crate::config`] puts all of them together.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;

/// The expected form of a bearer key.
pub const BEARER: &str = "a bearer key: visible ASCII characters";

/// The expected form of a URL that is called as it is.
pub const URL: &str = "an http:// or https:// URL";

/// A wrong setting: its name, the problem and the expected value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; expected {expected}")]
pub struct SettingError {
    pub name: &'static str,
    /// The problem, with the value unless it is secret.
    pub problem: String,
    pub expected: String,
}

/// Parses settings and collects errors.
#[derive(Default)]
pub struct Checker(Vec<SettingError>);

impl Checker {
    pub fn finish<T>(self, value: T) -> Result<T, Vec<SettingError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    /// Whether a setting has no error so far.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        self.0.iter().all(|error| error.name != name)
    }

    /// Records the first error of a setting.
    pub fn wrong(&mut self, name: &'static str, value: Option<&str>, expected: &str) {
        if self.fits(name) {
            let problem = value.map_or_else(|| "missing, or a known default".to_owned(), invalid);
            self.0.push(SettingError { name, problem, expected: expected.to_owned() });
        }
    }

    /// Records one of several errors of a setting.
    pub fn note(&mut self, name: &'static str, problem: String, expected: String) {
        self.0.push(SettingError { name, problem, expected });
    }

    pub fn with<T>(
        &mut self,
        name: &'static str,
        text: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(text.trim()).map_err(|_| self.wrong(name, Some(text), expected)).ok()
    }

    fn hidden<T>(
        &mut self,
        name: &'static str,
        text: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let note = |why: String| {
            let problem = format!("invalid value (not shown): {why}");
            self.0.push(SettingError { name, problem, expected: expected.to_owned() });
        };
        parse(text.trim()).map_err(note).ok()
    }

    pub fn secret<T: Default>(
        &mut self,
        name: &'static str,
        text: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.hidden(name, text, expected, parse).unwrap_or_default()
    }

    pub fn optional_secret<T>(
        &mut self,
        name: &'static str,
        text: Option<&String>,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        given(text).and_then(|text| self.hidden(name, text, expected, parse))
    }

    pub fn word<T: FromStr<Err: Display>>(&mut self, name: &'static str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.wrong(name, Some(text), &expected_by(&error))).ok()
    }

    pub fn number<T: FromStr + PartialOrd + Display + Copy>(
        &mut self,
        name: &'static str,
        text: &str,
        least: T,
        most: T,
    ) -> T {
        match text.trim().parse::<T>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.wrong(name, Some(text), &format!("a whole number from {least} to {most}"));
                least
            }
        }
    }

    pub fn duration(&mut self, name: &'static str, text: &str) -> Duration {
        let expected = "a duration above zero, such as 250ms, 30s, 15m, 12h or 7d";
        self.with(name, text, expected, duration).unwrap_or(Duration::from_secs(1))
    }

    pub fn delta_of_at_least(&mut self, name: &'static str, text: &str, least: TimeDelta) -> TimeDelta {
        let delta = self.delta(name, text);
        if delta < least {
            let least = humantime::format_duration(least.to_std().unwrap_or_default()).to_string();
            self.wrong(name, Some(text), &format!("a duration of at least {least}"));
        }
        delta
    }

    pub fn delta(&mut self, name: &'static str, text: &str) -> TimeDelta {
        to_delta(self.duration(name, text))
    }

    /// Delays before the first poll, the second, …; never empty if it has no error.
    pub fn schedule(&mut self, name: &'static str, text: &str) -> Vec<TimeDelta> {
        let expected = "durations above zero, comma-separated, such as 30m or 2m,5m,10m,30m";
        let schedule = self.with(name, text, expected, |text| list_of(text, duration));
        schedule.unwrap_or_default().into_iter().map(to_delta).collect()
    }

    pub fn address(&mut self, name: &'static str, text: &str) -> SocketAddr {
        let parse = |text: &str| text.parse::<SocketAddr>().map_err(|it| it.to_string());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        self.with(name, text, "an address and port, such as 127.0.0.1:8080", parse).unwrap_or(nowhere)
    }

    /// A base URL that paths are appended to.
    pub fn url(&mut self, name: &'static str, text: &str) -> String {
        self.url_that_fits(name, text, "an http:// or https:// URL without ? and #", base_url)
    }

    /// A URL that is called as it is.
    pub fn whole_url(&mut self, name: &'static str, text: &str) -> String {
        self.url_that_fits(name, text, URL, http_url)
    }

    /// Refuses an empty value, and one that holds a part of the known default.
    pub fn own_value(&mut self, name: &'static str, value: &str, default: &str) {
        let mut parts = default.split([':', ',']).filter(|part| part.len() >= 16);
        if value.is_empty() || parts.any(|part| value.contains(part)) {
            self.wrong(name, None, "a value of your own (required in production; the development default is public)");
        }
    }

    fn url_that_fits(
        &mut self,
        name: &'static str,
        text: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<String, String>,
    ) -> String {
        // The URL may contain a user name and a password before the @, so it is treated as secret.
        let url = if text.contains('@') {
            self.hidden(name, text, expected, parse)
        } else {
            self.with(name, text, expected, parse)
        };
        url.unwrap_or_default()
    }
}

/// The problem of a value that may be shown.
#[must_use]
pub fn invalid(value: &str) -> String {
    format!("invalid value {value:?}")
}

/// The value of a setting; empty or blank counts as unset.
pub fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|it| !it.trim().is_empty())
}

fn expected_by(error: &dyn Display) -> String {
    error.to_string().trim_start_matches("must be ").to_owned()
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|it| it.to_string())?;
    // A hundred years, so that adding durations to times cannot overflow.
    let longest = Duration::from_hours(100 * 365 * 24);
    if parsed.is_zero() || parsed > longest { Err("out of range".to_owned()) } else { Ok(parsed) }
}

#[must_use]
pub fn to_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A non-empty comma-separated list.
pub fn list_of<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|part| parse(part.trim())).collect()
}

pub fn http_url(text: &str) -> Result<String, String> {
    // URL parsers silently remove white space and line ends.
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("contains white space or a control character".to_owned());
    }
    let url = reqwest::Url::parse(text).map_err(|it| it.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("not an http or https URL".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub fn base_url(text: &str) -> Result<String, String> {
    if text.contains(['?', '#']) { Err("contains ? or #".to_owned()) } else { http_url(text) }
}

pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// A single line of text.
pub fn line(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("empty, or more than one line".to_owned()) }
}

/// Text that is valid in an HTTP header.
pub fn header_text(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("empty, or contains other than visible ASCII characters".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_above_zero() {
        assert_eq!(duration("12h"), Ok(Duration::from_hours(12)));
        for wrong in ["", "0s", "12", "-1s", "soon", "900000000000000d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
