//! The zip, the bag in it, checksums and signature.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};

use flate2::Crc;
use sha2::{Digest as _, Sha256};

use super::contents::Contents;
use super::{Findings, Summary};
use crate::domain::signature::PublicKey;
use crate::reconciliation::evidence::archive::read::{self, ZIP};
use crate::reconciliation::evidence::bag::{self, About, Digest};
use crate::reconciliation::evidence::lines::{self, ReportFacts};

/// Files that every bundle has below `data/`, and the one that some have.
const PAYLOAD: [&str; 13] = [
    lines::README,
    lines::REPORT,
    lines::REDACTIONS,
    lines::ROWS,
    lines::MATCHES,
    lines::ERRORS,
    lines::MISMATCHES,
    lines::FACTS,
    lines::ACTS,
    lines::CHARGE_LINES,
    lines::LEDGER,
    lines::BALANCES,
    lines::OPENINGS,
];

/// Checks what does not depend on the content of the payload. None: the files cannot be found.
pub fn check(
    file: File,
    key: Option<&PublicKey>,
    summary: &mut Summary,
    findings: &mut Findings<'_>,
) -> io::Result<Option<Contents>> {
    let opened = read::open(file)?;
    opened.findings.iter().for_each(|it| findings.add(it));
    let Some(archive) = opened.archive else { return Ok(None) };
    let folder = archive.entries.first().and_then(|it| it.name.split_once('/')).map(|(folder, _)| format!("{folder}/"));
    let mut contents = Contents { archive, folder: folder.unwrap_or_default(), digests: BTreeMap::new() };
    for entry in contents.archive.entries.iter().filter(|it| !it.name.starts_with(&contents.folder)) {
        findings.of(ZIP, format!("{} stands outside of the folder {}", entry.name, contents.folder));
    }
    contents.digests = digests(&contents, findings)?;
    summary.files = contents.digests.len() as u64;
    let listed = payload(&contents, findings)?;
    signature(&contents, key, summary, findings)?;
    tags(&contents, findings)?;
    order(&contents, &listed, findings);
    Ok(Some(contents))
}

fn digests(contents: &Contents, findings: &mut Findings<'_>) -> io::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for (name, entry) in contents.entries() {
        let (mut part, mut crc, mut hash) = (contents.archive.read(entry), Crc::new(), Sha256::new());
        let mut piece = vec![0; 256 * 1024];
        loop {
            let length = part.read(&mut piece)?;
            if length == 0 {
                break;
            }
            crc.update(&piece[..length]);
            hash.update(&piece[..length]);
        }
        if crc.sum() != entry.crc {
            findings.of(name, "its content does not have the CRC-32 that its headers say");
        }
        digests.insert(name.to_owned(), hex::encode(hash.finalize()));
    }
    Ok(digests)
}

/// Compares the payload with the manifest; returns what the manifest lists.
fn payload(contents: &Contents, findings: &mut Findings<'_>) -> io::Result<Vec<Digest>> {
    let manifest = contents.small(bag::MANIFEST, findings)?.and_then(|it| String::from_utf8(it).ok());
    let Some(listed) = manifest.as_deref().and_then(bag::read_manifest) else {
        findings.of(bag::MANIFEST, "does not consist of lines of a SHA-256 and a name");
        return Ok(Vec::new());
    };
    let names: BTreeSet<&str> = listed.iter().map(|it| it.name.as_str()).collect();
    for Digest { name, sha256 } in &listed {
        match contents.digests.get(name) {
            None => findings.of(name, "is missing; the manifest lists it"),
            Some(found) if found != sha256 => {
                findings.of(name, format!("has the SHA-256 {found}; the manifest says {sha256}"));
            }
            Some(_) => {}
        }
    }
    let digests = &contents.digests;
    for name in digests.keys().filter(|it| it.starts_with(bag::PAYLOAD) && !names.contains(it.as_str())) {
        findings.of(name, "is not listed in the manifest");
    }
    for name in PAYLOAD.into_iter().filter(|it| !digests.contains_key(*it) && !names.contains(*it)) {
        findings.of(name, "is missing; every bundle has it");
    }
    Ok(listed)
}

