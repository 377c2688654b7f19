//! P32: a changed bundle is found, with any key's signature; and any flipped byte is named.

use account_opening::reconciliation::evidence::bag;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::test_runner::TestRunner;

use super::{export, files, fits, key, other_key, register_bundle, signed, verified};
use crate::support::TestApp;

/// The payload of a bundle.
fn payload(bundle: &[u8]) -> Vec<(String, Vec<u8>)> {
    files(bundle).into_iter().filter(|(name, _)| name.starts_with(bag::PAYLOAD)).collect()
}

/// A bundle with one text of one file replaced, and signed again with this service's own key: only performing again finds it.
fn edited(bundle: &[u8], file: &str, from: &str, to: &str) -> Vec<u8> {
    let mut payload = payload(bundle);
    let (_, bytes) = payload.iter_mut().find(|(name, _)| name == file).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{file} has no {from}: {text}");
    *bytes = text.replacen(from, to, 1).into_bytes();
    signed(&payload, &key())
}

#[tokio::test]
async fn a_bundle_that_was_edited_and_signed_again_does_not_follow() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    fits(&signed(&payload(&bundle), &key()));
    for (file, from, to, place, says) in [
        (
            "data/rows.jsonl",
            "\"MISSED_ANSWER\"",
            "\"MATCHED\"",
            "data/rows.jsonl line 2",
            "MISSED_ANSWER by final_ours_waits",
        ),
        ("data/rows.jsonl", "both_completed", "both_rejected", "data/rows.jsonl line 1", "is MATCHED by both_rejected"),
        (
            "data/rows.jsonl",
            "\"state\": \"completed\"",
            "\"state\": \"rejected\"",
            "data/rows.jsonl line 1",
            "come to STATUS_MISMATCH",
        ),
        (
            "data/rows.jsonl",
            "\"state\": \"awaiting_provider\"",
            "\"state\": \"escalated\"",
            "data/openings.jsonl line",
            "was never escalated",
        ),
        ("data/rows.jsonl", "\"iban\": \"BE68", "\"iban\": \"BE71", "data/rows.jsonl line 1", ""),
        ("data/rows.jsonl", "\"line\": 3", "\"line\": 4", "data/rows.jsonl line 1", "another place"),
        ("data/received-file.txt", "aor_stranger", "aor_strangem", "data/rows.jsonl line 3", "does not say"),
        ("data/received-file.txt", "COMPLETED", "REJECTED!", "data/rows.jsonl line 1", "does not say"),
        ("data/errors.jsonl", "unknown_currency", "too_precise", "data/errors.jsonl line 1", "does not have"),
        ("data/report.json", "\"MATCHED\": 1", "\"MATCHED\": 2", "data/report.json", "counts"),
        ("data/report.json", "\"bad_rows\": 1", "\"bad_rows\": 0", "data/report.json", "bad rows 0"),
        ("data/report.json", "\"complete\": false", "\"complete\": true", "data/report.json", "complete: true"),
        ("data/report.json", "\"form\": 1", "\"form\": 2", "data/report.json", "has the form 2"),
        ("data/matches.csv", "COMPLETED,completed", "COMPLETED,rejected", "data/matches.csv line 2", "does not follow"),
        (
            "data/mismatches.jsonl",
            "\"state\": \"case\"",
            "\"state\": \"resolved\"",
            "data/mismatches.jsonl line",
            "do not lead",
        ),
        (
            "data/openings.jsonl",
            "\"to_state\": \"completed\"",
            "\"to_state\": \"failed\"",
            "data/openings.jsonl line",
            "step",
        ),
        ("data/openings.jsonl", "\"id\": \"0", "\"id\": \"1", "data/openings.jsonl", "lacks the opening"),
    ] {
        let (_, findings) = verified(&edited(&bundle, file, from, to), Some(&key().public()));
        let is_named = findings.iter().any(|it| it.starts_with(place) && it.contains(says));
        assert!(is_named, "{from} -> {to}: {findings:#?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_row_that_was_removed_or_added_is_named() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    let rows = |change: fn(&mut Vec<&str>)| {
        let mut payload = payload(&bundle);
        let (_, bytes) = payload.iter_mut().find(|(name, _)| name == "data/rows.jsonl").unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        change(&mut lines);
        *bytes = lines.iter().flat_map(|it| [*it, "\n"]).collect::<String>().into_bytes();
        verified(&signed(&payload, &key()), None).1
    };
    let removed = rows(|it| it.retain(|row| !row.contains("MISSED_ANSWER")));
    assert!(
        removed.iter().any(|it| it == "data/received-file.txt line 4: is a row that data/rows.jsonl lacks"),
        "{removed:#?}"
    );
    let added = rows(|it| it.push(it[0]));
    assert!(added.iter().any(|it| it.starts_with("data/rows.jsonl line 4: is a row at byte")), "{added:#?}");
    app.finish().await;
}

