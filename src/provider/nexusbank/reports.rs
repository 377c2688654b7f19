//! `NexusBank`'s report files, register and charges: rows in a frame, with the status words of its API.

use super::{NAME, verdict};
use crate::report_files::framed::Framed;

/// Their format.
pub static REPORTS: Framed = Framed { name: NAME, title: "a NexusBank file", verdict, incomplete: None };

#[cfg(test)]
mod tests;
