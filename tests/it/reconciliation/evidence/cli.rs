//! `evidence verify` as auditors and machines run it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{files, key, other_key, register_bundle, signed};
use crate::support::TestApp;
use crate::support::process::{Ended, Folder, Program};

async fn verify(folder: &Arc<Folder>, bundle: &[u8], options: &[&str]) -> Ended {
    std::fs::write(folder.path().join("evidence.zip"), bundle).unwrap();
    let arguments: Vec<&str> =
        ["evidence", "verify", "evidence.zip"].into_iter().chain(options.iter().copied()).collect();
    Program::new(&arguments).within(folder).run().await
}

fn with_keys() -> Arc<Folder> {
    let folder = Folder::new();
    std::fs::write(folder.path().join("ours.pem"), key().public().to_pem().unwrap()).unwrap();
    std::fs::write(folder.path().join("other.pem"), other_key().public().to_pem().unwrap()).unwrap();
    std::fs::write(folder.path().join("private.pem"), key().to_pem().unwrap()).unwrap();
    folder
}

#[tokio::test]
async fn a_good_bundle_ends_with_0_and_says_by_which_key() {
    let app = TestApp::start().await;
    let (report, bundle) = register_bundle(&app).await;
    let (folder, id, fingerprint) = (with_keys(), report["id"].as_str().unwrap(), key().public().fingerprint());
    let told = |key: &str| {
        format!(
            "report {id}: register of nexusbank\n20 files checked, 3 rows read and classified again\nsignature checked with the {key}\n\
             everything fits\n"
        )
    };
    let ended = verify(&folder, &bundle, &["--public-key", "ours.pem"]).await;
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout, told(&format!("given key (SHA-256 {fingerprint})")));
    let ended = verify(&folder, &bundle, &[]).await;
    let warning = "compare it with the operator's, or give that one with --public-key";
    assert_eq!(
        (ended.code(), ended.stdout),
        (Some(0), told(&format!("enclosed key (SHA-256 {fingerprint}): {warning}")))
    );
    let ended = verify(&folder, &bundle, &["--json"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    let expected = json!({
        "ok": true, "findings": [], "finding_count": 0, "report_id": id, "provider": "nexusbank", "kind": "register", "files": 20,
        "rows": 3, "redacted": 0, "public_key": "enclosed", "public_key_sha256": fingerprint,
    });
    assert_eq!((ended.code(), object), (Some(0), expected));
    app.finish().await;
}

#[tokio::test]
async fn each_discrepancy_is_listed_and_the_exit_code_is_1() {
    let app = TestApp::start().await;
    let (_, bundle) = register_bundle(&app).await;
    let folder = with_keys();
    let mut flipped = bundle.clone();
    let place = flipped.windows(12).position(|it| it == b"aor_stranger").unwrap();
    flipped[place] ^= 1;
    let ended = verify(&folder, &flipped, &[]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("evidence.zip: ") && ended.stderr.contains("not fit, listed on standard output"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("data/received-file.txt: has the SHA-256 "), "{}", ended.stdout);
    assert!(ended.stdout.contains("data/rows.jsonl line 3: "), "{}", ended.stdout);
    let ended = verify(&folder, &flipped, &["--json"]).await;
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    let count = object["findings"].as_array().unwrap().len();
    assert_eq!((ended.code(), &object["ok"], &object["finding_count"]), (Some(1), &json!(false), &json!(count)));
    assert!(object["findings"].as_array().unwrap().iter().any(|it| it["file"] == "data/rows.jsonl" && it["line"] == 3));

    let payload: Vec<(String, Vec<u8>)> = files(&bundle).into_iter().filter(|it| it.0.starts_with("data/")).collect();
    let theirs = signed(&payload, &other_key());
    assert_eq!(verify(&folder, &theirs, &["--public-key", "other.pem"]).await.code(), Some(0));
    let ended = verify(&folder, &theirs, &["--public-key", "ours.pem"]).await;
    let expected = "public-key.pem: is another key than the one that was given\nmanifest-sha256.txt.sig: is no signature of \
                    manifest-sha256.txt by the given key\n";
    assert!(ended.code() == Some(1) && ended.stdout.starts_with(expected), "{}", ended.stdout);
    let ended = verify(&folder, b"no zip", &[]).await;
    assert!(ended.code() == Some(1) && ended.stdout.contains("zip: is 6 bytes long: no bundle"), "{}", ended.stdout);
    app.finish().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_wrong_usage_and_is_not_shown() {
    let folder = with_keys();
    for (file, says) in
        [("missing.pem", "cannot read missing.pem"), ("private.pem", "private.pem is not an Ed25519 public key")]
    {
        let ended = verify(&folder, b"", &["--public-key", file]).await;
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(says) && !ended.stderr.contains("PRIVATE"), "{}", ended.stderr);
    }
    let ended = Program::new(&["evidence", "verify", "nothing.zip"]).within(&folder).run().await;
    assert!(ended.code() == Some(1) && ended.stderr.contains("cannot read nothing.zip"), "{}", ended.stderr);
    assert_eq!(Program::new(&["evidence", "verify"]).run().await.code(), Some(2));
}
