//! Parses the text of settings and collects the errors.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use secrecy::SecretString;

use super::Subscriber;
use crate::db::read_url;
use crate::domain::chain::HistoryKey;
use crate::domain::policy::MAX_JITTER;
use crate::domain::text::string_enum;
use crate::provider::signature::WebhookSecret;
use crate::telemetry::LogFilter;

pub(super) const POSTGRES: &str = "postgres://user:password@host:port/database";
pub(super) const SCHEMA: &str = "a schema name: lower-case letters, digits and underscores, not starting with a digit, at most 63, not reserved by Postgres";
pub(super) const BEARER: &str = "a bearer key: visible ASCII characters";
pub(super) const WEBHOOK_SECRETS: &str = "whsec_ followed by base64, comma-separated";
pub(super) const TOKENS: &str = "name:token[:reader|caller|operator|admin], comma-separated; each token once";
pub(super) const HISTORY_KEY: &str = "base64 of 32 bytes, as `openssl rand -base64 32` prints";
pub(super) const SUBSCRIBERS: &str = "url|whsec_…, comma-separated";

string_enum!(
    /// The role of a token; each role includes the ones before it.
    Role {
        /// Reads everything.
        Reader = "reader",
        /// Starts openings.
        Caller = "caller",
        /// Acts on openings, dead letters and cases.
        Operator = "operator",
        /// Sets feature flags.
        Admin = "admin",
    }
);

/// A credential for the REST API.
#[derive(Clone, Debug)]
pub struct Token {
    /// The caller's name, shown in logs and in the records of acts.
    pub name: String,
    /// The bearer token.
    pub secret: SecretString,
    pub role: Role,
}

/// A wrong setting: its name, the problem and the expected value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}; expected {expected}")]
pub struct SettingError {
    /// The environment variable.
    pub name: &'static str,
    /// The problem, with the value unless it is secret.
    pub problem: String,
    /// The expected value.
    pub expected: String,
}

/// Parses settings and collects errors.
#[derive(Default)]
pub(super) struct Checker(Vec<SettingError>);

impl Checker {
    pub fn finish<T>(self, value: T) -> Result<T, Vec<SettingError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    /// Whether a setting has no error so far.
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
        self.url_that_fits(name, text, "an http:// or https:// URL", http_url)
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
pub(super) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|it| !it.trim().is_empty())
}

fn expected_by(error: &dyn Display) -> String {
    error.to_string().trim_start_matches("must be ").to_owned()
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|it| it.to_string())?;
    // A hundred years, so that adding durations to times cannot overflow.
    let longest = Duration::from_hours(100 * 365 * 24);
    if parsed.is_zero() || parsed > longest { Err("out of range".to_owned()) } else { Ok(parsed) }
}

/// A duration with an optional sign; zero is written `0s`.
pub(super) fn offset(text: &str) -> Result<TimeDelta, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = humantime::parse_duration(length).map_err(|it| it.to_string())?;
    // At most a year in either direction.
    if length > Duration::from_hours(365 * 24) { Err("out of range".to_owned()) } else { Ok(to_delta(length) * sign) }
}

/// A percentage, with or without the % sign.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    number.parse().ok().filter(|it| *it <= MAX_JITTER).ok_or_else(|| "out of range".to_owned())
}

pub(super) fn to_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A non-empty comma-separated list.
pub(super) fn list_of<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|part| parse(part.trim())).collect()
}

pub(super) fn http_url(text: &str) -> Result<String, String> {
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

pub(super) fn base_url(text: &str) -> Result<String, String> {
    if text.contains(['?', '#']) { Err("contains ? or #".to_owned()) } else { http_url(text) }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// A single line of text.
pub(super) fn line(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("empty, or more than one line".to_owned()) }
}

/// Text that is valid in an HTTP header.
pub(super) fn header_text(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("empty, or contains other than visible ASCII characters".to_owned()) }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    LogFilter::parse(text).map(|_| text.to_owned()).map_err(|it| it.to_string())
}

pub(super) fn postgres(text: &str) -> Result<SecretString, String> {
    read_url(text).map(|_| text.to_owned().into()).map_err(|wrong| wrong.to_string())
}

pub(super) fn schema(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let fits = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let of_postgres = text.starts_with("pg_") || text == "information_schema";
    if starts && fits && !of_postgres && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err("not a schema name".to_owned())
    }
}

pub(super) fn history_key(text: &str) -> Result<HistoryKey, String> {
    let bytes = STANDARD.decode(text).map_err(|_| "not base64".to_owned())?;
    let key: [u8; 32] = bytes.try_into().map_err(|it: Vec<u8>| format!("{} bytes instead of 32", it.len()))?;
    Ok(HistoryKey::new(&key))
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    use secrecy::ExposeSecret;
    let tokens = list_of(text, |entry| {
        let mut parts = entry.split(':');
        let (name, token) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let role = parts.next().map_or(Ok(Role::Admin), |it| it.parse().map_err(|_| "an unknown role".to_owned()))?;
        if name.is_empty() || parts.next().is_some() {
            return Err("an entry is not name:token[:role]".to_owned());
        }
        if header_text(token).is_err() {
            return Err("a token is missing or not visible ASCII".to_owned());
        }
        Ok(Token { name: name.to_owned(), secret: token.to_owned().into(), role })
    })?;
    for (index, token) in tokens.iter().enumerate() {
        if tokens[..index].iter().any(|it| it.secret.expose_secret() == token.secret.expose_secret()) {
            return Err("the same token is listed twice".to_owned());
        }
    }
    Ok(tokens)
}

pub(super) fn subscribers(text: &str) -> Result<Vec<Subscriber>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    list_of(text, |entry| {
        let (url, secret) = entry.rsplit_once('|').ok_or("an entry is not url|whsec_…")?;
        Ok(Subscriber { url: http_url(url)?, secret: WebhookSecret::parse(secret)? })
    })
}

/// A persistent directory of the user. For root it is a system directory: Postgres runs as another user, which cannot
/// access root's home.
pub(super) fn default_data_dir() -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/account-opening");
    }
    var("XDG_DATA_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("account-opening")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_be_short_of_a_role_but_not_of_a_name() {
        let parsed = tokens("shop:secret-token-1,desk:secret-token-2:operator").unwrap();
        let roles: Vec<(&str, Role)> = parsed.iter().map(|it| (it.name.as_str(), it.role)).collect();
        assert_eq!(roles, [("shop", Role::Admin), ("desk", Role::Operator)]);
        for wrong in
            ["", "shop", "shop:", ":token-long", "a:sh ort", "a:long-enough:king", "a:one-token,b:one-token", "a:b:c:d"]
        {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_offset_goes_either_way() {
        assert_eq!(offset("0s"), Ok(TimeDelta::zero()));
        assert_eq!(offset("1500ms"), Ok(TimeDelta::milliseconds(1_500)));
        assert_eq!(offset("-4s"), Ok(TimeDelta::seconds(-4)));
        assert_eq!(offset("+4s"), Ok(TimeDelta::seconds(4)));
        for wrong in ["", "-", "+", "+-1s", "--1s", "4", "2y"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_above_zero() {
        assert_eq!(duration("12h"), Ok(Duration::from_hours(12)));
        for wrong in ["", "0s", "12", "-1s", "soon", "900000000000000d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
