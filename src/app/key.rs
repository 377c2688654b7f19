//! The key of the history's hash chain: `HISTORY_KEY`, else the key file in the data directory.

use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::Uid;
use sqlx::PgPool;

use super::verify;
use crate::db::describe;
use crate::domain::chain::HistoryKey;
use crate::settings::SettingError;

/// Why no key can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key is not the one that the histories were written with, or other users can read or replace its file.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Its file cannot be read or written.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

const EXPECTED: &str = "the key that the histories were written with (base64 of 32 bytes); with another key they \
                        could not be verified any more";

/// Finds the key of this database's histories; generates one for an empty database. A wrong key is refused before
/// anything is written with it, because afterwards no single key could verify all histories.
///
/// # Errors
/// If the key is wrong or its file can be opened by other users.
pub async fn history_key(pool: &PgPool, set: Option<&HistoryKey>, data_dir: &Path) -> Result<HistoryKey, KeyError> {
    let known = known_history_key(set, data_dir)?;
    // A key generated now verifies no existing history, like any wrong key.
    let (key, is_known) = known.map_or_else(|| (HistoryKey::new(&draw()), false), |key| (key, true));
    let fits = verify::fits_the_newest(pool, &key).await.map_err(|error| anyhow!(describe(&error)));
    let fits = fits.context("reading the newest histories")?;
    if !fits {
        let problem = if is_known {
            "invalid value (not shown): none of the newest histories verifies with it".to_owned()
        } else {
            format!("not set, {} does not exist, but the database contains histories", file(data_dir).display())
        };
        return Err(SettingError { name: "HISTORY_KEY", problem, expected: EXPECTED.to_owned() }.into());
    }
    if is_known { Ok(key) } else { made_history_key(data_dir) }
}

/// Finds the key or generates one, for an empty database.
///
/// # Errors
/// If its file cannot be read or written, or can be opened by other users.
pub fn made_history_key(data_dir: &Path) -> Result<HistoryKey, KeyError> {
    let path = file(data_dir);
    if !path.exists() {
        std::fs::create_dir_all(data_dir).with_context(|| format!("DATA_DIR: cannot create {}", data_dir.display()))?;
        make(&path).with_context(|| format!("HISTORY_KEY: cannot write the key to {}", path.display()))?;
    }
    let known = known_history_key(None, data_dir)?;
    Ok(known.with_context(|| format!("HISTORY_KEY: {} was removed", path.display()))?)
}

/// Finds the key without generating one.
///
/// # Errors
/// If its file cannot be read or can be opened by other users.
pub fn known_history_key(set: Option<&HistoryKey>, data_dir: &Path) -> Result<Option<HistoryKey>, KeyError> {
    let path = file(data_dir);
    if set.is_some() || !path.exists() {
        return Ok(set.cloned());
    }
    let file = std::fs::File::open(&path).with_context(|| format!("HISTORY_KEY: cannot read {}", path.display()))?;
    let found = file.metadata().with_context(|| format!("HISTORY_KEY: cannot read {}", path.display()))?;
    if let Some(why) = not_ours_alone(&found) {
        let problem = format!("kept in {}, which {why}", path.display());
        let expected = "a file that only the service's user can open: check whether another user read or replaced the \
                        key, then chown and chmod 600, or set HISTORY_KEY";
        return Err(SettingError { name: "HISTORY_KEY", problem, expected: expected.to_owned() }.into());
    }
    let text = std::io::read_to_string(file).with_context(|| format!("HISTORY_KEY: cannot read {}", path.display()))?;
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|it| <[u8; 32]>::try_from(it).ok());
    let bytes =
        bytes.with_context(|| format!("HISTORY_KEY: {} does not contain base64 of 32 bytes", path.display()))?;
    Ok(Some(HistoryKey::new(&bytes)))
}

/// Why the key file is not private. With the key, any user could forge histories that verify. Root can in any case.
/// Access for a group is accepted: orchestrators assign volumes to groups.
fn not_ours_alone(file: &Metadata) -> Option<String> {
    if file.uid() != Uid::effective().as_raw() && file.uid() != 0 {
        return Some(format!("is owned by another user (uid {})", file.uid()));
    }
    let mode = file.mode() & 0o777;
    (mode & 0o007 != 0).then(|| format!("every user of the machine can open (mode {mode:o})"))
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("history.key")
}

#[expect(clippy::disallowed_methods, reason = "a key must come from the operating system's randomness")]
fn draw() -> [u8; 32] {
    rand::random()
}

/// Writes a temporary file and links it into place. A half-written key would make histories unverifiable, and of two
/// services that start at once on one directory, the second uses the key of the first.
fn make(path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", STANDARD.encode(draw()))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    linked.or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}
