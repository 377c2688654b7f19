//! Postgres that neither answers nor hangs up: stopped, as by a debugger, a snapshot of its machine, or a disk that hangs.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgConnection;

use super::Scene;
use crate::process::external::connect;
use crate::support::process::WITHIN;

/// Every process of the cluster, stopped until this is dropped; but for the one that answers this test.
struct Stopped {
    pids: Vec<Pid>,
    connection: PgConnection,
}

impl Stopped {
    async fn all_of(scene: &Scene) -> Self {
        let connection = connect(scene.cluster.url(), "public").await;
        let postmaster = Pid::from_raw(scene.cluster.postmaster_pid().unwrap().try_into().unwrap());
        // From here on it starts no other.
        kill(postmaster, Signal::SIGSTOP).unwrap();
        let mut stopped = Self { pids: vec![postmaster], connection };
        stopped.the_rest().await;
        stopped
    }

    /// Those that answer queries, and those that write and clean. One that was only being started shows a little later.
    async fn the_rest(&mut self) {
        let others = "select pid from pg_stat_activity where pid <> pg_backend_pid()";
        let others: Vec<i32> = sqlx::query_scalar(others).fetch_all(&mut self.connection).await.unwrap();
        for pid in others.into_iter().map(Pid::from_raw).filter(|pid| !self.pids.contains(pid)).collect::<Vec<_>>() {
            // A process that has ended meanwhile needs no signal.
            if kill(pid, Signal::SIGSTOP).is_ok() {
                self.pids.push(pid);
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// P1, P19, P20: longer than any time-out of ours, so that each of them is met.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_stands_still_for_20_seconds_is_answered_in_time_and_is_over_once_it_goes_on() {
    let scene = Scene::new().await;
    let since = Instant::now();
    let mut stopped = Stopped::all_of(&scene).await;
    scene.is_felt().await;
    stopped.the_rest().await;
    scene.service.answers_ready(503, WITHIN).await;
    // This is the outage itself, not a wait for something.
    tokio::time::sleep_until((since + Duration::from_secs(20)).into()).await;
    let (status, body) = scene.service.ready().await;
    assert_eq!(status, 503, "{body}");
    drop(stopped);
    scene.recovers(Instant::now()).await;
    scene.finish().await;
}
