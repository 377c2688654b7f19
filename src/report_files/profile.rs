//! Profiles: how another provider writes its CSV files, as a TOML file.
//!
//! A profile is data that changes what money means, so it is checked as a whole when it is loaded, and its SHA-256 is kept with each
//! report that it read.

mod parse;
mod style;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use super::csv::Dialect;
use super::fields::Field;
use super::number::NumberFormat;
use super::row::{ChargeType, Kind};
use super::source::Encoding;
use crate::domain::Verdict;

pub use self::table::Table;

const BUILT_IN: [(&str, &str); 2] = [
    ("fjord-register", include_str!("../reconciliation/profiles/fjord-register.toml")),
    ("rhine-fees", include_str!("../reconciliation/profiles/rhine-fees.toml")),
];

/// A profile as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFile {
    /// The file's name without `.toml`.
    pub name: String,
    pub path: String,
    pub text: String,
}

/// A checked profile.
#[derive(Debug)]
pub struct Profile {
    pub name: String,
    /// In hexadecimal, of the TOML file.
    pub sha256: String,
    /// The TOML file.
    pub text: String,
    pub kind: Kind,
    /// The only provider of its files.
    pub provider: Option<String>,
    encoding: Encoding,
    dialect: Dialect,
    number: NumberFormat,
    dates: Vec<String>,
    times: Vec<String>,
    zone: Tz,
    /// The file's positive amounts are ours to get.
    is_reversed: bool,
    skip_lines: u64,
    has_header: bool,
    columns: BTreeMap<Field, Column>,
    defaults: BTreeMap<Field, String>,
    types: BTreeMap<String, ChargeType>,
    statuses: BTreeMap<String, Verdict>,
    footer: Option<Footer>,
}

/// Where a column is found.
#[derive(Clone, Debug)]
enum Column {
    Name(String),
    /// From 0.
    Place(usize),
}

/// The last record: how it is known, and where count and sums stand in it, from 0.
#[derive(Clone, Debug)]
struct Footer {
    starts_with: String,
    rows: Option<usize>,
    amount: Option<usize>,
    debit: Option<usize>,
    credit: Option<usize>,
}

/// An error in a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {key}: {problem}; expected {expected}")]
pub struct ProfileError {
    pub file: String,
    /// Such as `columns.amount`.
    pub key: String,
    /// The value that the key holds.
    pub problem: String,
    pub expected: String,
}

/// Profiles by name.
#[derive(Clone, Debug, Default)]
pub struct Profiles(BTreeMap<String, Arc<Profile>>);

impl Profiles {
    /// Those that the program contains.
    pub fn built_in() -> Result<Self, Vec<ProfileError>> {
        let mut profiles = Self::default();
        for (name, text) in BUILT_IN {
            profiles.add(name, &format!("{name}.toml"), text)?;
        }
        Ok(profiles)
    }

    /// The built-in ones and these; a file replaces a built-in profile of its name.
    pub fn of(files: &[ProfileFile]) -> Result<Self, Vec<ProfileError>> {
        let mut profiles = Self::built_in()?;
        let added = files.iter().map(|it| profiles.add(&it.name, &it.path, &it.text));
        let errors: Vec<ProfileError> = added.filter_map(Result::err).flatten().collect();
        if errors.is_empty() { Ok(profiles) } else { Err(errors) }
    }

    /// Checks a profile and adds it under its name.
    pub fn add(&mut self, name: &str, file: &str, text: &str) -> Result<(), Vec<ProfileError>> {
        let profile = parse::profile(name, file, text)?;
        self.0.insert(name.to_owned(), Arc::new(profile));
        Ok(())
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Profile>> {
        self.0.get(name).cloned()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
