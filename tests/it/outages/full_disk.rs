//! A Postgres with a full disk: first its tables cannot grow, then its log cannot, and it panics.
//!
//! The disk is a small file system in memory, which takes root to mount. Where it cannot be mounted, the tables say that
//! the disk is full (the same error, raised by a trigger), and the panic is left out.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use super::Scene;
use crate::support::process::{Folder, WITHIN, eventually};

/// A cluster and a few thousand openings fit in; to fill the rest takes no time.
const SIZE: &str = "size=160m";

/// A small disk, unmounted when this is dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where it may not be mounted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|it| it.status.success()).then(|| Self(at.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all that is left.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn relieve(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a failed test Postgres may still be leaving.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// P1, P19, P20
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_in_time_and_is_over_once_there_is_room() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&Scene::data_dir(&folder)) else {
        println!("no file system can be mounted here: the tables only say that the disk is full");
        return tables_that_say_so().await;
    };
    let scene = Scene::within(Arc::clone(&folder)).await;
    disk.fill();
    scene.is_felt().await;
    is_not_ready(&scene).await;
    disk.relieve();
    scene.recovers(Instant::now()).await;

    // Now the log: it needs its next file at once. Postgres panics, and cannot come back before there is room.
    disk.fill();
    scene.is_felt().await;
    let postmaster = scene.cluster.postmaster_pid();
    panic_of(&scene).await;
    eventually("it is down", WITHIN, async || (scene.cluster.postmaster_pid() != postmaster).then_some(())).await;
    scene.is_felt().await;
    is_not_ready(&scene).await;
    disk.relieve();
    scene.recovers(Instant::now()).await;
    scene.finish().await;
    drop(disk);
}

/// P20
async fn is_not_ready(scene: &Scene) {
    scene.service.answers_ready(503, WITHIN).await;
}

async fn panic_of(scene: &Scene) {
    let mut connection = crate::process::external::connect(scene.cluster.url(), "public").await;
    let switched = sqlx::query("select pg_switch_wal()").execute(&mut connection).await;
    let logged = sqlx::query("select txid_current(), pg_logical_emit_message(true, 'x', 'y')").execute(&mut connection);
    let logged = logged.await;
    assert!(switched.is_err() || logged.is_err(), "the log still has room");
}

async fn tables_that_say_so() {
    let scene = Scene::new().await;
    let refuse = "create function no_space() returns trigger language plpgsql as
                  $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
                  create trigger no_space before insert on inbox for each statement execute function no_space();
                  create trigger no_space before insert on account_openings for each statement execute function no_space()";
    scene.execute(refuse).await;
    scene.is_felt().await;
    scene.execute("drop function no_space cascade").await;
    scene.recovers(Instant::now()).await;
    scene.finish().await;
}
