//! The document: each part on a line of its own, then the manifest of the parts, its signature, and the public key.
//!
//! There is one way to write it, so that no byte is left that could change unnoticed.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::About;
use crate::reconciliation::evidence::bag::{self, Digest};

/// A file of the evidence: its text, or in hexadecimal what is no UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Part {
    #[must_use]
    pub fn of(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Self { name, text: Some(text), hex: None },
            Err(error) => Self { name, text: None, hex: Some(hex::encode(error.as_bytes())) },
        }
    }

    /// None: it has neither text nor hexadecimal, or both.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(digits)) => unhex(digits),
            _ => None,
        }
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        let sha256 = hex::encode(Sha256::digest(self.bytes().unwrap_or_default()));
        Digest { name: self.name.clone(), sha256 }
    }

    /// Its line, without the comma.
    #[must_use]
    pub fn line(&self) -> String {
        json!(self).to_string()
    }
}

/// A document as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub opening_id: Uuid,
    pub masked: bool,
    pub note: String,
    pub parts: Vec<Part>,
    /// Lines of a SHA-256 and a name, as `sha256sum` writes them.
    pub manifest: String,
    /// Ed25519 over the manifest, in hexadecimal.
    pub signature: String,
    /// In PEM.
    pub public_key: String,
}

impl Document {
    /// The document as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<String> =
            self.parts.iter().map(|it| Part::of(&it.name, it.bytes().unwrap_or_default()).line()).collect();
        let head = head(self.opening_id, self.masked);
        format!("{head}{}{}", lines.join(BETWEEN), tail(&self.manifest, &self.signature, &self.public_key))
    }
}

/// The text before the parts.
#[must_use]
pub fn head(opening: Uuid, masked: bool) -> String {
    let (masked, note) = (json!(masked), json!(About::note(masked)));
    format!("{{\"opening_id\":\"{opening}\",\"masked\":{masked},\"note\":{note},\"parts\":[\n")
}

/// The text between two parts.
pub const BETWEEN: &str = ",\n";

/// The text behind the parts.
#[must_use]
pub fn tail(manifest: &str, signature: &str, public_key: &str) -> String {
    let [manifest, signature, public_key] = [manifest, signature, public_key].map(|it| json!(it).to_string());
    format!("\n],\n\"manifest\":{manifest},\n\"signature\":{signature},\n\"public_key\":{public_key}}}\n")
}

/// The manifest of parts with these digests.
#[must_use]
pub fn manifest(digests: &[Digest]) -> String {
    bag::manifest(digests)
}

/// Bytes from hexadecimal in its one form, in lower case.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    hex::decode(digits).ok().filter(|it| hex::encode(it) == digits)
}
