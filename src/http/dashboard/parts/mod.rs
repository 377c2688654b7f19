//! Pieces of HTML that pages share. Each is a small template that stands in other templates as a value: `{{ moment }}`.

pub mod chart;
mod list;
mod payload;
mod privacy;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{NaiveDateTime, SecondsFormat};

pub use self::list::{MAX_COUNTED, at_least, filtered, span};
pub use self::payload::{Payload, shown};
pub use self::privacy::Privacy;
use crate::clock::Time;
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

/// A sentence of ours, cut behind each time in it, so that the zone switch turns these too: text, and the time after it.
#[must_use]
pub fn timed(sentence: &str) -> Vec<(String, Option<Moment>)> {
    let (mut pieces, mut rest) = (Vec::new(), sentence);
    while let Some((start, end, time)) = first_time(rest) {
        pieces.push((rest[..start].to_owned(), Some(time.into())));
        rest = &rest[end..];
    }
    pieces.push((rest.to_owned(), None));
    pieces
}

/// The first time that is written as [`Moment`] writes it: from where to where it stands.
fn first_time(text: &str) -> Option<(usize, usize, Time)> {
    const ZONE: &str = " UTC";
    let at = |zone: usize| {
        let start = zone.checked_sub("2026-01-31 12:00:00".len())?;
        let time = NaiveDateTime::parse_from_str(text.get(start..zone)?, "%Y-%m-%d %H:%M:%S").ok()?;
        Some((start, zone + ZONE.len(), time.and_utc()))
    };
    text.match_indices(ZONE).find_map(|(zone, _)| at(zone))
}

/// How something stands: icon, words and colour together.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/mark.html")]
pub struct Mark {
    /// The word in `data-state`, where it is a state.
    state: Option<String>,
    words: String,
    tone: &'static str,
    icon: &'static str,
    icons: String,
}

impl HtmlSafe for Mark {}

/// How a status looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A person must act.
    Urgent,
    /// The work goes on by itself.
    Waiting,
    Good,
    /// The work is over.
    Ended,
}

impl Mark {
    /// A status. `icons` is the address of the sprite.
    #[must_use]
    pub fn new(word: &str, look: Look, icons: String) -> Self {
        let (tone, icon) = match look {
            Look::Urgent => ("urgent", "alarm"),
            Look::Waiting => ("waiting", "clock"),
            Look::Good => ("good", "done"),
            Look::Ended => ("ended", "ended"),
        };
        Self { state: None, words: words(word), tone, icon, icons }
    }

    /// The state of an opening.
    #[must_use]
    pub fn of_opening(state: StateName, icons: String) -> Self {
        let (tone, icon) = match state {
            StateName::CreatingProfile | StateName::RequestingAccount | StateName::IssuingCard => ("under-way", "step"),
            StateName::AwaitingProvider => ("waiting", "clock"),
            StateName::Escalated => ("urgent", "alarm"),
            StateName::Completed => ("good", "done"),
            StateName::Rejected => ("ended", "refused"),
            StateName::Failed => ("ended", "ended"),
        };
        Self::state(state.as_str(), tone, icon, icons)
    }

    /// A state of another kind, with its tone and icon.
    #[must_use]
    pub fn state(state: &str, tone: &'static str, icon: &'static str, icons: String) -> Self {
        Self { state: Some(state.to_owned()), words: words(state), tone, icon, icons }
    }
}

/// An act with a page of its own, as a link to it.
#[derive(Clone, Debug)]
pub struct ActLink {
    /// Its name in `data-act`.
    pub act: &'static str,
    pub label: String,
    pub href: String,
    /// Why it cannot be done. None: it can.
    pub refused: Option<String>,
}

/// A word of REST for people: `awaiting_provider` is shown as `awaiting provider`.
#[must_use]
pub fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// A count that stops at [`MAX_COUNTED`], and says so.
#[must_use]
pub fn capped(count: i64) -> String {
    at_least(count, count >= MAX_COUNTED)
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
    fn a_time_names_its_zone() {
        let moment = Moment::from("2026-01-01T00:30:00.5Z".parse::<Time>().unwrap());
        let html = r#"<time datetime="2026-01-01T00:30:00.500Z">2026-01-01 00:30:00 UTC</time>"#;
        assert_eq!(moment.render().unwrap(), html);
    }

    #[test]
    fn a_sentence_is_cut_behind_its_times_and_whole_without_one() {
        let cut =
            |text: &str| timed(text).into_iter().map(|(text, at)| (text, at.map(|it| it.iso))).collect::<Vec<_>>();
        let piece = |text: &str, at: Option<&str>| (text.to_owned(), at.map(str::to_owned));
        assert_eq!(
            cut("from 2026-01-01 00:30:00 UTC until 2026-01-02 00:30:00 UTC, é"),
            [
                piece("from ", Some("2026-01-01T00:30:00Z")),
                piece(" until ", Some("2026-01-02T00:30:00Z")),
                piece(", é", None)
            ]
        );
        for whole in ["", " UTC", "at 12:00:00 UTC", "éééééééééé UTC", "2026-13-01 00:30:00 UTC"] {
            assert_eq!(cut(whole), [piece(whole, None)]);
        }
    }
}
