//! The service's own keys: of the history's hash chain (`HISTORY_KEY`) and of evidence (`EVIDENCE_KEY`). Each is the setting, else a
//! file in the data directory.

use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::Uid;
use sqlx::PgPool;

use super::database::patiently;
use super::verify;
use crate::domain::chain::HistoryKey;
use crate::domain::signature::EvidenceKey;
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
    let fits = patiently(async || Ok(verify::fits_the_newest(pool, &key).await?)).await;
    let fits = fits.context("reading the newest histories")?;
    if !fits {
        let problem = if is_known {
            "invalid value (not shown): none of the newest histories verifies with it".to_owned()
        } else {
            format!("not set, {} does not exist, but the database contains histories", HISTORY.path(data_dir).display())
        };
        return Err(SettingError { name: "HISTORY_KEY", problem, expected: EXPECTED.to_owned() }.into());
    }
    if is_known { Ok(key) } else { made_history_key(data_dir) }
}

/// Finds the history's key or generates one, for an empty database.
///
/// # Errors
/// If its file cannot be read or written, or can be opened by other users.
pub fn made_history_key(data_dir: &Path) -> Result<HistoryKey, KeyError> {
    HISTORY.made(data_dir)
}

/// Finds the history's key without generating one.
///
/// # Errors
/// If its file cannot be read or can be opened by other users.
pub fn known_history_key(set: Option<&HistoryKey>, data_dir: &Path) -> Result<Option<HistoryKey>, KeyError> {
    if set.is_some() { Ok(set.cloned()) } else { HISTORY.known(data_dir) }
}

/// Finds the key that signs evidence, or generates one. Evidence that an earlier key signed carries that key's public half, and
/// verifies as ever.
///
/// # Errors
/// If its file cannot be read or written, or can be opened by other users.
pub fn evidence_key(set: Option<&EvidenceKey>, data_dir: &Path) -> Result<EvidenceKey, KeyError> {
    set.map_or_else(|| EVIDENCE.made(data_dir), |key| Ok(key.clone()))
}

/// A key that is kept in a file of the data directory unless its setting is given.
struct Kept<K> {
    setting: &'static str,
    file: &'static str,
    form: &'static str,
    /// The content of the file, from 32 random bytes.
    write: fn(&[u8; 32]) -> Option<String>,
    read: fn(&str) -> Option<K>,
}

const HISTORY: Kept<HistoryKey> = Kept {
    setting: "HISTORY_KEY",
    file: "history.key",
    form: "base64 of 32 bytes",
    write: |bytes| Some(STANDARD.encode(bytes)),
    read: |text| STANDARD.decode(text.trim()).ok()?.try_into().ok().map(|it: [u8; 32]| HistoryKey::new(&it)),
};

const EVIDENCE: Kept<EvidenceKey> = Kept {
    setting: "EVIDENCE_KEY",
    file: "evidence.key",
    form: "an Ed25519 key in PKCS#8 PEM",
    write: |bytes| EvidenceKey::new(bytes).to_pem().ok(),
    read: |text| EvidenceKey::from_pem(text).ok(),
};

impl<K> Kept<K> {
    fn path(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(self.file)
    }

    fn made(&self, data_dir: &Path) -> Result<K, KeyError> {
        let (path, name) = (self.path(data_dir), self.setting);
        if !path.exists() {
            std::fs::create_dir_all(data_dir)
                .with_context(|| format!("DATA_DIR: cannot create {}", data_dir.display()))?;
            let made = (self.write)(&draw()).context("the key has no text").and_then(|it| Ok(keep(&path, &it)?));
            made.with_context(|| format!("{name}: cannot write the key to {}", path.display()))?;
        }
        let known = self.known(data_dir)?;
        Ok(known.with_context(|| format!("{name}: {} was removed", path.display()))?)
    }

    fn known(&self, data_dir: &Path) -> Result<Option<K>, KeyError> {
        let (path, name) = (self.path(data_dir), self.setting);
        if !path.exists() {
            return Ok(None);
        }
        let cannot_read = || format!("{name}: cannot read {}", path.display());
        let file = std::fs::File::open(&path).with_context(cannot_read)?;
        let found = file.metadata().with_context(cannot_read)?;
        if let Some(why) = not_ours_alone(&found) {
            let problem = format!("kept in {}, which {why}", path.display());
            let expected = format!(
                "a file that only the service's user can open: check whether another user read or replaced the key, then \
                 chown and chmod 600, or set {name}"
            );
            return Err(SettingError { name, problem, expected }.into());
        }
        let text = std::io::read_to_string(file).with_context(cannot_read)?;
        let key = (self.read)(&text);
        Ok(Some(key.with_context(|| format!("{name}: {} does not contain {}", path.display(), self.form))?))
    }
}

/// Why the key file is not private. With the key, any user could forge what it protects. Root can in any case.
/// Access for a group is accepted: orchestrators assign volumes to groups.
fn not_ours_alone(file: &Metadata) -> Option<String> {
    if file.uid() != Uid::effective().as_raw() && file.uid() != 0 {
        return Some(format!("is owned by another user (uid {})", file.uid()));
    }
    let mode = file.mode() & 0o777;
    (mode & 0o007 != 0).then(|| format!("every user of the machine can open (mode {mode:o})"))
}

#[expect(clippy::disallowed_methods, reason = "a key must come from the operating system's randomness")]
fn draw() -> [u8; 32] {
    rand::random()
}

/// Writes a temporary file and links it into place. A half-written key would make histories unverifiable, and of two
/// services that start at once on one directory, the second uses the key of the first.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", text.trim_end())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    linked.or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}
