//! A cell that moves to a cluster of its own: dumped with `pg_dump`, restored with `psql`.

use std::path::PathBuf;
use std::process::Command;

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use private_postgres::Cluster;
use serde_json::Value;
use world::{Options, Plan, Planner, Simulator};

use super::external::{execute, migrated};
use crate::support::process::{Folder, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A program of Postgres, from the path or from where Debian puts it.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path().join("bin"));
    let found = std::env::split_paths(&path).chain(versions).map(|it| it.join(name)).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on this machine"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Copies a schema from one database to another, as an operator does.
fn move_cell(schema: &str, from: &str, to: &str) {
    let folder = Folder::new();
    let file = folder.path().join("cell.sql");
    let dump = ["--no-owner", "--no-privileges", "--schema", schema, "--dbname", from, "--file"];
    run(Command::new(program("pg_dump")).args(dump).arg(&file));
    let restore =
        ["--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--dbname", to, "--file"];
    run(Command::new(program("psql")).args(restore).arg(&file));
}

/// Reads on from a cursor to the end: the events' ids, and the next cursor.
async fn read_on(service: &Service, cursor: Option<&str>) -> (Vec<String>, String) {
    let (mut ids, mut next) = (Vec::new(), cursor.map(str::to_owned));
    loop {
        let cursor = next.as_ref().map_or(String::new(), |it| format!("&cursor={it}"));
        let page = service.get(&format!("/v1/events?limit=200{cursor}")).await;
        let items = page["items"].as_array().unwrap().clone();
        let after = page["next_cursor"].as_str().unwrap().to_owned();
        if items.is_empty() {
            return (ids, after);
        }
        ids.extend(items.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        next = Some(after);
    }
}

/// Opens an account and waits until it is there, with its four events.
async fn opened(service: &Service, key: &str) {
    let (status, _, opening): (u16, bool, Value) = service.open(key).await;
    assert_eq!(status, 202, "{opening}");
    service.reaches(opening["id"].as_str().unwrap(), "completed").await;
}

/// Waits until a reader from this place has been given so many events.
async fn reads(service: &Service, cursor: Option<&str>, count: usize) -> (Vec<String>, String) {
    let read = async || Some(read_on(service, cursor).await).filter(|(ids, _)| ids.len() >= count);
    eventually(&format!("{count} events"), WITHIN, read).await
}

/// G1, P11: a reader begins anew, and another reads on from the place that it kept, in a cluster whose transaction ids are lower.
#[tokio::test(flavor = "multi_thread")]
async fn a_cell_restored_into_a_younger_cluster_shows_every_event_and_skips_none() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::default());
    let world = Simulator::start(options).await.unwrap();
    let in_the_world = |serve: ServiceBuilder| {
        serve.outside_world(&world.base_url()).env("HISTORY_KEY", KEY).env("POLL_SCHEDULE", "1s")
    };
    let (serve, url, schema) = migrated().await;
    // The old cluster has seen far more transactions than the new one will.
    let many = "do $$ begin for i in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end $$";
    execute(&url, &schema, many).await;
    let old = in_the_world(serve).start().await;
    opened(&old, "read").await;
    let (mut all, kept) = reads(&old, None, 4).await;
    opened(&old, "unread").await;
    let (unread, _) = reads(&old, Some(&kept), 4).await;
    all.extend(unread.iter().cloned());
    assert_eq!((all.len(), unread.len()), (8, 4));
    assert_eq!(old.stop().await.code(), Some(0));

    let cluster = Cluster::temporary(None, 60).await.unwrap();
    move_cell(&schema, &url, cluster.url());
    let new = in_the_world(ServiceBuilder::on(cluster.url(), &schema)).start().await;
    opened(&new, "after").await;
    let (from_the_start, _) = reads(&new, None, 12).await;
    assert_eq!(from_the_start[..8], all, "in the order in which they were read before");
    assert_eq!(from_the_start.len(), 12);
    let (from_there, _) = read_on(&new, Some(&kept)).await;
    assert_eq!(from_there, from_the_start[4..]);
    assert_eq!(new.stop().await.code(), Some(0));
    world.stop().await;
    cluster.stop().await.unwrap();
}
