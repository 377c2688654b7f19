//! A document is what was signed: each byte that changed is found, and with the history's key each step.

use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Document, Part, head, manifest, tail};
use super::{ABOUT, About, OPENING, README, masking};
use crate::clock::Time;
use crate::domain::chain::{HistoryKey, Row};
use crate::domain::signature::EvidenceKey;
use crate::reconciliation::evidence::verify::verify_opening;

const ID: Uuid = Uuid::from_u128(7);

fn key() -> EvidenceKey {
    EvidenceKey::new(&[7; 32])
}

fn history_key() -> HistoryKey {
    HistoryKey::new(&[9; 32])
}

/// Two steps, chained.
fn opening(detail: &str) -> Value {
    let at: Time = "2026-01-01T00:00:00.000001Z".parse().unwrap();
    let rows = [
        Row {
            opening: ID,
            version: 1,
            from: None,
            to: "creating_profile",
            event: "started",
            source: "api",
            inbox_id: None,
            at,
            detail: None,
        },
        Row {
            opening: ID,
            version: 2,
            from: Some("creating_profile"),
            to: "failed",
            event: "resolved",
            source: "operator",
            inbox_id: None,
            at,
            detail: Some(detail),
        },
    ];
    let (mut before, mut history) = (None, Vec::new());
    for row in rows {
        let hash = history_key().link(before.as_ref(), &row);
        before = Some(hash);
        history.push(json!({"version": row.version, "from_state": row.from, "to_state": row.to, "event": row.event,
            "source": row.source, "inbox_id": null, "at": row.at, "detail": row.detail, "hash": hex::encode(hash)}));
    }
    json!({"id": ID, "state": "failed", "version": 2, "head_hash": hex::encode(before.unwrap()), "history": history})
}

fn document(opening: &Value, masked: bool) -> String {
    let about = About::new(ID, "2026-01-02T00:00:00Z".parse().unwrap(), masked);
    let parts = [
        Part::of(README, b"read me\n".to_vec()),
        Part::of(ABOUT, serde_json::to_vec(&about).unwrap()),
        Part::of(OPENING, opening.to_string().into_bytes()),
        Part::of("facts/1/body", b"{\"iban\":\"BE68\"}\xff\x00".to_vec()),
    ];
    let digests: Vec<_> = parts.iter().map(Part::digest).collect();
    let manifest = manifest(&digests);
    let lines: Vec<String> = parts.iter().map(Part::line).collect();
    let signature = hex::encode(key().sign(manifest.as_bytes()));
    let tail = tail(&manifest, &signature, &key().public().to_pem().unwrap());
    format!("{}{}{tail}", head(ID, masked), lines.join(",\n"))
}

fn found(text: &[u8], chain: Option<&HistoryKey>) -> Vec<String> {
    let mut found = Vec::new();
    let summary = verify_opening(text, Some(&key().public()), chain, &mut |it| found.push(it.to_string()));
    assert_eq!(summary.findings, found.len() as u64);
    found
}

#[test]
fn a_document_fits_and_each_byte_of_it_that_changes_is_found() {
    let text = document(&opening("ended"), false).into_bytes();
    assert_eq!(found(&text, Some(&history_key())), [] as [&str; 0]);
    for at in 0..text.len() {
        for flip in [1, 0x20] {
            let mut changed = text.clone();
            changed[at] ^= flip;
            assert!(!found(&changed, None).is_empty(), "byte {at} ^ {flip}: {:?}", text[at] as char);
        }
    }
    assert!(!found(&text[..text.len() - 1], None).is_empty());
    assert!(!found(&[&text[..], b" "].concat(), None).is_empty());
    for other in ["", "{}", "[]", "{\"parts\":1}"] {
        assert_eq!(found(other.as_bytes(), None).len(), 1, "{other}");
    }
}

#[test]
fn a_history_forged_with_the_right_signature_is_found_by_the_historys_key() {
    let forged = {
        let mut forged = opening("ended");
        forged["history"][1]["detail"] = "another reason".into();
        document(&forged, false)
    };
    assert_eq!(found(forged.as_bytes(), None), [] as [&str; 0], "the signature alone cannot tell");
    let by_chain = found(forged.as_bytes(), Some(&history_key()));
    assert!(by_chain[0].contains("opening.json: its history is not what HISTORY_KEY chained"), "{by_chain:?}");
    assert!(!found(document(&opening("x"), false).as_bytes(), Some(&HistoryKey::new(&[1; 32]))).is_empty());
    let illegal = {
        let mut illegal = opening("ended");
        illegal["history"][1]["to_state"] = "completed".into();
        illegal["state"] = "completed".into();
        document(&illegal, false)
    };
    assert!(found(illegal.as_bytes(), None)[0].contains("no opening takes"));
}

#[test]
fn a_masked_step_is_not_checked_and_the_others_are() {
    let mask: super::Mask = std::sync::Arc::new(|text: &str| text.replace("Acme BV", "A… B…"));
    let masked = masking::opening(opening("Acme BV left"), &mask);
    assert_eq!(masked["history"][1]["detail"], "A… B… left");
    let text = document(&masked, true);
    assert_eq!(found(text.as_bytes(), Some(&history_key())), [] as [&str; 0]);
    let forged = {
        let mut forged = masked.clone();
        forged["history"][0]["event"] = "resolved".into();
        document(&forged, true)
    };
    assert!(!found(forged.as_bytes(), Some(&history_key())).is_empty());
    let read: Document = serde_json::from_str(&text).unwrap();
    assert!(read.note.contains("cover none of these bytes"));
}

#[test]
fn a_document_of_another_key_says_whose_it_is_not() {
    let text = document(&opening("ended"), false);
    let mut found = Vec::new();
    let other = EvidenceKey::new(&[8; 32]).public();
    verify_opening(text.as_bytes(), Some(&other), None, &mut |it| found.push(it.to_string()));
    assert!(found.iter().any(|it| it.contains("is not the given key")), "{found:?}");
    let enclosed = verify_opening(text.as_bytes(), None, None, &mut |it| panic!("{it}"));
    assert!(enclosed.key_is_enclosed && enclosed.public_key_sha256 == Some(key().public().fingerprint()));
}

#[test]
fn escapes_in_a_body_hide_nothing_from_the_mask() {
    let mask: super::Mask = std::sync::Arc::new(|text: &str| text.replace("BE68539007547034", "•"));
    let masked = masking::body(br#"{"iban":"\u0042E68539007547034","n":[1]}"#, &mask);
    assert_eq!(String::from_utf8(masked).unwrap(), r#"{"iban":"•","n":[1]}"#);
    assert_eq!(masking::body(b"iban=BE68539007547034\xff", &mask), "iban=•\u{fffd}".as_bytes());
}
