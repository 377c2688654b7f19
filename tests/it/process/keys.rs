//! The key of the history: another one than the histories were written with is never worked with. (P22)

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use account_opening::domain::signature::EvidenceKey;

use super::external::{execute, migrated};
use crate::support::process::{Ended, Folder, Program};
use crate::support::service::ServiceBuilder;
use crate::support::{KEY as KEY_BYTES, evidence_key};

const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OTHER_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

fn refused(ended: &Ended, says: &str) {
    assert_eq!((ended.code(), ended.wrong_settings()), (Some(2), vec!["HISTORY_KEY"]), "{}", ended.stderr);
    let line = ended.line_about("HISTORY_KEY");
    assert!(line.contains(says) && line.contains("; expected "), "{line}");
    assert!(!line.contains(KEY) && !line.contains(OTHER_KEY), "{line}");
}

/// G4
#[tokio::test]
async fn a_start_with_another_key_than_the_histories_were_written_with_is_refused() {
    let (serve, url, schema) = migrated().await;
    // Nothing is written yet: any key will do.
    for key in [KEY, OTHER_KEY] {
        assert_eq!(serve.clone().env("HISTORY_KEY", key).start().await.stop().await.code(), Some(0));
    }
    let service = serve.clone().env("HISTORY_KEY", KEY).start().await;
    let (_, _, first) = service.open("order-1").await;
    let (_, _, last) = service.open("order-2").await;
    assert_eq!(service.stop().await.code(), Some(0));

    let quiet = serve.clone().env("LOG", "error");
    refused(&quiet.clone().env("HISTORY_KEY", OTHER_KEY).0.run().await, "verifies");
    // The file was lost: a key is not made beside histories that were written with another.
    for _ in 0..2 {
        refused(&quiet.0.run().await, "history.key");
    }

    // An edit is no other key.
    let id = last["id"].as_str().unwrap();
    assert_ne!(first["id"].as_str().unwrap(), id);
    let forge = format!("update opening_history set event = 'x' where opening_id = '{id}'");
    execute(&url, &schema, &format!("begin; set local session_replication_role = replica; {forge}; commit")).await;
    assert_eq!(serve.env("HISTORY_KEY", KEY).start().await.stop().await.code(), Some(0));
}

/// A folder for keys with a key that was kept there, its service stopped.
async fn kept() -> (ServiceBuilder, Arc<Folder>) {
    let (serve, ..) = migrated().await;
    let folder = Folder::new();
    let data = folder.path().join("data");
    let serve = serve.env("DATA_DIR", data.display().to_string());
    assert_eq!(serve.start().await.stop().await.code(), Some(0));
    (serve, folder)
}

/// G4: any other user who owns or reads the file can forge a history.
#[tokio::test]
async fn a_key_file_that_another_user_owns_or_everybody_reads_is_refused() {
    let (serve, folder) = kept().await;
    let file = folder.path().join("data/history.key");
    let quiet = serve.clone().env("LOG", "error").0;
    for mode in [0o604, 0o602, 0o666] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        refused(&quiet.run().await, "history.key");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(serve.start().await.stop().await.code(), Some(0), "a group is the owner's to choose");
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
    refused(&quiet.run().await, "is owned by");
    let verify = Program::new(&["verify-history"]).env("DATA_DIR", folder.path().join("data").display().to_string());
    refused(&verify.env("DATABASE_URL", "postgres://user@127.0.0.1:9/x").run().await, "is owned by");
}

/// The key of evidence is made once and kept, and its file is guarded like that of the history. A key that is set wins.
#[tokio::test]
async fn the_key_of_evidence_is_made_kept_and_guarded() {
    let (serve, folder) = kept().await;
    let file = folder.path().join("data/evidence.key");
    let made = std::fs::read_to_string(&file).unwrap();
    assert!(EvidenceKey::from_pem(&made).is_ok());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let ended = serve.start().await.stop().await;
    let public = EvidenceKey::from_pem(&made).unwrap().public().fingerprint();
    assert!(ended.stderr.contains(&public) && !ended.stderr.contains(made.lines().nth(1).unwrap()), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), made, "it is kept");
    let escaped = evidence_key().replace('\n', "\\n");
    let set = serve.clone().env("EVIDENCE_KEY", escaped).start().await.stop().await;
    assert!(set.stderr.contains(&EvidenceKey::new(&KEY_BYTES).public().fingerprint()), "{}", set.stderr);
    let quiet = serve.env("LOG", "error").0;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = quiet.run().await;
    assert_eq!((ended.code(), ended.wrong_settings()), (Some(2), vec!["EVIDENCE_KEY"]), "{}", ended.stderr);
    assert!(ended.line_about("EVIDENCE_KEY").contains("evidence.key"), "{}", ended.stderr);
}
