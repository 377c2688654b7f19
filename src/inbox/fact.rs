//! The one maker of inbox rows: of webhooks, of items in a provider's list, and of our own facts.
//!
//! A row's key is what makes a fact stored once: the provider's event id where there is one, else a hash of the body; for our own
//! facts the work that they come from.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::ingest::Message;
use crate::clock::{Ids, Time};
use crate::db::inbox::{Arrival, Digest, NewFact};
use crate::domain::{Fact, Report, Source};
use crate::provider::{ListItem, ListPage, Parsed, Provider};

/// The longest event id that is stored as it is; the unique index would refuse a longer one after its sender was answered.
const MAX_EVENT_ID: usize = 200;
/// The headers of a fact that did not come by a request.
const NO_HEADERS: &str = "{}";

/// A fact of our own about an opening, under the key `event_id`: what a call or a timer came to, or what a person decided.
#[must_use]
pub fn ours(
    ids: &Ids,
    source: Source,
    provider: &str,
    event_id: String,
    opening_id: Uuid,
    fact: &Fact,
    now: Time,
) -> NewFact {
    // Our own types always serialise.
    let body = serde_json::to_vec(fact).unwrap_or_default();
    let digest = digest(&body);
    let raw = Raw { source, provider, body, digest, headers: NO_HEADERS.to_owned(), received_at: now, now };
    raw.row(ids, 0, event_id, Content::Ours(opening_id))
}

/// The rows of a verified message: one for each event in it, each with the whole body.
#[must_use]
pub fn of_message(ids: &Ids, message: Message, digest: Digest, now: Time) -> Vec<NewFact> {
    let key = message.key_with(&digest);
    let Message { source, provider, body, headers, received_at, parsed, .. } = message;
    let raw = Raw {
        source,
        provider: &provider,
        body,
        digest,
        // Our own types always serialise.
        headers: serde_json::to_string(&headers).unwrap_or_else(|_| NO_HEADERS.to_owned()),
        received_at,
        // A message that was refused at first and verified later waits its full time from now on.
        now: now.max(received_at),
    };
    match &parsed {
        Parsed::Handshake => Vec::new(),
        Parsed::Ignored(why) => vec![raw.row(ids, 0, key, Content::Ignored(why))],
        Parsed::Unreadable(_) => vec![raw.row(ids, 0, key, Content::Unreadable)],
        Parsed::Reports(reports) => match reports.as_slice() {
            [report] => vec![raw.row(ids, 0, key, Content::Report(report))],
            reports => {
                let row = |(part, report)| raw.clone().row(ids, part, format!("{key}#{part}"), Content::Report(report));
                reports.iter().enumerate().map(row).collect()
            }
        },
    }
}

/// The rows of a page of a provider's list, in its order. Whichever page brings an item, and after any crash, it has the same key.
#[must_use]
pub fn of_page(ids: &Ids, provider: &dyn Provider, page: &ListPage, now: Time) -> Vec<NewFact> {
    page.items.iter().map(|item| of_item(ids, provider, item, now)).collect()
}

fn of_item(ids: &Ids, provider: &dyn Provider, item: &ListItem, now: Time) -> NewFact {
    let digest = digest(&item.body);
    let parsed = provider.parse_item(&item.body);
    let content = match &parsed {
        Parsed::Reports(reports) if reports.len() == 1 => Content::Report(&reports[0]),
        Parsed::Ignored(why) => Content::Ignored(why),
        Parsed::Handshake => Content::Ignored("handshake"),
        // An item is one request, and one request is one report.
        Parsed::Reports(_) | Parsed::Unreadable(_) => Content::Unreadable,
    };
    let key = item_key(content.report(), item.updated_at.as_deref(), &digest);
    let raw = Raw {
        source: Source::List,
        provider: provider.name(),
        body: item.body.clone(),
        digest,
        headers: NO_HEADERS.to_owned(),
        received_at: now,
        now,
    };
    raw.row(ids, 0, key, content)
}

/// `list:{ref}:{status}:{updated_at}`, the time in the provider's own writing. Without a usable time, or where the item cannot be
/// read, the body's hash stands for it.
fn item_key(report: Option<&Report>, updated_at: Option<&str>, digest: &Digest) -> String {
    let hash = hex::encode(digest);
    let Some(report) = report else { return format!("list:{hash}") };
    let reference = report.subject().unwrap_or_default();
    let stamp = updated_at.filter(|it| !it.chars().any(char::is_control)).unwrap_or(&hash);
    event_key(&format!("list:{reference}:{}:{stamp}", report.word))
}