fn signature(
    contents: &Contents,
    key: Option<&PublicKey>,
    summary: &mut Summary,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let manifest = contents.small(bag::MANIFEST, findings)?;
    let signature = contents.small(bag::SIGNATURE, findings)?;
    let text = contents.small(bag::PUBLIC_KEY, findings)?;
    let enclosed = text.as_ref().and_then(|it| PublicKey::from_pem(std::str::from_utf8(it).ok()?).ok());
    match (&enclosed, &text) {
        (Some(it), Some(text)) if it.to_pem().is_ok_and(|it| it.as_bytes() == text.as_slice()) => {}
        (_, None) => {}
        _ => findings.of(bag::PUBLIC_KEY, "is not an Ed25519 public key in PEM as the service writes it"),
    }
    let Some(used) = key.or(enclosed.as_ref()) else { return Ok(()) };
    summary.public_key_sha256 = Some(used.fingerprint());
    if enclosed.as_ref().is_some_and(|it| it != used) {
        findings.of(bag::PUBLIC_KEY, "is another key than the one that was given");
    }
    if let (Some(manifest), Some(signature)) = (manifest, signature)
        && !used.verifies(&manifest, &signature)
    {
        let which = if key.is_some() { "the given key" } else { "the enclosed key" };
        findings.of(bag::SIGNATURE, format!("is no signature of {} by {which}", bag::MANIFEST));
    }
    Ok(())
}

/// The files beside the payload that have the same content in every bundle.
fn tags(contents: &Contents, findings: &mut Findings<'_>) -> io::Result<()> {
    if let Some(declared) = contents.small(bag::DECLARATION, findings)?
        && declared != bag::DECLARED.as_bytes()
    {
        findings.of(bag::DECLARATION, "does not declare BagIt 1.0 in UTF-8");
    }
    let beside = bag::TAG_FILES.iter().filter(|it| **it != bag::TAG_MANIFEST);
    let digest = |name: &&str| Some(Digest { name: (*name).to_owned(), sha256: contents.digests.get(*name)?.clone() });
    let expected = bag::manifest(&beside.filter_map(digest).collect::<Vec<_>>());
    if let Some(found) = contents.small(bag::TAG_MANIFEST, findings)?
        && found != expected.as_bytes()
    {
        findings.of(bag::TAG_MANIFEST, "does not list the files beside data/ with their SHA-256");
    }
    let is_tag = |name: &str| bag::TAG_FILES.contains(&name);
    for (name, _) in contents.entries().filter(|(it, _)| !it.starts_with(bag::PAYLOAD) && !is_tag(it)) {
        findings.of(name, "is no file of a bundle");
    }
    Ok(())
}

/// The manifest's order is that of the zip, so that a bundle has one form.
fn order(contents: &Contents, listed: &[Digest], findings: &mut Findings<'_>) {
    let found: Vec<&str> = contents.entries().map(|(name, _)| name).collect();
    let expected: Vec<&str> = listed.iter().map(|it| it.name.as_str()).chain(bag::TAG_FILES).collect();
    let (mut sorted, mut wanted) = (found.clone(), expected.clone());
    sorted.sort_unstable();
    wanted.sort_unstable();
    if sorted == wanted && found != expected {
        findings.of(ZIP, "its files are not in the order of the manifest");
    }
}

/// Checks what follows from the facts of the report: the folder's name, `bag-info.txt`, and which files may be there.
pub fn about(contents: &Contents, report: &ReportFacts, findings: &mut Findings<'_>) -> io::Result<()> {
    let about = About { id: report.id.to_string(), made_at: report.made_at };
    if contents.folder != bag::folder(&about.id) {
        findings.of(ZIP, format!("its folder is {}; expected {}", contents.folder, bag::folder(&about.id)));
    }
    let payload = || contents.entries().filter(|(name, _)| name.starts_with(bag::PAYLOAD));
    let bytes = payload().map(|(_, entry)| entry.size).sum();
    if let Some(found) = contents.small(bag::INFO, findings)?
        && found != bag::info(&about, bytes, payload().count()).as_bytes()
    {
        findings.of(bag::INFO, "is not what follows from the payload and data/report.json");
    }
    let raw = lines::raw(&report.format);
    if contents.part(raw).is_none() {
        findings.of(raw, "is missing; every bundle has it");
    }
    let is_price_list = |name: &str| name.starts_with("data/price-list-");
    let is_known = |name: &str| PAYLOAD.contains(&name) || [raw, lines::PROFILE].contains(&name) || is_price_list(name);
    for (name, _) in payload().filter(|(name, _)| !is_known(name)) {
        findings.of(name, "is no file of a bundle");
    }
    Ok(())
}
