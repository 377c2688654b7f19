//! P22: recomputes the hash chain of each history over independently built bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::Run;
use super::dump::Step;
use super::report::{Kind, Report, Violation};

/// Every link, and the last one against the anchor's.
pub fn check(run: &Run, report: &mut Report) {
    for (opening, steps) in &run.dump.history {
        let mut previous = Vec::new();
        for step in steps {
            let expected = link(&run.history_key, &previous, step).unwrap_or_default();
            let found = bytes(&step.hash);
            if expected != found {
                let what =
                    format!("the link of version {} does not follow from its row and the one before", step.version);
                let violation = Violation::of(what, hex::encode(&expected), hex::encode(&found));
                report.add(Kind::BrokenChains, violation.opening(opening));
            }
            // Each link is checked against its stored predecessor: one edit breaks one link or two.
            previous = found;
        }
        let head = run.dump.anchors.get(opening).map(|anchor| bytes(&anchor.head_hash));
        if let Some(head) = head.filter(|head| *head != previous) {
            let what = "the anchor's head is not the last link";
            let violation = Violation::of(what, hex::encode(previous), hex::encode(head));
            report.add(Kind::BrokenChains, violation.opening(opening));
        }
    }
}

/// A `bytea` of the dump.
fn bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok()).unwrap_or_default()
}

/// HMAC-SHA256 over the previous link and the row. None: the row is invalid.
pub fn link(key: &[u8; 32], previous: &[u8], step: &Step) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(previous);
    let opening = Uuid::parse_str(&step.opening_id).ok()?;
    let fact = step.inbox_id.as_deref().map(Uuid::parse_str).transpose().ok()?;
    let fields: [Option<&[u8]>; 9] = [
        Some(opening.as_bytes()),
        Some(&step.version.to_be_bytes()),
        step.from_state.as_deref().map(str::as_bytes),
        Some(step.to_state.as_bytes()),
        Some(step.event.as_bytes()),
        Some(step.source.as_bytes()),
        fact.as_ref().map(|id| id.as_bytes().as_slice()),
        Some(&step.at.0.to_be_bytes()),
        step.detail.as_deref().map(str::as_bytes),
    ];
    for field in fields {
        match field {
            None => mac.update(&[0]),
            Some(value) => {
                mac.update(&[1]);
                mac.update(&u64::try_from(value.len()).ok()?.to_be_bytes());
                mac.update(value);
            }
        }
    }
    Some(mac.finalize().into_bytes().to_vec())
}