/// The key for an event id of any length and form: the id itself, or its hash. Ids with a mark of our own keys (`{id}#{n}`,
/// `{id}!{sha256}`) are hashed too, or a sender could take such a key before its owner comes.
#[must_use]
pub fn event_key(event_id: &str) -> String {
    let is_kept = event_id.len() <= MAX_EVENT_ID && !event_id.contains(['!', '#']) && !event_id.starts_with("sha256:");
    if is_kept { event_id.to_owned() } else { format!("sha256:{}", hex::encode(digest(event_id.as_bytes()))) }
}

/// Sixteen hexadecimal digits of what a report says, for keys.
#[must_use]
pub fn short_digest(report: &Report) -> String {
    hex::encode(&meaning(report)[..8])
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// The content of a body, as far as it is understood when it comes in.
#[derive(Clone, Copy)]
enum Content<'a> {
    /// A fact of our own about this opening.
    Ours(Uuid),
    Report(&'a Report),
    /// Understood to be of no concern, and why.
    Ignored(&'static str),
    Unreadable,
}

impl<'a> Content<'a> {
    const fn report(self) -> Option<&'a Report> {
        if let Self::Report(report) = self { Some(report) } else { None }
    }
}

/// A body as it came.
#[derive(Clone)]
struct Raw<'a> {
    source: Source,
    provider: &'a str,
    body: Vec<u8>,
    digest: Digest,
    headers: String,
    received_at: Time,
    now: Time,
}

impl Raw<'_> {
    fn row(self, ids: &Ids, part: usize, event_id: String, content: Content<'_>) -> NewFact {
        let report = content.report();
        NewFact {
            id: ids.next(),
            group: format!("{}:{}", self.source, self.provider),
            event_id,
            source: self.source,
            provider: self.provider.to_owned(),
            part: i32::try_from(part).unwrap_or(i32::MAX),
            body: self.body,
            digest: self.digest,
            meaning: report.map(meaning),
            headers: self.headers,
            opening_id: match content {
                Content::Ours(opening) => Some(opening),
                _ => report.and_then(Report::opening).map(|it| it.0),
            },
            provider_ref: report.and_then(|it| it.reference.as_ref()).map(ToString::to_string),
            received_at: self.received_at,
            retry_from: self.now,
            arrival: match content {
                Content::Ours(_) | Content::Report(_) => Arrival::Pending,
                Content::Ignored(why) => Arrival::Ignored(why),
                Content::Unreadable => Arrival::Dead("unreadable"),
            },
            lane: None,
        }
    }
}

/// The digest of what a report says, however the provider wrote it.
fn meaning(report: &Report) -> Digest {
    // Our own types always serialise.
    digest(&serde_json::to_vec(&report.canonical()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Verdict;

    fn report(reference: &str) -> Report {
        Report {
            reference: None,
            our_reference: Some(reference.to_owned()),
            verdict: Verdict::Pending,
            word: "IN_PROGRESS".to_owned(),
            iban: None,
            bic: None,
            reason: None,
        }
    }

    #[test]
    fn the_key_takes_the_time_as_it_was_written_and_odd_forms_in_their_hash() {
        let key = |time: Option<&str>| item_key(Some(&report("r")), time, &[7; 32]);
        let hash = "07".repeat(32);
        for time in
            ["2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00+0000", "2026-01-01T00:00:00", "1767225600000"]
        {
            assert_eq!(key(Some(time)), format!("list:r:IN_PROGRESS:{time}"));
        }
        assert_eq!(key(None), format!("list:r:IN_PROGRESS:{hash}"));
        assert_eq!(key(Some("\u{0}")), format!("list:r:IN_PROGRESS:{hash}"));
        assert!(key(Some(&"9".repeat(500))).starts_with("sha256:"));
        assert!(item_key(Some(&report("r#1")), Some("t"), &[7; 32]).starts_with("sha256:"));
        assert_eq!(item_key(None, Some("t"), &[7; 32]), format!("list:{hash}"));
    }
}
