//! Files that are no bundles, and zips that want to do harm: each is refused with a finding, at once and in little memory.

use std::io::{Cursor, Read as _, Write as _};

use account_opening::reconciliation::evidence::archive::write::Writer;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{register_bundle, verified};
use crate::support::TestApp;

fn refused(bytes: &[u8], says: &str) {
    let (summary, findings) = verified(bytes, None);
    assert!(findings.iter().any(|it| it.contains(says)), "{says}: {findings:#?}");
    assert!(summary.findings > 0 && findings.len() < 200, "{} findings", findings.len());
}

/// A zip by another program's code.
fn foreign(name: &str, content: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap().into_inner()
}

fn ours(names: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(tempfile::tempfile().unwrap());
    for name in names {
        writer.begin((*name).to_owned()).unwrap();
        writer.write(b"content").unwrap();
        writer.end().unwrap();
    }
    let mut bytes = Vec::new();
    writer.finish().unwrap().0.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn files_that_are_no_bundles_are_refused_with_a_finding() {
    refused(b"", "0 bytes long");
    refused(b"{\"a\": 1}", "no bundle");
    refused(&vec![0; 4096], "the end record");
    refused(&vec![0xff; 4096], "the end record");
    refused(&foreign("a.txt", b"a", CompressionMethod::Stored), "zip: ");
    // Ten megabytes of zeros in ten kilobytes: nothing is decompressed.
    refused(&foreign("data/rows.jsonl", &vec![0; 10 << 20], CompressionMethod::Deflated), "zip: ");
}

#[test]
fn names_that_lead_out_of_the_folder_or_stand_twice_are_refused() {
    for name in ["../evil", "x/../../evil", "/etc/passwd", "x//y", "x\\y", "x/\u{e9}", "C:evil", "."] {
        refused(&ours(&[name]), "a name that no bundle has");
    }
    refused(&ours(&[&["a"; 150].join("/")]), "has a name of 299 bytes");
    refused(&ours(&["e/data/a", "e/data/a"]), "stands in it twice");
    refused(&ours(&["e/data/a", "f/data/b"]), "stands outside of the folder");
    refused(&ours(&["e/data/a"]), "data/report.json: is missing");
}

/// P32: cut anywhere, or with bytes before or behind it.
#[tokio::test]
async fn a_bundle_that_was_cut_off_or_extended_is_refused() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    for length in (0..bundle.len()).step_by(97).chain(bundle.len() - 120..bundle.len()) {
        refused(&bundle[..length], "zip: ");
    }
    refused(&[&bundle[..], b"x"].concat(), "zip: ");
    refused(&[b"x", &bundle[..]].concat(), "zip: ");
    refused(&[&bundle[..], &bundle[..]].concat(), "zip: ");
    app.finish().await;
}

/// Numbers in the 64-bit fields that no file can hold.
#[tokio::test]
async fn sizes_and_counts_beyond_the_file_are_refused() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    let end = bundle.len() - 98;
    for place in [24, 32, 40, 48] {
        for value in [0, 1, u64::MAX, u64::MAX / 2, 1 << 40] {
            let mut changed = bundle.clone();
            changed[end + place..end + place + 8].copy_from_slice(&u64::to_le_bytes(value));
            refused(&changed, "zip: ");
        }
    }
    let central = bundle.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
    let name = usize::from(bundle[central + 28]);
    for place in [4, 12, 20] {
        for value in [1, u64::MAX, 1 << 40] {
            let mut changed = bundle.clone();
            let at = central + 46 + name + place;
            changed[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
            refused(&changed, "zip: ");
        }
    }
    app.finish().await;
}
