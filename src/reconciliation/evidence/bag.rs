//! The folder in a bundle: a `BagIt` bag (RFC 8493).
//!
//! The signature covers `manifest-sha256.txt`, and so every file below `data/`. The files beside `data/` are functions of those,
//! of the signature and of the key, so `verify` compares each of them whole.

use crate::clock::Time;

pub const DECLARATION: &str = "bagit.txt";
pub const INFO: &str = "bag-info.txt";
pub const MANIFEST: &str = "manifest-sha256.txt";
pub const SIGNATURE: &str = "manifest-sha256.txt.sig";
pub const PUBLIC_KEY: &str = "public-key.pem";
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// The files beside `data/`, in their order in the zip.
pub const TAG_FILES: [&str; 6] = [DECLARATION, INFO, MANIFEST, SIGNATURE, PUBLIC_KEY, TAG_MANIFEST];

/// The folder of the payload.
pub const PAYLOAD: &str = "data/";

pub const DECLARED: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// A file of the bag and its SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub name: String,
    pub sha256: String,
}

/// The data that `bag-info.txt` is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The report's id.
    pub id: String,
    pub made_at: Time,
}

/// The name of the folder.
#[must_use]
pub fn folder(id: &str) -> String {
    format!("evidence-{id}/")
}

/// Lines as `sha256sum` writes and reads them.
#[must_use]
pub fn manifest(files: &[Digest]) -> String {
    files.iter().flat_map(|it| [it.sha256.as_str(), "  ", it.name.as_str(), "\n"]).collect()
}

/// The lines of a manifest. None: a line that [`manifest`] does not write.
#[must_use]
pub fn read_manifest(text: &str) -> Option<Vec<Digest>> {
    let line = |line: &str| {
        let (sha256, name) = line.split_once("  ")?;
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then(|| Digest { name: name.to_owned(), sha256: sha256.to_owned() })
    };
    let body = text.strip_suffix('\n')?;
    body.split('\n').map(line).collect()
}

/// `bag-info.txt`, from the payload's size in bytes and files.
#[must_use]
pub fn info(about: &About, bytes: u64, files: usize) -> String {
    let day = about.made_at.format("%Y-%m-%d");
    format!(
        "External-Description: Evidence of the reconciliation of one report. Begin with data/README.txt.\n\
         External-Identifier: {}\nBagging-Date: {day}\nPayload-Oxum: {bytes}.{files}\nSource-Organization: account-opening\n",
        about.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_from_its_text() {
        let file = |name: &str, digit: &str| Digest { name: name.to_owned(), sha256: digit.repeat(64) };
        let files = vec![file("data/a", "0"), file("data/b c", "f")];
        assert_eq!(read_manifest(&manifest(&files)), Some(files));
        let line = format!("{}  data/a", "0".repeat(64));
        for wrong in ["", "\n", &line, &format!("{line}\n\n"), &line.replace("  ", " "), &line.replace('0', "A")] {
            assert_eq!(read_manifest(wrong), None, "{wrong}");
        }
    }
}
