//! Makes the cluster, once.
//!
//! Invariant: `postgres/` appears by one rename, whole and with its password in it, or not at all. A crash leaves a
//! `postgres.new-…` beside it, which the next start removes.

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

/// Makes `postgres/` where it is missing.
pub(super) async fn initialise(folder: &Folder, programs: &Programs) -> Result<(), ClusterError> {
    remove_unfinished(folder.path());
    let cluster = folder.cluster();
    if cluster.exists() {
        return Ok(());
    }
    tracing::info!(data_dir = %folder.path().display(), "making a private PostgreSQL cluster");
    let unfinished = temporary(UNFINISHED, folder.path())?;
    let data = unfinished.path().join("data");
    let password = unfinished.path().join("password");
    write_password(&password)?;
    folder.account.own(&password)?;
    folder.account.own(unfinished.path())?;
    initdb(folder, programs, &data, &password).await?;

    // The password goes in by a rename too: it is written, whole, before the cluster is in its place.
    std::fs::rename(&password, data.join("password")).map_err(ClusterError::at(&password))?;
    sync(&data)?;
    std::fs::rename(&data, &cluster).map_err(ClusterError::at(&cluster))?;
    sync(folder.path())
}

async fn initdb(folder: &Folder, programs: &Programs, data: &Path, password: &Path) -> Result<(), ClusterError> {
    let mut command: Vec<OsString> = vec![programs.initdb.clone().into(), "-D".into(), data.into()];
    // Over the socket everybody is trusted, for nobody else gets to it; over TCP everybody gets to it.
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

/// A password that nobody has to remember, readable by its owner alone.
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

/// A rename survives a power cut only once its folder is on disk.
fn sync(folder: &Path) -> Result<(), ClusterError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ClusterError::at(folder))
}

fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // What stays behind is in nobody's way, and the next start tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
