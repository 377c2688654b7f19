//! Which user Postgres runs as, and what that user may enter.
//!
//! Invariant: Postgres never runs as root, and sees nothing of our environment, which holds secrets. A crash leaves
//! nothing behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::ClusterError;

/// Prints the first folder of its arguments that cannot be entered. Asked of the kernel as that very user, so that access
/// lists and mount options count, not only mode bits.
const FIRST_CLOSED: &str = r#"for folder; do [ -x "$folder" ] || { printf %s "$folder"; exit; }; done"#;

/// The variables that the programs get of ours: what finds programs and libraries.
const ENVIRONMENT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The user that owns the cluster and runs its programs.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// Uid and gid to become; `None` when we are that user already.
    become_: Option<(u32, u32)>,
}

impl Account {
    /// The user we are or, for root, the owner of `cluster` where it exists, else `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, ClusterError> {
        let own = Uid::effective();
        if !own.is_root() {
            return Ok(Self { name: by_uid(own.as_raw())?.name, become_: None });
        }
        // The owner, because `postgres` may have been added to the machine since `nobody` made the cluster.
        let owner = std::fs::metadata(cluster).map(|found| found.uid()).ok().filter(|uid| *uid != 0);
        let user = match owner {
            Some(uid) => by_uid(uid)?,
            None => by_name("postgres").or_else(|| by_name("nobody")).ok_or(ClusterError::NoUser)?,
        };
        Ok(Self { become_: Some((user.uid.as_raw(), user.gid.as_raw())), name: user.name })
    }

    /// `program` as this user: no environment of ours, a folder that every user may be in, plain messages.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some((uid, gid)) = self.become_ {
            // Setting the uid also drops root's other groups.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives `path` to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), ClusterError> {
        match self.become_ {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(ClusterError::at(path)),
            None => Ok(()),
        }
    }

    /// Lets this user, and nobody else, pass through `folder` if it was closed to all but root.
    pub(super) fn admit(&self, folder: &Path) -> Result<(), ClusterError> {
        let Some((_, gid)) = self.become_ else { return Ok(()) };
        let found = std::fs::metadata(folder).map_err(ClusterError::at(folder))?;
        if found.uid() != 0 || found.mode() & 0o077 != 0 {
            return Ok(());
        }
        std::os::unix::fs::chown(folder, None, Some(gid)).map_err(ClusterError::at(folder))?;
        super::folder::set_mode(folder, 0o710)
    }

    /// Refuses a `folder` that this user does not get to.
    pub(super) async fn check_reach(&self, folder: &Path) -> Result<(), ClusterError> {
        if self.become_.is_none() {
            return Ok(());
        }
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        let spawned = self.command("/bin/sh").args(["-c", FIRST_CLOSED, "sh"]).args(way).output().await;
        let closed = spawned.map_err(|source| ClusterError::Spawn { what: "/bin/sh".to_owned(), source })?.stdout;
        if closed.is_empty() {
            return Ok(());
        }
        let folder = PathBuf::from(OsStr::from_bytes(&closed));
        Err(ClusterError::NotReachable { folder, user: self.name.clone() })
    }
}

fn by_uid(uid: u32) -> Result<User, ClusterError> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or(ClusterError::NamelessUser(uid))
}

fn by_name(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}
