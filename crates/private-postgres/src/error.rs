//! Errors of the private cluster, with messages that tell an operator what to do.
//!
//! Invariant: no message contains a password.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No usable programs in any of the usual places.
    #[error(
        "no PostgreSQL programs (initdb, postgres) found: install them (`apt-get install postgresql` or \
         `brew install postgresql@16`), name their folder in PG_BIN_DIR, or set DATABASE_URL"
    )]
    ProgramsNotFound,
    /// The programs named by `PG_BIN_DIR` cannot be used.
    #[error(
        "PG_BIN_DIR={} holds no `initdb` and `postgres` that {user} can run: name the folder that does, or unset it to \
         search the usual places", .folder.display()
    )]
    ProgramsNotIn {
        folder: PathBuf,
        /// The account that would have to run them.
        user: String,
    },
    /// The programs are older than the schema requires.
    #[error("PostgreSQL {found} is too old: {oldest} or newer is needed (PG_BIN_DIR names the folder of its programs)")]
    ProgramsTooOld {
        /// The newest major version found.
        found: u32,
        /// The oldest supported major version.
        oldest: u32,
    },
    /// The data belongs to a major version that is not installed.
    #[error(
        "the data in {} needs PostgreSQL {wanted}, found {found}: install PostgreSQL {wanted}, name the folder of its \
         programs in PG_BIN_DIR, or choose another DATA_DIR", .folder.display()
    )]
    OtherVersion {
        folder: PathBuf,
        /// The version in its `PG_VERSION`.
        wanted: String,
        /// The versions found on the machine.
        found: String,
    },
    /// The cluster's folder contains something else.
    #[error("{} is not a PostgreSQL cluster (no PG_VERSION in it): move it away or choose another DATA_DIR", .0.display())]
    NotACluster(PathBuf),
    /// Another service uses the data directory.
    #[error("{} is in use by another account-opening service (pid {holder}): stop it or choose another DATA_DIR",
        .folder.display())]
    InUse {
        folder: PathBuf,
        /// The pid in the lock file.
        holder: String,
    },
    /// `PostgreSQL` may not run as root, and the account it would run as cannot enter the data directory.
    #[error(
        "{} cannot be entered by user `{user}`, as which PostgreSQL runs because root may not: choose a DATA_DIR outside \
         of it (such as below /var/lib), or let others pass (chmod o+x)", .folder.display()
    )]
    NotReachable {
        /// The first folder on the path that cannot be entered.
        folder: PathBuf,
        user: String,
    },
    /// `PostgreSQL` looks up the name of its user, so a uid without a name is not enough.
    #[error("uid {0} has no name on this machine and PostgreSQL needs one: add it to /etc/passwd or set DATABASE_URL")]
    NamelessUser(u32),
    /// Running as root, and no other user is available.
    #[error("PostgreSQL may not run as root, and there is neither a user `postgres` nor `nobody`: add one")]
    NoUser,
    /// A file or folder of the cluster cannot be used.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// A process or thread could not be started.
    #[error("cannot start {what}: {source}")]
    Spawn {
        /// The name of the process or thread.
        what: String,
        source: io::Error,
    },
    #[error("initdb could not make a cluster in {}:\n{log}", .folder.display())]
    Initdb {
        folder: PathBuf,
        /// The last lines of its output.
        log: String,
    },
    /// Postgres exited before it answered.
    #[error("PostgreSQL on {} ended while starting ({status}); last log lines:\n{log}", .folder.display())]
    Ended {
        folder: PathBuf,
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// Postgres runs but did not answer a query in time.
    #[error("PostgreSQL on {} did not answer within {seconds} s ({last}); last log lines:\n{log}", .folder.display())]
    NoAnswer {
        folder: PathBuf,
        seconds: u64,
        /// The error of the last attempt to connect.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// The postmaster of a dead service does not exit.
    #[error("PostgreSQL of an earlier service (pid {pid}) still runs on {} and does not end: stop it", .folder.display())]
    Predecessor { folder: PathBuf, pid: i32 },
    /// Stopped before it was ready.
    #[error("PostgreSQL was stopped while it was starting")]
    Cancelled,
    /// Postgres did not stop cleanly. Its next start recovers from its log; no commit is lost.
    #[error("PostgreSQL did not stop cleanly ({0}); its next start recovers")]
    NotClean(String),
}

impl ClusterError {
    /// For `map_err` on operations on `path`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::File { path: path.to_owned(), source }
    }
}
