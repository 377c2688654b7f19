//! Settings of the dashboard.

use chrono::TimeDelta;
use clap::Args;
use reqwest::Url;
use secrecy::SecretString;

use crate::domain::text::string_enum;
use crate::settings::Checker;

/// The first segments of REST's paths: the dashboard has no page below them.
pub const REST_PATHS: [&str; 7] = ["v1", "company", "livez", "readyz", "metrics", "docs", "openapi.json"];

string_enum!(
    /// How much of the dashboard is served.
    Mode {
        /// Pages and acts.
        On = "on",
        /// Pages, but no act and no reveal.
        ReadOnly = "read-only",
        /// Nothing.
        Off = "off",
    }
);

#[derive(Args, Clone)]
pub struct RawDashboard {
    /// Dashboard on the internal listener: on, read-only or off
    #[arg(long, env, default_value = "on")]
    pub dashboard: String,
    /// Idle time after which a person is signed out of the dashboard
    #[arg(long, env, default_value = "30m")]
    pub session_idle: String,
    /// Time after which a person must sign in again
    #[arg(long, env, default_value = "12h")]
    pub session_max: String,
}

#[derive(Clone, Debug)]
pub struct DashboardSettings {
    pub mode: Mode,
    /// Prefix of every page: the path of `DASHBOARD_URL`, without a slash at its end.
    pub prefix: String,
    /// The origin that browsers see, such as `https://ops.example`.
    pub origin: String,
    /// Whether browsers keep the session's cookie: they do over https and on loopback.
    pub keeps_cookies: bool,
    pub session_idle: TimeDelta,
    pub session_max: TimeDelta,
    /// A link that signs in one time. No variable sets it: the demo makes one.
    pub sign_in_link: Option<SignInLink>,
}

/// A link that stands for a token.
#[derive(Clone, Debug)]
pub struct SignInLink {
    /// The last segment of its path.
    pub secret: SecretString,
    pub token: SecretString,
}

impl RawDashboard {
    /// `url` is the checked `DASHBOARD_URL`; empty: it was wrong.
    pub(super) fn check(&self, check: &mut Checker, url: &str) -> DashboardSettings {
        let mode = check.word("DASHBOARD", &self.dashboard).unwrap_or(Mode::On);
        let (session_idle, session_max) =
            (check.delta("SESSION_IDLE", &self.session_idle), check.delta("SESSION_MAX", &self.session_max));
        let place = place(url);
        if place.is_none() && check.fits("DASHBOARD_URL") {
            let expected = "a URL whose path is of plain segments, and none of REST's";
            check.wrong("DASHBOARD_URL", Some(url), expected);
        }
        let Place { prefix, origin, keeps_cookies } = place.unwrap_or_default();
        DashboardSettings { mode, prefix, origin, keeps_cookies, session_idle, session_max, sign_in_link: None }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Place {
    prefix: String,
    origin: String,
    keeps_cookies: bool,
}

/// Where the dashboard is. None: pages cannot stand below this path.
fn place(url: &str) -> Option<Place> {
    let url = Url::parse(url).ok()?;
    let prefix = url.path().trim_end_matches('/').to_owned();
    let mut segments = prefix.split('/').skip(1);
    let is_plain = |it: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !it.is_empty() && !it.bytes().all(|byte| byte == b'.') && it.bytes().all(plain)
    };
    let first = segments.clone().next();
    if !segments.all(is_plain) || first.is_some_and(|it| REST_PATHS.contains(&it)) {
        return None;
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    let keeps_cookies = url.scheme() == "https" || is_loopback;
    Some(Place { prefix, origin: url.origin().ascii_serialization(), keeps_cookies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_url_is_the_prefix_of_the_pages() {
        for (url, prefix, origin, keeps_cookies) in [
            ("http://127.0.0.1:8081", "", "http://127.0.0.1:8081", true),
            ("http://[::1]:8081", "", "http://[::1]:8081", true),
            ("https://ops.example/", "", "https://ops.example", true),
            ("https://ops.example/desk/bank-1", "/desk/bank-1", "https://ops.example", true),
            ("http://ops.example/desk/", "/desk", "http://ops.example", false),
        ] {
            let expected = Place { prefix: prefix.to_owned(), origin: origin.to_owned(), keeps_cookies };
            assert_eq!(place(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_path_that_is_rests_or_no_plain_one_is_refused() {
        for url in
            ["http://x/v1", "http://x/docs/ops", "http://x/a//b", "http://x/a%20b", "http://x/{id}", "http://x/.../a"]
        {
            assert_eq!(place(url), None, "{url}");
        }
    }
}
