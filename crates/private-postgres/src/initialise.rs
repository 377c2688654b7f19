//! Creates the cluster once.
//!
//! Invariant: `postgres/` appears by one rename, complete with its password, or not at all. A crash leaves a
//! `postgres.new-…`, which the next start removes.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::ClusterError;
use super::endpoint::SUPERUSER;
use super::folder::{Folder, temporary};
use super::leash::Leash;
use super::programs::Programs;

const UNFINISHED: &str = "postgres.new-";
const WITHIN: Duration = Duration::from_mins(2);

/// Creates `postgres/` if missing.
pub(super) async fn initialise(folder: &Folder, programs: &Programs) -> Result<(), ClusterError> {
    remove_unfinished(folder.path());
    let cluster = folder.cluster();
    if cluster.exists() {
        return Ok(());
    }
    tracing::info!(data_dir = %folder.path().display(), "creating a private PostgreSQL cluster");
    let unfinished = temporary(UNFINISHED, folder.path())?;
    let data = unfinished.path().join("data");
    let password = unfinished.path().join("password");
    write_password(&password)?;
    folder.account.own(&password)?;
    folder.account.own(unfinished.path())?;
    initdb(folder, programs, &data, &password).await?;

    // The password is written completely before the cluster is renamed into place.
    std::fs::rename(&password, data.join("password")).map_err(ClusterError::at(&password))?;
    sync(&data)?;
    std::fs::rename(&data, &cluster).map_err(ClusterError::at(&cluster))?;
    sync(folder.path())
}

async fn initdb(folder: &Folder, programs: &Programs, data: &Path, password: &Path) -> Result<(), ClusterError> {
    let mut command: Vec<OsString> = vec![programs.initdb.clone().into(), "-D".into(), data.into()];
    // Connections over the socket are trusted, because only its user can reach it. A port can be reached by every local
    // user.
    let options = ["--data-checksums", "--encoding=UTF8", "--locale=C", "--auth-local=trust"];
    command.extend(options.map(OsString::from));
    command.extend(["--auth-host=scram-sha-256", "--username", SUPERUSER, "--pwfile"].map(OsString::from));
    command.push(password.into());

    let log = folder.log()?;
    let mut leash = Leash::spawn(folder, &log, &command).await?;
    match tokio::time::timeout(WITHIN, leash.ended()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Err(ClusterError::Initdb { folder: folder.path().to_owned(), log: log.last_words() }),
    }
}

/// A random password, readable by its owner only.
fn write_password(path: &Path) -> Result<(), ClusterError> {
    #[expect(clippy::disallowed_methods, reason = "a secret must not come from a seed that a test could replay")]
    let password = hex::encode(rand::random::<[u8; 24]>());
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        writeln!(file, "{password}")?;
        file.sync_all()
    });
    written.map_err(ClusterError::at(path))
}

/// A rename survives a power failure only once its folder is synced.
fn sync(folder: &Path) -> Result<(), ClusterError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ClusterError::at(folder))
}

fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // A remaining folder does no harm, and the next start tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
