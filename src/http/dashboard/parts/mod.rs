//! Pieces of HTML that pages share. Each is a small template that stands in other templates as a value: `{{ moment }}`.

pub mod chart;
mod privacy;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::SecondsFormat;

pub use self::privacy::Privacy;
use crate::clock::Time;
use crate::db::gauges::MAX_COUNTED;
use crate::domain::StateName;

/// A time in UTC, with the name of its zone; the zone switch of `live.js` turns it.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/time.html")]
pub struct Moment {
    iso: String,
    text: String,
}

impl HtmlSafe for Moment {}

impl From<Time> for Moment {
    fn from(time: Time) -> Self {
        let iso = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Self { iso, text: time.format("%Y-%m-%d %H:%M:%S UTC").to_string() }
    }
}

/// A state as icon, words and colour together.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/state.html")]
pub struct StateMark {
    state: String,
    words: String,
    tone: &'static str,
    icon: &'static str,
    icons: String,
}

impl HtmlSafe for StateMark {}

impl StateMark {
    /// `icons` is the address of the sprite.
    #[must_use]
    pub fn new(state: StateName, icons: String) -> Self {
        let (tone, icon) = match state {
            StateName::CreatingProfile | StateName::RequestingAccount | StateName::IssuingCard => ("under-way", "step"),
            StateName::AwaitingProvider => ("waiting", "clock"),
            StateName::Escalated => ("urgent", "alarm"),
            StateName::Completed => ("good", "done"),
            StateName::Rejected => ("ended", "refused"),
            StateName::Failed => ("ended", "ended"),
        };
        Self::of(state.as_str(), tone, icon, icons)
    }

    /// A word for a state of another kind, with its tone and icon.
    #[must_use]
    pub fn of(state: &str, tone: &'static str, icon: &'static str, icons: String) -> Self {
        Self { state: state.to_owned(), words: words(state), tone, icon, icons }
    }
}

/// Another word that says how something stands, with its icon and colour.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/word.html")]
pub struct WordMark {
    pub words: &'static str,
    /// `good`, `waiting`, `urgent`, `under-way` or `ended`.
    pub tone: &'static str,
    pub icon: &'static str,
    pub icons: String,
}

impl HtmlSafe for WordMark {}

/// A word of REST for people: `awaiting_provider` is shown as `awaiting provider`.
#[must_use]
pub fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// A query without one of its parameters, with its question mark.
#[must_use]
pub fn without(query: &str, name: &str) -> String {
    let others = query.split('&').filter(|it| !it.is_empty() && it.split('=').next() != Some(name));
    format!("?{}", others.collect::<Vec<_>>().join("&"))
}

/// A count that stops at [`MAX_COUNTED`], and says so.
#[must_use]
pub fn capped(count: i64) -> String {
    if count >= MAX_COUNTED { "10 000+".to_owned() } else { count.to_string() }
}

/// An IBAN of which only country, check digits and the last four characters are shown.
#[must_use]
pub fn masked_iban(iban: &str) -> String {
    let chars: Vec<char> = iban.chars().collect();
    if chars.len() < 12 {
        return "••••".to_owned();
    }
    let part = |range: &[char]| range.iter().collect::<String>();
    format!("{} •••• •••• {}", part(&chars[..4]), part(&chars[chars.len() - 4..]))
}

/// The first letter of each word: `Acme BV` is shown as `A… B…`.
#[must_use]
pub fn masked_name(name: &str) -> String {
    let initial = |word: &str| word.chars().next().map(|it| format!("{it}…"));
    name.split_whitespace().filter_map(initial).collect::<Vec<_>>().join(" ")
}

/// An e-mail address without its local part: `o…@acme.example`.
#[must_use]
pub fn masked_email(email: &str) -> String {
    let Some((local, domain)) = email.rsplit_once('@') else { return "…".to_owned() };
    format!("{}…@{domain}", local.chars().next().map(String::from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_recognisable_and_not_readable() {
        assert_eq!(masked_iban("BE68539007547034"), "BE68 •••• •••• 7034");
        assert_eq!((masked_iban("BE68"), masked_iban("")), ("••••".to_owned(), "••••".to_owned()));
        assert_eq!(masked_name("Acme  BV"), "A… B…");
        assert_eq!(masked_email("ops@acme.example"), "o…@acme.example");
        assert_eq!((masked_email("ops"), masked_email("@x")), ("…".to_owned(), "…@x".to_owned()));
    }

    #[test]
    fn a_query_keeps_its_other_parameters() {
        assert_eq!(without("status=failed&cursor=1&market=BE", "cursor"), "?status=failed&market=BE");
        assert_eq!((without("", "cursor"), without("cursor=1", "cursor")), ("?".to_owned(), "?".to_owned()));
    }

    #[test]
    fn a_time_names_its_zone() {
        let moment = Moment::from("2026-01-01T00:30:00.5Z".parse::<Time>().unwrap());
        let html = r#"<time datetime="2026-01-01T00:30:00.500Z">2026-01-01 00:30:00 UTC</time>"#;
        assert_eq!(moment.render().unwrap(), html);
    }
}
