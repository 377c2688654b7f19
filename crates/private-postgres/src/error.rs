//! What can go wrong with the private cluster, in words that a person can act on.
//!
//! Invariant: no message holds a password. Errors leave nothing behind in a crash.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private cluster could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing usable in any of the usual places.
    #[error(
        "no PostgreSQL programs (initdb, postgres) found: install them (`apt-get install postgresql` or \
         `brew install postgresql@16`), name their folder in PG_BIN_DIR, or set DATABASE_URL"
    )]
    ProgramsNotFound,
    /// `PG_BIN_DIR` was set, and what it names cannot be used.
    #[error(
        "PG_BIN_DIR={} holds no `initdb` and `postgres` that {user} can run: name the folder that does, or unset it to \
         search the usual places", .folder.display()
    )]
    ProgramsNotIn {
        /// What `PG_BIN_DIR` named.
        folder: PathBuf,
        /// The account that would have to run them.
        user: String,
    },
    /// The programs found are older than what the schema needs.
    #[error("PostgreSQL {found} is too old: {oldest} or newer is needed (PG_BIN_DIR names the folder of its programs)")]
    ProgramsTooOld {
        /// Newest major version found.
        found: u32,
        /// Oldest major version that will do.
        oldest: u32,
    },
    /// The data was made by a major version that is not installed.
    #[error(
        "the data in {} needs PostgreSQL {wanted}, found {found}: install PostgreSQL {wanted}, name the folder of its \
         programs in PG_BIN_DIR, or choose another DATA_DIR", .folder.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        folder: PathBuf,
        /// What its `PG_VERSION` says.
        wanted: String,
        /// The versions found on the machine.
        found: String,
    },
    /// The place of the cluster is taken by something else.
    #[error("{} is not a PostgreSQL cluster (no PG_VERSION in it): move it away or choose another DATA_DIR", .0.display())]
    NotACluster(PathBuf),
    /// Another service holds the data.
    #[error("{} is in use by another account-opening service (pid {holder}): stop it or choose another DATA_DIR",
        .folder.display())]
    InUse {
        /// The data directory.
        folder: PathBuf,
        /// The pid that the lock file names.
        holder: String,
    },
    /// `PostgreSQL` may not run as root, and the account it would run as does not get to the data.
    #[error(
        "{} cannot be entered by user `{user}`, as which PostgreSQL runs because root may not: choose a DATA_DIR outside \
         of it (such as below /var/lib), or let others pass (chmod o+x)", .folder.display()
    )]
    NotReachable {
        /// The first folder on the way that cannot be entered.
        folder: PathBuf,
        /// The account.
        user: String,
    },
    /// `PostgreSQL` looks its own user up, so a bare uid will not do.
    #[error("uid {0} has no name on this machine and PostgreSQL needs one: add it to /etc/passwd or set DATABASE_URL")]
    NamelessUser(u32),
    /// Root has nobody to hand over to.
    #[error("PostgreSQL may not run as root, and there is neither a user `postgres` nor `nobody`: add one")]
    NoUser,
    /// A file or folder of the cluster.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A process or a thread could not be started.
    #[error("cannot start {what}: {source}")]
    Spawn {
        /// What was to be started.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb could not make a cluster in {}:\n{log}", .folder.display())]
    Initdb {
        /// The data directory.
        folder: PathBuf,
        /// The last lines of its output.
        log: String,
    },
    /// Postgres ended before it answered.
    #[error("PostgreSQL on {} ended while starting ({status}); its last words:\n{log}", .folder.display())]
    Ended {
        /// The data directory.
        folder: PathBuf,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// Postgres runs, but did not answer a query in time.
    #[error("PostgreSQL on {} did not answer within {seconds} s ({last}); its last words:\n{log}", .folder.display())]
    NoAnswer {
        /// The data directory.
        folder: PathBuf,
        /// How long it was waited for.
        seconds: u64,
        /// What the last attempt to connect met.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// Postgres of a dead service does not go away.
    #[error("PostgreSQL of an earlier service (pid {pid}) still runs on {} and does not end: stop it", .folder.display())]
    Predecessor {
        /// The cluster's folder.
        folder: PathBuf,
        /// Its postmaster.
        pid: i32,
    },
    /// Told to stop before it was ready.
    #[error("PostgreSQL was told to stop while it was starting")]
    Cancelled,
    /// Postgres did not end cleanly; its next start recovers from its log, nothing that was committed is lost.
    #[error("PostgreSQL did not end cleanly ({0}); its next start recovers")]
    NotClean(String),
}

impl ClusterError {
    /// For `map_err` on what touches `path`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::File { path: path.to_owned(), source }
    }
}
