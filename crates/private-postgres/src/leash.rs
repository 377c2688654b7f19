//! A child process that cannot outlive this process, even after SIGKILL.
//!
//! The child is a shell. It runs the program in the background and watches its standard input, a pipe; this
//! process holds the other end. Closing that end stops the program: [`Leash::stop`] closes it on purpose, a drop implicitly, and
//! the kernel when this process dies. This works wherever a shell exists, and needs no signal to a pid that may belong
//! to another process by now. The child has its own process group, so that Ctrl-C in the terminal reaches only this
//! process and Postgres is stopped last.
//!
//! Invariant: the program ends at most [`STOP_WITHIN`] after this process. A crash leaves nothing behind.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin};

use super::ClusterError;
use super::folder::{Folder, Log};

/// Longer than the 15 seconds after which the shell sends SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(20);

const SCRIPT: &str = include_str!("leash.sh");

/// A running program that ends when this is dropped.
pub(super) struct Leash {
    shell: Child,
    hold: ChildStdin,
    pub(super) pid: u32,
}

impl Leash {
    /// Runs `command` as the folder's user; its output goes to `log`.
    pub(super) async fn spawn(folder: &Folder, log: &Log, command: &[OsString]) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Spawn {
            what: command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            source,
        };
        let scrap = if folder.temporary { folder.path().as_os_str() } else { "".as_ref() };
        let mut shell = folder
            .account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(scrap)
            .args(command)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.file.try_clone().map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (Some(hold), Some(printed)) = (shell.stdin.take(), shell.stdout.take()) else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = String::new();
        BufReader::new(printed).read_line(&mut line).await.map_err(failed)?;
        let pid = line.trim().parse().map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Self { shell, hold, pid })
    }

    /// Waits until the program exits by itself. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, ClusterError> {
        self.shell.wait().await.map_err(|source| ClusterError::Spawn { what: "the wait for it".to_owned(), source })
    }

    /// Stops the program and waits until it is gone, within [`STOP_WITHIN`].
    pub(super) async fn stop(self) -> Result<(), ClusterError> {
        let Self { mut shell, hold, .. } = self;
        let group = shell.id();
        drop(hold);
        match tokio::time::timeout(STOP_WITHIN, shell.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(ClusterError::NotClean(status.to_string())),
            Ok(Err(error)) => Err(ClusterError::NotClean(error.to_string())),
            Err(_late) => {
                if let Some(group) = group.and_then(|group| i32::try_from(group).ok()) {
                    // The process group may have ended at this moment; the error is then expected.
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                Err(ClusterError::NotClean("killed: it did not end by itself".to_owned()))
            }
        }
    }
}
