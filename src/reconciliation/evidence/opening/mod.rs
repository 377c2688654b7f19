//! Evidence of one opening: a JSON document with the facts about it as they came, and its history.
//!
//! ```text
//! document.rs the document: parts, their manifest, its signature
//! collect.rs  reads what belongs to an opening, in one snapshot of the database
//! masking.rs  what readers are not shown
//! verify.rs   checks a document
//! ```
//!
//! The signature covers the manifest, and so every part. The text beside the parts is a function of them, of the signature and of
//! the key; `verify` writes the document again and compares it byte by byte.

pub mod collect;
mod document;
mod masking;
pub mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Time;

/// The form of documents that this version writes and verifies.
const FORM: u32 = 1;

const README: &str = "README.txt";
const ABOUT: &str = "about.json";
/// The opening with its history.
const OPENING: &str = "opening.json";

/// Masks a text for a reader.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// `about.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// [`FORM`].
    form: u32,
    /// Which version of the service made the document, and when.
    software: String,
    made_at: Time,
    opening_id: Uuid,
    /// Personal data is masked for a reader.
    masked: bool,
}

impl About {
    fn new(opening_id: Uuid, made_at: Time, masked: bool) -> Self {
        let software = concat!("account-opening ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { form: FORM, software, made_at, opening_id, masked }
    }

    /// A note to read before the rest.
    const fn note(masked: bool) -> &'static str {
        if masked {
            "Masked for a reader: the bank's signatures cover none of these bytes. An operator's copy has the bytes as they came."
        } else {
            "The bank's messages stand here byte for byte as they came, with the headers that it signed them by."
        }
    }
}
