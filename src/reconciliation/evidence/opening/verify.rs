//! Checks the evidence of an opening. Without any key: each byte, the checksums, the signature by the enclosed key, and the steps of
//! the history. With the history's key: its hashes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::document::{Document, unhex};
use super::{ABOUT, About, FORM, OPENING};
use crate::clock::Time;
use crate::domain::chain::{Hash, HistoryKey, Row};
use crate::domain::signature::PublicKey;
use crate::domain::verify::{Anchor, Link, verify as verify_chain};
use crate::reconciliation::evidence::bag;
use crate::reconciliation::evidence::lines::OpeningLine;
use crate::reconciliation::evidence::verify::{Findings, history};

/// The name of the document as a whole in findings.
const DOCUMENT: &str = "document";

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpeningSummary {
    pub opening_id: Option<Uuid>,
    pub masked: bool,
    /// Of the key that checked the signature.
    pub public_key_sha256: Option<String>,
    /// No key was given: the enclosed one checked the signature.
    pub key_is_enclosed: bool,
    pub parts: u64,
    /// The steps of the history, each with its hash computed again. None: without `HISTORY_KEY`.
    pub chained: Option<u64>,
    pub findings: u64,
}

/// The history of `opening.json`, as its chain has it.
#[derive(Deserialize)]
struct Chained {
    id: Uuid,
    state: String,
    version: i64,
    head_hash: String,
    history: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    version: i64,
    from_state: Option<String>,
    to_state: String,
    event: String,
    source: String,
    inbox_id: Option<Uuid>,
    at: Time,
    detail: Option<String>,
    hash: String,
}

/// Verifies a document with a key, or with the enclosed one; with the history's key also its chain.
pub(in crate::reconciliation::evidence) fn check(
    bytes: &[u8],
    key: Option<&PublicKey>,
    chain: Option<&HistoryKey>,
    findings: &mut Findings<'_>,
) -> OpeningSummary {
    let mut summary = OpeningSummary { key_is_enclosed: key.is_none(), ..OpeningSummary::default() };
    let document: Document = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(error) => {
            findings.of(DOCUMENT, format!("is not the evidence of an opening: {error}"));
            return summary;
        }
    };
    summary.opening_id = Some(document.opening_id);
    summary.masked = document.masked;
    summary.parts = document.parts.len() as u64;
    written(bytes, &document, findings);
    parts(&document, findings);
    signature(&document, key, &mut summary, findings);
    about(&document, findings);
    if let Some(opening) = part(&document, OPENING, findings) {
        steps(&document, &opening, findings);
        summary.chained = chain.and_then(|key| chained(&document, &opening, key, findings));
    }
    summary
}

/// The document must be what the service writes.
fn written(bytes: &[u8], document: &Document, findings: &mut Findings<'_>) {
    let text = document.text();
    if text.as_bytes() != bytes {
        let same = text.bytes().zip(bytes).take_while(|(a, b)| a == *b).count();
        findings.of(DOCUMENT, format!("is not written as the service writes it, from byte {same} on"));
    }
}

fn parts(document: &Document, findings: &mut Findings<'_>) {
    let listed = bag::read_manifest(&document.manifest).unwrap_or_default();
    if listed.is_empty() {
        findings.of("manifest", "is not a list of SHA-256 and names");
    }
    let mut seen = BTreeSet::new();
    for part in &document.parts {
        if part.bytes().is_none() {
            findings.of(&part.name, "has no readable content");
        }
        let digest = part.digest();
        if !seen.insert(&part.name) {
            findings.of(&part.name, "stands twice");
        } else if !listed.contains(&digest) {
            findings.of(&part.name, "does not have the SHA-256 that the manifest says");
        }
    }
    for missing in listed.iter().filter(|it| !seen.contains(&it.name)) {
        findings.of(&missing.name, "is missing");
    }
}

