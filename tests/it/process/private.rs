//! The private Postgres of a `serve` without `DATABASE_URL`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::external::{EARLIER_BUILD, execute, not_in_inbox};
use crate::support::process::{Folder, Program, WITHIN, eventually, runs};
use crate::support::service::{Service, ServiceBuilder};

fn key_file(folder: &Folder) -> PathBuf {
    folder.path().join("data/history.key")
}

fn postmaster(folder: &Folder) -> i32 {
    let found = folder.postmasters();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Of the running cluster's database.
fn url(folder: &Folder) -> String {
    let socket = folder.path().canonicalize().unwrap().join("data/socket").display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{socket}:5432/account_opening?sslmode=disable")
}

fn migrate_within(folder: &Arc<Folder>) -> Program {
    let data_dir = folder.path().join("data").display().to_string();
    Program::new(&["migrate"]).within(folder).env("DATA_DIR", data_dir)
}

async fn is_gone(pid: i32) {
    eventually("the postmaster is gone", WITHIN, async || (!runs(pid)).then_some(())).await;
}

/// The ids of all openings.
async fn openings(service: &Service) -> Vec<String> {
    let page = service.get("/v1/account-openings?limit=200").await;
    page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// P1, P15: what was answered is there after kill -9 of the service, and no Postgres outlives it.
#[tokio::test]
async fn an_answer_survives_kill_9_of_the_service_and_no_postgres_is_left() {
    let folder = Folder::new();
    let builder = ServiceBuilder::within(&folder);
    let mut service = builder.start().await;
    let key = std::fs::read_to_string(key_file(&folder)).unwrap();
    assert_eq!(key_file(&folder).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (status, replayed, first) = service.open("order-1").await;
    assert_eq!((status, replayed), (202, false), "{first}");
    assert_eq!(service.webhook("msg_1").await, 200);
    let pid = postmaster(&folder);

    service.process.kill().await;
    is_gone(pid).await;

    let service = builder.start().await;
    assert_eq!(std::fs::read_to_string(key_file(&folder)).unwrap(), key, "the history's key is another");
    let (status, replayed, again) = service.open("order-1").await;
    assert_eq!((status, replayed), (202, true), "{again}");
    assert_eq!(again, first);
    assert_eq!(openings(&service).await, [first["id"].as_str().unwrap()]);
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(folder.postmasters(), Vec::<i32>::new(), "a clean stop leaves no postmaster.pid");
}

/// P1, P24: the service restarts Postgres by itself, and is not ready meanwhile.
#[tokio::test]
async fn kill_9_of_postgres_makes_the_service_unready_until_it_is_back_with_all_data() {
    let folder = Folder::new();
    let service = ServiceBuilder::within(&folder).start().await;
    let (_, _, first) = service.open("order-1").await;
    let pid = postmaster(&folder);
    // Without its data it cannot come back before this test has seen that it is away.
    let (cluster, aside) = (folder.path().join("data/postgres"), folder.path().join("aside"));
    std::fs::rename(&cluster, &aside).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let body = service.answers_ready(503, WITHIN).await;
    assert!(body.contains("database"), "{body}");
    assert_eq!(service.webhook("msg_1").await, 503);

    std::fs::rename(&aside, &cluster).unwrap();
    service.answers_ready(200, WITHIN).await;

    assert_ne!(postmaster(&folder), pid);
    assert_eq!(openings(&service).await, [first["id"].as_str().unwrap()]);
    assert_eq!(service.webhook("msg_1").await, 200);
    assert_eq!(service.open("order-1").await, (202, true, first));
    assert_eq!(service.open("order-2").await.0, 202);
}

/// P1: the answers are noted at the bank's side, the inbox is read back over SQL.
#[tokio::test]
async fn webhooks_acknowledged_around_kill_9_of_postgres_are_in_the_inbox() {
    let folder = Folder::new();
    let service = ServiceBuilder::within(&folder).start().await;
    let send = |sender| service.bank().webhooks((0..40).map(move |number: u32| format!("msg_{sender}_{number}")));
    let sending = tokio::spawn(futures::future::join_all((0..8).map(send)));
    eventually("the first are stored", WITHIN, async || {
        let metrics = service.status(reqwest::Method::GET, &format!("{}/metrics", service.internal)).await.1;
        metrics.contains("outcome=\"accepted\"").then_some(())
    })
    .await;
    kill(Pid::from_raw(postmaster(&folder)), Signal::SIGKILL).unwrap();
    let acknowledged = sending.await.unwrap().concat();
    service.answers_ready(200, WITHIN).await;
    let lost = not_in_inbox(&url(&folder), "public", &acknowledged).await;
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(!acknowledged.is_empty());
}

#[tokio::test]
async fn a_second_service_on_the_same_folder_is_refused_with_one_line_and_the_first_is_unharmed() {
    let folder = Folder::new();
    let builder = ServiceBuilder::within(&folder);
    let first = builder.start().await;
    let pid = postmaster(&folder);

    let refused = builder.clone().env("LOG", "error").0.run().await;
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
    let holder = format!("pid {}", first.process.pid());
    assert_eq!(refused.lines().len(), 1, "{}", refused.stderr);
    for word in ["in use by another account-opening service", &holder, "DATA_DIR", "data"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }

    assert_eq!(first.ready().await.0, 200);
    assert_eq!(postmaster(&folder), pid);
    assert_eq!(first.open("order-1").await.0, 202);
}

#[tokio::test]
async fn a_folder_without_postgres_programs_is_refused_with_one_line() {
    let folder = Folder::new();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let builder = ServiceBuilder::within(&folder).env("PG_BIN_DIR", empty.display().to_string()).env("LOG", "error");
    let ended = builder.0.run().await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.lines().len(), 1, "{}", ended.stderr);
    for word in ["PG_BIN_DIR", &empty.display().to_string(), "initdb"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn migrate_without_a_database_makes_the_private_cluster_and_leaves_nothing_running() {
    let folder = Folder::new();
    let ended = migrate_within(&folder).run().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(&folder.path().join("data").display().to_string()), "{}", ended.stdout);
    assert_eq!(folder.postmasters(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_cluster_of_an_earlier_build_is_refused_with_one_line_that_says_to_delete_its_folder() {
    let folder = Folder::new();
    let builder = ServiceBuilder::within(&folder);
    let service = builder.start().await;
    execute(&url(&folder), "public", EARLIER_BUILD).await;
    assert_eq!(service.stop().await.code(), Some(0));

    let data_dir = folder.path().join("data");
    for program in [builder.clone().env("LOG", "error").0, migrate_within(&folder)] {
        let refused = program.run().await;
        assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
        assert_eq!(refused.lines().len(), 1, "{}", refused.stderr);
        for word in ["earlier build", "version 38", "migration 1 ", "delete the folder", "DATA_DIR"] {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
        assert!(refused.stderr.contains(&data_dir.display().to_string()), "{}", refused.stderr);
        for pid in folder.postmasters() {
            is_gone(pid).await;
        }
    }

    std::fs::remove_dir_all(&data_dir).unwrap();
    assert_eq!(builder.start().await.open("order-1").await.0, 202);
}
