//! Converts a page of a provider's list to facts for the inbox.
//!
//! Each item is stored byte for byte, under a key of request, status and time of change. So a repeated item, on any
//! page and after any crash, is stored once. An unreadable item is a dead letter, like an unreadable webhook.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::clock::{Ids, Time};
use crate::db::inbox::{Arrival, Digest, NewFact, event_key, meaning};
use crate::domain::{Report, Source};
use crate::provider::{ListItem, ListPage, Parsed, Provider};

/// The facts of a page, in its order.
#[must_use]
pub fn facts(ids: &Ids, provider: &dyn Provider, page: &ListPage, now: Time) -> Vec<NewFact> {
    page.items.iter().map(|item| fact(ids, provider, item, now)).collect()
}

fn fact(ids: &Ids, provider: &dyn Provider, item: &ListItem, now: Time) -> NewFact {
    let digest: Digest = Sha256::digest(&item.body).into();
    let (report, arrival) = match provider.parse_item(&item.body) {
        Parsed::Reports(mut reports) if reports.len() == 1 => (reports.pop(), Arrival::Pending),
        Parsed::Ignored(why) => (None, Arrival::Ignored(why)),
        Parsed::Handshake => (None, Arrival::Ignored("handshake")),
        // A list item must be exactly one report.
        Parsed::Reports(_) | Parsed::Unreadable(_) => (None, Arrival::Dead("unreadable")),
    };
    let (source, name) = (Source::List, provider.name());
    NewFact {
        id: ids.next(),
        group: format!("{source}:{name}"),
        event_id: event_id(report.as_ref(), item.updated_at.as_deref(), &digest),
        source,
        provider: name.to_owned(),
        part: 0,
        body: item.body.clone(),
        digest,
        meaning: report.as_ref().map(meaning),
        headers: json!({}),
        opening_id: report.as_ref().and_then(Report::opening).map(|it| it.0),
        provider_ref: report.as_ref().and_then(|it| it.reference.as_ref()).map(ToString::to_string),
        received_at: now,
        retry_from: now,
        arrival,
        lane: None,
    }
}

/// `list:{ref}:{status}:{updated_at}`, with the time as the provider writes it. Without a usable time or readable
/// content, the body's hash is used.
fn event_id(report: Option<&Report>, updated_at: Option<&str>, digest: &Digest) -> String {
    let hash = hex::encode(digest);
    let Some(report) = report else { return format!("list:{hash}") };
    let reference = report.subject().unwrap_or_default();
    let stamp = updated_at.filter(|it| !it.chars().any(char::is_control)).unwrap_or(&hash);
    event_key(&format!("list:{reference}:{}:{stamp}", report.word))
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
        let key = |time: Option<&str>| event_id(Some(&report("r")), time, &[7; 32]);
        let hash = "07".repeat(32);
        for time in
            ["2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00+0000", "2026-01-01T00:00:00", "1767225600000"]
        {
            assert_eq!(key(Some(time)), format!("list:r:IN_PROGRESS:{time}"));
        }
        assert_eq!(key(None), format!("list:r:IN_PROGRESS:{hash}"));
        assert_eq!(key(Some("\u{0}")), format!("list:r:IN_PROGRESS:{hash}"));
        assert!(key(Some(&"9".repeat(500))).starts_with("sha256:"));
        assert!(event_id(Some(&report("r#1")), Some("t"), &[7; 32]).starts_with("sha256:"));
        assert_eq!(event_id(None, Some("t"), &[7; 32]), format!("list:{hash}"));
    }
}
