//! The data directory: its lock, its log and its layout.
//!
//! ```text
//! lock           held while a service uses the directory; contains its pid
//! postgres/      the cluster and the superuser's password; only its user can enter
//! socket/        the socket; only its user (and root) can enter, which keeps out other users of the machine
//! postgres.log   Postgres' log
//! ```
//!
//! Invariant: one service at a time. The lock belongs to the open file, so a crash releases it; the remaining file has
//! no meaning.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ClusterError;
use super::account::Account;

/// The cluster's folder in the data directory.
pub(super) const CLUSTER: &str = "postgres";
/// A larger log is rotated at the next start.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;
/// Lines of the log quoted by an error.
const LAST_WORDS: usize = 8;

/// A locked data directory.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) account: Account,
    /// Whether the folder is deleted together with the cluster.
    pub(super) temporary: bool,
    /// Holds the lock; never read.
    _lock: File,
}

impl Folder {
    /// Creates the directory if missing, locks it, and gives the cluster's user access.
    pub(super) async fn open(path: &Path, temporary: bool) -> Result<Self, ClusterError> {
        let path = std::path::absolute(path).map_err(ClusterError::at(path))?;
        let account = Account::choose(&path.join("postgres"))?;
        make(&path)?;
        let path = path.canonicalize().map_err(ClusterError::at(&path))?;
        if temporary {
            account.own(&path)?;
        }
        account.admit(&path)?;
        account.check_reach(&path).await?;
        let lock = lock(&path)?;
        Ok(Self { path, account, temporary, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.path.join(CLUSTER)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.cluster().join("password")
    }

    /// The content of `PG_VERSION`. None: no cluster yet.
    pub(super) fn version(&self) -> Result<Option<String>, ClusterError> {
        let cluster = self.cluster();
        if !cluster.exists() {
            return Ok(None);
        }
        match std::fs::read_to_string(cluster.join("PG_VERSION")) {
            Ok(version) => Ok(Some(version.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ClusterError::NotACluster(cluster)),
            Err(error) => Err(ClusterError::at(&cluster.join("PG_VERSION"))(error)),
        }
    }

    /// Creates an empty folder for the socket. Files of a dead predecessor are removed: its lock file names a pid that
    /// may be another process now, and Postgres would refuse to start.
    pub(super) fn clear_socket(&self) -> Result<(), ClusterError> {
        let socket = self.socket();
        match std::fs::remove_dir_all(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(ClusterError::at(&socket)(error)),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&socket).map_err(ClusterError::at(&socket))?;
        self.account.own(&socket)
    }

    /// Opens the log for appending.
    pub(super) fn log(&self) -> Result<Log, ClusterError> {
        let path = self.path.join("postgres.log");
        if std::fs::metadata(&path).is_ok_and(|found| found.len() > LOG_LIMIT) {
            std::fs::rename(&path, self.path.join("postgres.log.1")).map_err(ClusterError::at(&path))?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(ClusterError::at(&path))?;
        let start = file.metadata().map_err(ClusterError::at(&path))?.len();
        Ok(Log { path, file, start })
    }
}

/// The log from the position where one program started to write.
pub(super) struct Log {
    path: PathBuf,
    pub(super) file: File,
    start: u64,
}

impl Log {
    /// The last lines since the start, for an error message; empty if unreadable.
    pub(super) fn last_words(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&self.path)
            && file.seek(SeekFrom::Start(self.start)).is_ok()
        {
            // The part read before an error is enough to quote.
            let _ = file.take(LOG_LIMIT).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

/// Creates `path` for our user only, and its parents with the umask.
fn make(path: &Path) -> Result<(), ClusterError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(ClusterError::at(parent))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(ClusterError::at(path)(error)),
        _ => Ok(()),
    }
}

fn lock(folder: &Path) -> Result<File, ClusterError> {
    let path = folder.join("lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(ClusterError::at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(ClusterError::at(&path)(error)),
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.trim().is_empty() { "unknown" } else { holder.trim() };
            return Err(ClusterError::InUse { folder: folder.to_owned(), holder: holder.to_owned() });
        }
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(ClusterError::at(&path))?;
    Ok(file)
}

/// A private temporary folder, deleted on drop.
pub(super) fn temporary(prefix: &str, parent: &Path) -> Result<TempDir, ClusterError> {
    let made = tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent);
    made.map_err(ClusterError::at(parent))
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), ClusterError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(ClusterError::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_that_grew_long_is_put_aside_and_errors_quote_only_what_is_new() {
        let place = temporary("log-", &std::env::temp_dir()).unwrap();
        let folder = Folder::open(place.path(), true).await.unwrap();
        let old = place.path().join("postgres.log");
        std::fs::write(&old, "old\n").unwrap();
        let mut log = folder.log().unwrap();
        writeln!(log.file, "new").unwrap();
        assert_eq!(log.last_words(), "new");

        File::options().write(true).open(&old).unwrap().set_len(LOG_LIMIT + 1).unwrap();
        folder.log().unwrap();
        assert_eq!(old.metadata().unwrap().len(), 0);
        assert!(place.path().join("postgres.log.1").exists());
    }
}