fn signature(
    document: &Document,
    given: Option<&PublicKey>,
    summary: &mut OpeningSummary,
    findings: &mut Findings<'_>,
) {
    let enclosed = PublicKey::from_pem(&document.public_key).ok();
    if enclosed.as_ref().and_then(|it| it.to_pem().ok()).as_ref() != Some(&document.public_key) {
        findings.of("public_key", "is no Ed25519 public key in PEM");
    }
    let Some(key) = given.or(enclosed.as_ref()) else { return };
    summary.public_key_sha256 = Some(key.fingerprint());
    if enclosed.as_ref().is_some_and(|it| it != key) {
        findings.of("public_key", "is not the given key");
    }
    let signature = unhex(&document.signature).unwrap_or_default();
    if !key.verifies(document.manifest.as_bytes(), &signature) {
        findings.of("signature", "is not of this key and this manifest");
    }
}

/// A part of JSON.
fn part(document: &Document, name: &str, findings: &mut Findings<'_>) -> Option<Vec<u8>> {
    let bytes = document.parts.iter().find(|it| it.name == name).and_then(super::document::Part::bytes);
    if bytes.is_none() {
        findings.of(name, "is missing");
    }
    bytes
}

fn about(document: &Document, findings: &mut Findings<'_>) {
    let Some(bytes) = part(document, ABOUT, findings) else { return };
    match serde_json::from_slice::<About>(&bytes) {
        Ok(about) if about.form != FORM => {
            let what = format!("has the form {}; this version of the program verifies form {FORM}", about.form);
            findings.of(ABOUT, what);
        }
        Ok(about) => {
            if (about.opening_id, about.masked) != (document.opening_id, document.masked) {
                findings.of(ABOUT, "is about another opening, or says otherwise whether it is masked");
            }
        }
        Err(error) => findings.of(ABOUT, format!("cannot be read: {error}")),
    }
}

/// Checks the steps without any key.
fn steps(document: &Document, opening: &[u8], findings: &mut Findings<'_>) {
    match serde_json::from_slice::<OpeningLine>(opening) {
        Ok(line) if line.id != document.opening_id => findings.of(OPENING, "is another opening"),
        Ok(line) => {
            if let Some(why) = history(&line) {
                findings.of(OPENING, why);
            }
        }
        Err(error) => findings.of(OPENING, format!("cannot be read: {error}")),
    }
}

/// How many hashes were computed again. None: the history cannot be read.
fn chained(document: &Document, opening: &[u8], key: &HistoryKey, findings: &mut Findings<'_>) -> Option<u64> {
    let chained: Chained = serde_json::from_slice(opening).ok()?;
    let hashes: Vec<Vec<u8>> = chained.history.iter().map(|it| unhex(&it.hash).unwrap_or_default()).collect();
    if document.masked {
        return Some(apart(&chained, &hashes, key, findings));
    }
    let links: Vec<Link<'_>> =
        chained.history.iter().zip(&hashes).map(|(it, hash)| Link { row: row(chained.id, it), hash }).collect();
    let head = unhex(&chained.head_hash).unwrap_or_default();
    let anchor = Anchor { state: &chained.state, version: chained.version, head: &head };
    for found in verify_chain(key, chained.id, Some(&anchor), &links) {
        findings.of(OPENING, format!("its history is not what HISTORY_KEY chained: {found}"));
    }
    Some(links.len() as u64)
}

/// Checks each step that has no masked words, with the hash that stands before it.
fn apart(chained: &Chained, hashes: &[Vec<u8>], key: &HistoryKey, findings: &mut Findings<'_>) -> u64 {
    let mut before: Option<Hash> = None;
    let mut count = 0;
    for (step, hash) in chained.history.iter().zip(hashes) {
        let is_masked = step.detail.as_deref().is_some_and(|it| it.contains('…') || it.contains('•'));
        if !is_masked {
            count += 1;
            if key.link(before.as_ref(), &row(chained.id, step)).as_slice() != hash.as_slice() {
                findings.of(OPENING, format!("step {} is not what HISTORY_KEY chained", step.version));
            }
        }
        before = hash.as_slice().try_into().ok();
    }
    count
}

fn row(opening: Uuid, step: &Step) -> Row<'_> {
    Row {
        opening,
        version: step.version,
        from: step.from_state.as_deref(),
        to: &step.to_state,
        event: &step.event,
        source: &step.source,
        inbox_id: step.inbox_id,
        at: step.at,
        detail: step.detail.as_deref(),
    }
}
