//! The evidence of a report: what is in it, that an auditor can check it without us, and that nothing in it can be changed unnoticed.

mod bank;
mod charges;
mod cli;
mod content;
mod forged;
mod hostile;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};

use account_opening::domain::signature::{EvidenceKey, PublicKey};
use account_opening::reconciliation::evidence::archive::write::Writer;
use account_opening::reconciliation::evidence::bag::{self, About, Digest};
use account_opening::reconciliation::evidence::verify::{Summary, verify};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{REGISTER, Register, reconcile, upload};
use crate::support::{KEY, TestApp};

pub const IBAN: &str = "BE68539007547034";
pub const OTHER_IBAN: &str = "BE71096123456769";

/// The key of another service.
pub fn other_key() -> EvidenceKey {
    EvidenceKey::new(&[9; 32])
}

pub fn key() -> EvidenceKey {
    EvidenceKey::new(&KEY)
}

pub async fn waiting(app: &TestApp) -> Value {
    let (id, _) = app.open().waiting().await;
    app.opening(&id).await
}

pub async fn completed(app: &TestApp, iban: &str) -> Value {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, iban).acknowledged().await;
    app.settle().await;
    app.opening(&id).await
}

pub fn first_day() -> Register {
    Register::of_day("2026-01-01")
}

/// Exports the evidence of a report as an operator.
pub async fn export(app: &TestApp, report: &str) -> Vec<u8> {
    let path = format!("{}/v1/reports/{report}/evidence", app.internal);
    let response = app.client.get(path).bearer_auth("operator-token").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let said: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().await.unwrap().to_vec();
    assert_eq!(bytes.len(), said);
    bytes
}

/// Verifies with a key, or with the enclosed one; the findings as lines.
pub fn verified(bundle: &[u8], key: Option<&PublicKey>) -> (Summary, Vec<String>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bundle).unwrap();
    file.rewind().unwrap();
    verified_file(file, key)
}

pub fn verified_file(file: File, key: Option<&PublicKey>) -> (Summary, Vec<String>) {
    let mut findings = Vec::new();
    let summary = verify(file, key, &mut |it| findings.push(it.to_string())).unwrap();
    assert_eq!(summary.findings, findings.len() as u64);
    (summary, findings)
}

/// Nothing is found with the service's key.
pub fn fits(bundle: &[u8]) -> Summary {
    let (summary, findings) = verified(bundle, Some(&key().public()));
    assert!(findings.is_empty(), "{findings:#?}");
    summary
}

/// The files of a bundle in their order, read by another program's code; names without the folder.
pub fn files(bundle: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bundle)).unwrap();
    let count = zip.len();
    let read = |n: usize| {
        let mut entry = zip.by_index(n).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let name = entry.name().unwrap().split_once('/').unwrap().1.to_owned();
        (name, bytes)
    };
    (0..count).map(read).collect()
}

pub fn unpacked(bundle: &[u8]) -> BTreeMap<String, Vec<u8>> {
    files(bundle).into_iter().collect()
}

/// The objects of a file of lines.
pub fn lines(bundle: &[u8], name: &str) -> Vec<Value> {
    let files = unpacked(bundle);
    let text = std::str::from_utf8(&files[name]).unwrap();
    text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// A bundle with this payload that is right in form, signed by this key: what a forger with a key of their own can make.
pub fn signed(payload: &[(String, Vec<u8>)], key: &EvidenceKey) -> Vec<u8> {
    let report = payload.iter().find(|(name, _)| name == "data/report.json").unwrap();
    let facts: Value = serde_json::from_slice(&report.1).unwrap();
    let about = About {
        id: facts["id"].as_str().unwrap().to_owned(),
        made_at: facts["made_at"].as_str().unwrap().parse().unwrap(),
    };
    let digest =
        |(name, bytes): &(String, Vec<u8>)| Digest { name: name.clone(), sha256: hex::encode(Sha256::digest(bytes)) };
    let manifest = bag::manifest(&payload.iter().map(digest).collect::<Vec<_>>());
    let bytes = payload.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut tags = vec![
        (bag::DECLARATION.to_owned(), bag::DECLARED.as_bytes().to_vec()),
        (bag::INFO.to_owned(), bag::info(&about, bytes, payload.len()).into_bytes()),
        (bag::MANIFEST.to_owned(), manifest.clone().into_bytes()),
        (bag::SIGNATURE.to_owned(), key.sign(manifest.as_bytes()).to_vec()),
        (bag::PUBLIC_KEY.to_owned(), key.public().to_pem().unwrap().into_bytes()),
    ];
    let tag_manifest = bag::manifest(&tags.iter().map(digest).collect::<Vec<_>>());
    tags.push((bag::TAG_MANIFEST.to_owned(), tag_manifest.into_bytes()));
    zipped(&bag::folder(&about.id), payload.iter().chain(&tags))
}

/// The zip of these files.
pub fn zipped<'a>(folder: &str, files: impl Iterator<Item = &'a (String, Vec<u8>)>) -> Vec<u8> {
    let mut writer = Writer::new(tempfile::tempfile().unwrap());
    for (name, bytes) in files {
        writer.begin(format!("{folder}{name}")).unwrap();
        writer.write(bytes).unwrap();
        writer.end().unwrap();
    }
    let mut bytes = Vec::new();
    writer.finish().unwrap().0.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A register with a row that agrees, a missed answer, a stranger and a bad row; its evidence.
pub async fn register_bundle(app: &TestApp) -> (Value, Vec<u8>) {
    let (one, two) = (completed(app, IBAN).await, waiting(app).await);
    let stranger = "aor_stranger,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,";
    let bad = "aor_bad,,IN_PROGRESS,,,,BE,KRON,2026-01-01T08:00:00Z,";
    let register =
        first_day().about(&one, "COMPLETED", IBAN).about(&two, "COMPLETED", OTHER_IBAN).row(stranger).row(bad);
    let report = reconcile(app, &register).await;
    let bundle = export(app, report["id"].as_str().unwrap()).await;
    (report, bundle)
}
