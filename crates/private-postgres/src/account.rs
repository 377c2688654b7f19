//! The user that Postgres runs as, and its access to folders.
//!
//! Invariant: Postgres never runs as root and gets none of our environment, which contains secrets. A crash leaves
//! nothing behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::ClusterError;

/// Prints the first folder of its arguments that cannot be entered. It runs as that user, so the kernel decides,
/// including access lists and mount options.
const FIRST_CLOSED: &str = r#"for folder; do [ -x "$folder" ] || { printf %s "$folder"; exit; }; done"#;

/// The environment variables passed to the programs: the search paths of programs and libraries.
const ENVIRONMENT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// Uid and gid to switch to. None: we already run as this user.
    become_: Option<(u32, u32)>,
}

impl Account {
    /// Chooses the user that runs Postgres: the current user. Postgres refuses root, so root hands over to the owner of an existing
    /// `cluster`. Without a cluster root takes the user `postgres`; where that user is missing it takes the user `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, ClusterError> {
        let own = Uid::effective();
        if !own.is_root() {
            return Ok(Self { name: by_uid(own.as_raw())?.name, become_: None });
        }
        // The owner alone can read a cluster. The owner is the user `nobody` if an administrator added `postgres` after the first start.
        let owner = std::fs::metadata(cluster).map(|found| found.uid()).ok().filter(|uid| *uid != 0);
        let user = match owner {
            Some(uid) => by_uid(uid)?,
            None => by_name("postgres").or_else(|| by_name("nobody")).ok_or(ClusterError::NoUser)?,
        };
        Ok(Self { become_: Some((user.uid.as_raw(), user.gid.as_raw())), name: user.name })
    }

    /// A command run as this user, with none of our environment, in a folder that every user can enter, with
    /// untranslated messages.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some((uid, gid)) = self.become_ {
            // Setting the uid also drops root's supplementary groups.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner of `path`.
    pub(super) fn own(&self, path: &Path) -> Result<(), ClusterError> {
        match self.become_ {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(ClusterError::at(path)),
            None => Ok(()),
        }
    }

    /// Lets only this user pass through `folder` if it was closed to all but root.
    pub(super) fn admit(&self, folder: &Path) -> Result<(), ClusterError> {
        let Some((_, gid)) = self.become_ else { return Ok(()) };
        let found = std::fs::metadata(folder).map_err(ClusterError::at(folder))?;
        if found.uid() != 0 || found.mode() & 0o077 != 0 {
            return Ok(());
        }
        std::os::unix::fs::chown(folder, None, Some(gid)).map_err(ClusterError::at(folder))?;
        super::folder::set_mode(folder, 0o710)
    }

    /// Refuses a `folder` that this user cannot enter.
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
