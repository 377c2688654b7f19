//! Parses `postgres://…` URLs strictly.
//!
//! An unencoded special character in a password moves the rest of the password into the host, database or parameters,
//! and drivers repeat those in errors and logs. This module refuses such a URL before the driver reads it, and its
//! errors contain nothing of the URL.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use tracing::subscriber::{NoSubscriber, with_default};

/// The parameters that the driver supports; the driver logs any other parameter.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Why a URL is refused. Contains nothing of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongUrl(&'static str);

/// Parses a database URL. Missing parts come from `PGHOST` etc. and the password file.
///
/// # Errors
/// If it is not a valid URL, or contains unencoded special characters.
pub fn read_url(text: &str) -> Result<PgConnectOptions, WrongUrl> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or(WrongUrl("not a postgres:// URL"))?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(WrongUrl("contains white space or a control character; write it as %20 etc."));
    }
    let behind_host = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    if behind_host.contains(['#', '@']) {
        return Err(WrongUrl("contains @ or # after the host; in a password write / ? # @ as %2F %3F %23 %40"));
    }
    let (path, query) = behind_host.split_once('?').unwrap_or((behind_host, ""));
    if path.trim_start_matches('/').contains('/') {
        return Err(WrongUrl("the database name contains /; write it as %2F"));
    }
    let names = query.split('&').map(|it| it.split_once('=').map_or(it, |(name, _)| name));
    if !names.filter(|it| !it.is_empty()).all(is_parameter) {
        return Err(WrongUrl("contains an unknown parameter"));
    }
    // The driver logs unreadable lines of the password file; this drops them.
    let read = with_default(NoSubscriber::default(), || PgConnectOptions::from_str(text));
    let options = read.map_err(|_| WrongUrl("not a valid URL"))?;
    // The driver would look up a name with the brackets that a URL has around an IPv6 address.
    let bare = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(ToOwned::to_owned);
    Ok(match bare {
        Some(host) => options.host(&host),
        None => options,
    })
}

fn is_parameter(name: &str) -> bool {
    let named = name.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']'));
    PARAMETERS.contains(&name) || name == "options" || named.is_some_and(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G13
    #[test]
    fn a_password_with_special_characters_is_read_where_they_are_encoded_and_refused_where_they_are_not() {
        for url in
            ["postgres://u:p%40%3F%2F%23@h:5433/x", "postgresql://u:p@q@h:5433/x?sslmode=disable&options=-c%20a%3Db"]
        {
            let options = read_url(url).unwrap();
            assert_eq!(
                (options.get_host(), options.get_port(), options.get_database()),
                ("h", 5433, Some("x")),
                "{url}"
            );
        }
        for url in [
            "postgres://u:p@q?r@h/x",
            "postgres://u:1#q@h/x",
            "postgres://u:1/q@h/x",
            "postgres://u:p@h/x#y",
            "postgres://u:p@h/x/y",
            "postgres://u@h/x?sslpassword=p",
            "postgres://u@h/x?sslmode=p",
            "postgres://u@h/x?options[=p",
            "postgres://u:p q@h/x",
            "mysql://u@h/x",
            "h",
        ] {
            assert!(read_url(url).is_err(), "{url}");
        }
    }

    /// G16
    #[test]
    fn an_ipv6_address_stands_in_brackets_and_a_socket_is_encoded() {
        assert_eq!(read_url("postgres://u:p@[::1]:5432/db").unwrap().get_host(), "::1");
        let socket = read_url("postgres://u@%2Fvar%2Frun/db").unwrap();
        assert_eq!(socket.get_socket().and_then(|it| it.to_str()), Some("/var/run"));
    }
}
