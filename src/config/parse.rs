//! The texts of settings that only [`super`] reads.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use secrecy::SecretString;

use crate::db::read_url;
use crate::domain::chain::HistoryKey;
use crate::domain::fee::PriceList;
use crate::domain::signature::EvidenceKey;
use crate::domain::text::string_enum;
use crate::settings::{Checker, given, header_text, list_of, to_delta};
use crate::telemetry::LogFilter;

pub(super) const POSTGRES: &str = "postgres://user:password@host:port/database";
pub(super) const SCHEMA: &str = "a schema name: lower-case letters, digits and underscores, not starting with a digit, at most 63, not reserved by Postgres";
pub(super) const TOKENS: &str = "name:token[:reader|caller|operator|admin], comma-separated; each token once";
pub(super) const HISTORY_KEY: &str = "base64 of 32 bytes, as `openssl rand -base64 32` prints";
pub(super) const EVIDENCE_KEY: &str =
    "an Ed25519 key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` prints; line breaks may be written as \\n";

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
    pub secret: SecretString,
    pub role: Role,
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

/// Reads the price list. Each of its flaws is a line of its own.
pub(super) fn price_list(check: &mut Checker, path: Option<&String>, providers: &[&str]) -> Option<Arc<PriceList>> {
    let path = given(path)?;
    let text = match std::fs::read_to_string(path.trim()) {
        Ok(text) => text,
        Err(error) => {
            check.wrong("PRICE_LIST", Some(path), &format!("the path of a price list in UTF-8 ({error})"));
            return None;
        }
    };
    let read = PriceList::read(&text, providers);
    read.map_err(|flaws| flaws.into_iter().for_each(|flaw| check.note("PRICE_LIST", flaw.problem, flaw.expected)))
        .map(Arc::new)
        .ok()
}

/// A percentage from 0 to `max`, with or without the % sign.
pub(super) fn percent<T: FromStr + Default + PartialOrd>(text: &str, max: T) -> Result<T, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let read = number.parse().ok().filter(|it| (T::default()..=max).contains(it));
    read.ok_or_else(|| "out of range".to_owned())
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

pub(super) fn evidence_key(text: &str) -> Result<EvidenceKey, String> {
    // A variable often cannot hold a line break.
    EvidenceKey::from_pem(&text.replace("\\n", "\n")).map_err(|it| it.to_string())
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
}