#[tokio::test]
async fn another_signer_a_missing_file_and_one_too_many_are_named() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    let theirs = signed(&payload(&bundle), &other_key());
    let (summary, findings) = verified(&theirs, None);
    assert!(findings.is_empty() && summary.key_is_enclosed, "it fits itself: {findings:#?}");
    assert_eq!(summary.public_key_sha256, Some(other_key().public().fingerprint()));
    let (_, findings) = verified(&theirs, Some(&key().public()));
    assert!(findings.iter().any(|it| it.starts_with("public-key.pem: is another key")), "{findings:#?}");
    assert!(findings.iter().any(|it| it.starts_with("manifest-sha256.txt.sig: is no signature")), "{findings:#?}");

    let all = files(&bundle);
    let folder = format!("evidence-{}/", summary.report_id.unwrap());
    for (name, _) in &all {
        let left = super::zipped(&folder, all.iter().filter(|it| it.0 != *name));
        let (_, findings) = verified(&left, None);
        assert!(findings.iter().any(|it| it.starts_with(&format!("{name}: is missing"))), "{name}: {findings:#?}");
    }
    for name in ["data/more.txt", "more.txt"] {
        let more = [(name.to_owned(), b"more".to_vec())];
        let (_, findings) = verified(&super::zipped(&folder, all.iter().chain(&more)), None);
        assert!(findings.iter().any(|it| it.starts_with(&format!("{name}: is n"))), "{name}: {findings:#?}");
    }
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    let (_, findings) = verified(&super::zipped(&folder, swapped.iter()), None);
    assert_eq!(findings, ["zip: its files are not in the order of the manifest"]);
    let (_, findings) = verified(&super::zipped("evidence-of-another/", all.iter()), None);
    assert!(findings.iter().any(|it| it.starts_with("zip: its folder is evidence-of-another/")), "{findings:#?}");
    app.finish().await;
}

/// P32. Each byte of headers, manifests, signature and key is flipped, each seventh of the payload, and 500 at random: each is named by
/// its file, or by its place in the zip.
#[tokio::test]
async fn p32_any_flipped_byte_is_named() {
    let app = TestApp::start().await;
    let report =
        super::reconcile(&app, &super::first_day().row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,")).await;
    let bundle = export(&app, report["id"].as_str().unwrap()).await;
    fits(&bundle);
    let contents = contents(&bundle);
    let of = |byte: usize| contents.iter().find(|(_, range)| range.contains(&byte)).map(|(name, _)| name.as_str());
    let is_payload = |name: &str| name.starts_with(bag::PAYLOAD);
    let dense = (0..bundle.len()).filter(|byte| byte.is_multiple_of(7) || of(*byte).is_none_or(|it| !is_payload(it)));
    for byte in dense {
        named(&bundle, byte, 1 << (byte % 8), of(byte));
    }
    let flip = (0..bundle.len(), any::<u8>().prop_filter("changes nothing", |it| *it != 0), Just(()));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&flip, |(byte, bits, ())| {
            named(&bundle, byte, bits, of(byte));
            Ok(())
        })
        .unwrap();
    app.finish().await;
}

/// The content of each file in the zip, by its name in the folder.
fn contents(bundle: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bundle)).unwrap();
    let count = zip.len();
    let range = |n: usize| {
        let entry = zip.by_index(n).unwrap();
        let start = usize::try_from(entry.data_start().unwrap()).unwrap();
        let name = entry.name().unwrap().split_once('/').unwrap().1.to_owned();
        (name, start..start + usize::try_from(entry.size()).unwrap())
    };
    (0..count).map(range).collect()
}

fn named(bundle: &[u8], byte: usize, bits: u8, file: Option<&str>) {
    let mut flipped = bundle.to_vec();
    flipped[byte] ^= bits;
    let (_, findings) = verified(&flipped, Some(&key().public()));
    let is_named = match file {
        Some(name) => findings.iter().any(|it| it.starts_with(&format!("{name}: "))),
        None => findings.iter().any(|it| it.starts_with("zip: ")),
    };
    assert!(is_named, "byte {byte} ^ {bits:#x} of {file:?}: {findings:#?}");
}
