//! Postgres killed, as the kernel does when it is out of memory.

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Scene;
use crate::support::process::WITHIN;

/// P1, P19, P20
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_postgres_is_answered_in_time_and_is_over_once_postgres_is_back() {
    let scene = Scene::new().await;
    // Without its data it cannot come back before this test has seen that it is away.
    let (data, aside) = (Scene::data_dir(&scene.folder).join("postgres"), scene.folder.path().join("aside"));
    std::fs::rename(&data, &aside).unwrap();
    let postmaster = scene.cluster.postmaster_pid().unwrap();
    kill(Pid::from_raw(postmaster.try_into().unwrap()), Signal::SIGKILL).unwrap();
    scene.is_felt().await;
    scene.service.answers_ready(503, WITHIN).await;

    std::fs::rename(&aside, &data).unwrap();
    scene.recovers(Instant::now()).await;
    assert_ne!(scene.cluster.postmaster_pid(), Some(postmaster));
    scene.finish().await;
}
