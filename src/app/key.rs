//! The key of the history's chain: the one that was set, else the one kept in the data directory.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::chain::HistoryKey;

/// The key, made where there is none.
///
/// # Errors
/// When its file cannot be read or written.
pub fn history_key(set: Option<&HistoryKey>, data_dir: &Path) -> anyhow::Result<HistoryKey> {
    if let Some(key) = known_history_key(set, data_dir)? {
        return Ok(key);
    }
    let path = file(data_dir);
    std::fs::create_dir_all(data_dir).with_context(|| format!("DATA_DIR: cannot make {}", data_dir.display()))?;
    make(&path).with_context(|| format!("HISTORY_KEY: cannot keep a key in {}", path.display()))?;
    known_history_key(None, data_dir)?.with_context(|| format!("HISTORY_KEY: {} is gone", path.display()))
}

/// The key, if there is one: a new one verifies nothing.
///
/// # Errors
/// When its file is there and cannot be read.
pub fn known_history_key(set: Option<&HistoryKey>, data_dir: &Path) -> anyhow::Result<Option<HistoryKey>> {
    let path = file(data_dir);
    if set.is_some() || !path.exists() {
        return Ok(set.cloned());
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("HISTORY_KEY: cannot read {}", path.display()))?;
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|it| <[u8; 32]>::try_from(it).ok());
    let bytes = bytes.with_context(|| format!("HISTORY_KEY: {} does not hold base64 of 32 bytes", path.display()))?;
    Ok(Some(HistoryKey::new(&bytes)))
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("history.key")
}

/// Written beside and linked into place: half a key would make a history that nobody can verify, and of two services that
/// start together on one directory the second takes the first one's.
fn make(path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    #[expect(clippy::disallowed_methods, reason = "a key must come from the operating system's randomness")]
    let key: [u8; 32] = rand::random();
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    linked.or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}
