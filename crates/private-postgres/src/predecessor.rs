//! Cleans up after a service that died on this cluster.
//!
//! Invariant: runs with the lock held, so any process still running here has lost its service. A process is signalled
//! only if its command line names a Postgres on this cluster. `postmaster.pid` is removed only if its process certainly
//! does not use the cluster. A crash here leaves everything as found.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::ClusterError;
use super::folder::Folder;

const POLL: Duration = Duration::from_millis(20);

/// Stops a postmaster still running on the cluster and removes files that would prevent a new start.
pub(super) async fn clear(folder: &Folder) -> Result<(), ClusterError> {
    let cluster = folder.cluster();
    let file = cluster.join("postmaster.pid");
    let noted = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some(pid) = noted.lines().next().and_then(|line| line.trim().parse::<i32>().ok()).filter(|pid| *pid > 1) {
        match process(pid, &cluster) {
            Process::Postmaster => end(pid, &cluster).await?,
            // Postgres takes any living process for a postmaster and would refuse to start. It still checks that no
            // process is attached to the cluster's shared memory.
            Process::Stranger => {
                tracing::warn!(pid, "postmaster.pid names an unrelated process; removing it");
                std::fs::remove_file(&file).map_err(ClusterError::at(&file))?;
            }
            Process::Gone | Process::MaybeOurs => {}
        }
    }
    folder.clear_socket()
}

async fn end(pid: i32, cluster: &Path) -> Result<(), ClusterError> {
    tracing::warn!(pid, "stopping the PostgreSQL of a dead service");
    for (signal, patience) in [(Signal::SIGINT, Duration::from_secs(10)), (Signal::SIGQUIT, Duration::from_secs(5))] {
        // Already gone, or not ours to signal: the loop below finds out.
        let _ = kill(Pid::from_raw(pid), signal);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if process(pid, cluster) != Process::Postmaster {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(ClusterError::Predecessor { folder: cluster.to_owned(), pid })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    /// No such process, or a zombie.
    Gone,
    /// The postmaster of this cluster.
    Postmaster,
    /// A Postgres that may use this cluster; Postgres itself decides.
    MaybeOurs,
    /// An unrelated process with the same pid, such as a Postgres on another cluster.
    Stranger,
}

fn process(pid: i32, cluster: &Path) -> Process {
    let line = command_line(pid);
    if line.trim().is_empty() {
        Process::Gone
    } else if line.contains(&format!("postgres -D {} ", cluster.display())) {
        Process::Postmaster
    } else if line.contains("postgres") && may_use(pid, cluster) {
        Process::MaybeOurs
    } else {
        Process::Stranger
    }
}

/// Whether a Postgres process may use the cluster. Each of its processes has the cluster's folder as working directory
/// and the folder's owner as user: Postgres refuses a folder of another user.
#[cfg(target_os = "linux")]
fn may_use(pid: i32, cluster: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(folder) = std::fs::metadata(cluster) else { return true };
    // Follow the link, so that mounts and other names of the folder do not matter.
    let works_in = std::fs::metadata(format!("/proc/{pid}/cwd"));
    let elsewhere = works_in.is_ok_and(|it| (it.dev(), it.ino()) != (folder.dev(), folder.ino()));
    let of_another_user = effective_user(pid).is_some_and(|uid| uid != folder.uid());
    !elsewhere && !of_another_user
}

/// Every user may read this file, unlike the link.
#[cfg(target_os = "linux")]
fn effective_user(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
fn may_use(_: i32, _: &Path) -> bool {
    true
}

/// The arguments of a process, each followed by a space; empty for a dead process or a zombie.
#[cfg(target_os = "linux")]
fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The arguments of a process, each followed by a space; empty for a dead process.
#[cfg(not(target_os = "linux"))]
fn command_line(pid: i32) -> String {
    let answer = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    answer.map(|answer| String::from_utf8_lossy(&answer.stdout).replace('\n', " ")).unwrap_or_default()
}
