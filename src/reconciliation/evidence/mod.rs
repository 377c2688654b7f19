//! Evidence: a bundle about one report that an auditor verifies without us.
//!
//! ```text
//! archive    the zip, in one form only
//! bag.rs     the folder in it: a BagIt bag (RFC 8493) with a signed manifest
//! bundle.rs  writes a bundle, in constant memory
//! collect.rs reads what belongs to a report, in one snapshot of the database
//! lines.rs   what stands in the files of a bundle
//! derived.rs files that are functions of others: a table for people, the balances
//! opening    the evidence of one opening, a document of its own
//! verify     checks a bundle, and performs parsing and classifying again
//! ```

pub mod archive;
pub mod bag;
pub mod bundle;
pub mod collect;
mod derived;
pub mod lines;
pub mod opening;
pub mod verify;

use std::fmt;

use serde::Serialize;

/// A thing that does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A file of the bundle, or `zip`.
    pub file: String,
    /// In the file, from 1.
    pub line: Option<u64>,
    pub what: String,
}

impl Finding {
    #[must_use]
    pub fn of(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into() }
    }

    #[must_use]
    pub fn at(file: &str, line: u64, what: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::of(file, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} line {line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}
