//! `verify-history` as people and machines run it. What it finds, and how it locates it: `tests/it/verify.rs`. (P22)

use std::sync::Arc;

use serde_json::Value;

use super::external::{execute, migrated};
use crate::support::cluster::{SERVICE, url_as};
use crate::support::process::{Ended, Folder, Program};
use crate::support::service::ServiceBuilder;

const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OTHER_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

/// A database with openings, without a service.
struct Opened {
    url: String,
    schema: String,
    ids: Vec<String>,
    folder: Arc<Folder>,
}

async fn opened() -> Opened {
    let (serve, url, schema) = migrated().await;
    let service = serve.env("HISTORY_KEY", KEY).start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let (_, _, opening) = service.open(&format!("order-{n}")).await;
        ids.push(opening["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(service.stop().await.code(), Some(0));
    Opened { url, schema, ids, folder: Folder::new() }
}

impl Opened {
    fn program(&self, options: &[&str]) -> Program {
        let arguments: Vec<&str> = ["verify-history"].into_iter().chain(options.iter().copied()).collect();
        Program::new(&arguments)
            .within(&self.folder)
            .env("DATABASE_URL", url_as(&self.url, SERVICE))
            .env("DATABASE_SCHEMA", self.schema.as_str())
            .env("HISTORY_KEY", KEY)
    }

    async fn verify(&self, options: &[&str]) -> Ended {
        self.program(options).run().await
    }

    /// As superuser with the triggers off.
    async fn forge(&self, sql: &str) {
        let sql = format!("begin; set local session_replication_role = replica; {sql}; commit");
        execute(&self.url, &self.schema, &sql).await;
    }
}

#[tokio::test]
async fn a_clean_database_ends_with_0_and_a_summary() {
    let opened = opened().await;
    let ended = opened.verify(&[]).await;
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    assert_eq!(ended.stdout, "3 histories with 3 rows verified: 0 findings\n");
}

#[tokio::test]
async fn each_finding_is_a_line_that_locates_it_and_the_exit_code_is_1() {
    let opened = opened().await;
    let id = &opened.ids[1];
    opened.forge(&format!("update opening_history set event = 'x' where opening_id = '{id}'")).await;
    let ended = opened.verify(&[]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.stdout);
    assert!(lines[0].starts_with(&format!("{id} version 1: edited: ")), "{}", lines[0]);
    assert_eq!(lines[1], "3 histories with 3 rows verified: 1 findings");

    let ended = opened.verify(&["--json"]).await;
    let objects: Vec<Value> = ended.stdout.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!((&objects[0]["opening_id"], &objects[0]["version"]), (&id.as_str().into(), &1.into()));
    assert_eq!((&objects[0]["what"], &objects[1]["findings"]), (&"edited".into(), &1.into()));
    assert_eq!((objects.len(), ended.code()), (2, Some(1)));

    assert_eq!(opened.verify(&["--opening", id]).await.code(), Some(1));
    let other = opened.verify(&["--opening", &opened.ids[0]]).await;
    assert_eq!((other.code(), other.stdout.as_str()), (Some(0), "1 histories with 1 rows verified: 0 findings\n"));
    let unknown = opened.verify(&["--opening", "01994c3e-0000-7000-8000-000000000001"]).await;
    assert!(unknown.code() == Some(1) && unknown.stdout.contains("removed"), "{}", unknown.stdout);
}

#[tokio::test]
async fn an_opening_that_was_removed_whole_is_found_by_an_earlier_export() {
    let opened = opened().await;
    let ended = opened.verify(&["--export-heads", "heads.csv"]).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let exported = std::fs::read_to_string(opened.folder.path().join("heads.csv")).unwrap();
    let ids: Vec<&str> = exported.lines().map(|it| it.split(',').next().unwrap()).collect();
    assert_eq!(ids, opened.ids);
    assert!(exported.lines().all(|it| it.split(',').nth(1) == Some("1") && it.len() == 36 + 3 + 64), "{exported}");
    let ended = opened.verify(&["--heads", "heads.csv"]).await;
    assert_eq!(ended.stdout, "3 histories with 3 rows verified, 3 exported heads compared: 0 findings\n");

    let id = &opened.ids[2];
    let tables = ["cases", "tickets", "events", "outbox", "idempotency_keys", "timers", "opening_history"];
    let rows = tables.map(|it| format!("delete from {it} where opening_id = '{id}';")).concat();
    opened.forge(&format!("{rows} delete from account_openings where id = '{id}'")).await;
    assert_eq!(opened.verify(&[]).await.code(), Some(0), "no trace of it is in the database");
    let ended = opened.verify(&["--heads", "heads.csv", "--export-heads", "heads.csv"]).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stdout.starts_with(&format!("{id} version 1: removed: ")), "{}", ended.stdout);
    let files = std::fs::read_dir(opened.folder.path()).unwrap().count();
    assert_eq!(files, 1, "nothing but the heads is left");
}

/// G4
#[tokio::test]
async fn a_wrong_key_is_told_as_what_it_most_likely_is() {
    let opened = opened().await;
    for options in [&[][..], &["--json"], &["--opening", &opened.ids[0]]] {
        let ended = opened.program(options).env("HISTORY_KEY", OTHER_KEY).run().await;
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
        let line = ended.line_about("HISTORY_KEY");
        assert!(line.contains("none of the 3 histories verifies") && !line.contains(OTHER_KEY), "{line}");
    }
    // One history that verifies, and the key is right.
    let id = &opened.ids[0];
    opened.forge(&format!("update opening_history set event = 'x' where opening_id <> '{id}'")).await;
    for (options, edits) in [(&[][..], 2), (&["--opening", &opened.ids[1]], 1)] {
        let ended = opened.verify(options).await;
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        assert_eq!(ended.stdout.lines().filter(|it| it.contains("edited")).count(), edits, "{}", ended.stdout);
        assert!(!ended.stdout.contains("HISTORY_KEY"), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn wrong_keys_and_files_are_wrong_configuration() {
    let opened = opened().await;
    let data = opened.folder.path().join("data").display().to_string();
    let (wrong, torn) = (opened.folder.path().join("wrong.csv"), opened.folder.path().join("torn.csv"));
    std::fs::write(&wrong, "opening,version\n").unwrap();
    std::fs::write(&torn, format!("{},1,{}\n{},1,ab", opened.ids[0], "00".repeat(32), opened.ids[1])).unwrap();
    let clean = || opened.program(&[]).env("DATA_DIR", data.as_str());
    for (program, names, says) in [
        (clean().env("HISTORY_KEY", ""), "HISTORY_KEY", "contains no history.key"),
        (clean().env("HISTORY_KEY", "hush"), "HISTORY_KEY", "not shown"),
        (clean().env("DATABASE_URL", ""), "DATABASE_URL", "contains no private cluster"),
        (clean().env("OPENING", "x"), "OPENING", "an opening's id"),
        (clean().env("HEADS", "none.csv"), "HEADS", "cannot read"),
        (clean().env("HEADS", "wrong.csv"), "HEADS", "line 1"),
        (clean().env("HEADS", "torn.csv"), "HEADS", "line 2"),
        (clean().env("DATABASE_SCHEMA", "of_nobody"), "DATABASE_URL", "account-opening migrate"),
    ] {
        let ended = program.run().await;
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{says}: {}", ended.stderr);
        assert_eq!(ended.wrong_settings(), [names], "{}", ended.stderr);
        assert!(ended.line_about(names).contains(says) && !ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    assert!(!std::path::Path::new(&data).exists(), "neither a key nor a cluster was made");
}

#[tokio::test]
async fn without_a_url_it_verifies_the_private_cluster_with_the_key_that_is_kept_there() {
    let folder = Folder::new();
    let builder = ServiceBuilder::within(&folder);
    let service = builder.start().await;
    assert_eq!(service.open("order-1").await.0, 202);
    assert_eq!(service.stop().await.code(), Some(0));
    let data = folder.path().join("data").display().to_string();
    let ended = Program::new(&["verify-history"]).within(&folder).env("DATA_DIR", data).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "1 histories with 1 rows verified: 0 findings\n");
}
