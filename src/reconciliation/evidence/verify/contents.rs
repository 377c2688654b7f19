//! The files of a bundle, read line by line. A line that is none is named, and the next one is read.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Findings;
use crate::reconciliation::evidence::archive::Entry;
use crate::reconciliation::evidence::archive::read::{Archive, Part};

/// More than any file has that is read whole.
const SMALL: u64 = 16 * 1024 * 1024;
/// More than any line has.
const LINE: u64 = 64 * 1024 * 1024;

/// A bundle, with its files by name.
pub struct Contents {
    pub archive: Archive,
    /// The folder, with a slash at its end.
    pub folder: String,
    /// SHA-256 of each file, by its name in the folder.
    pub digests: BTreeMap<String, String>,
}

impl Contents {
    /// The entries with their names in the folder, in the order of the zip.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.archive.entries.iter().filter_map(|it| Some((it.name.strip_prefix(&self.folder)?, it)))
    }

    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries().find(|(it, _)| *it == name).map(|(_, entry)| entry)
    }

    #[must_use]
    pub fn part(&self, name: &str) -> Option<Part<'_>> {
        self.entry(name).map(|entry| self.archive.read(entry))
    }

    /// A small file whole. None: it is missing (which the manifest says), or too large to be what it is said to be.
    pub fn small(&self, name: &str, findings: &mut Findings<'_>) -> io::Result<Option<Vec<u8>>> {
        let Some(part) = self.part(name) else {
            findings.of(name, "is missing");
            return Ok(None);
        };
        let mut bytes = Vec::new();
        part.take(SMALL + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > SMALL {
            findings.of(name, format!("is larger than {SMALL} bytes"));
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// The objects of a file of lines, with the numbers of their lines.
    pub fn lines<T: DeserializeOwned>(&self, name: &'static str, findings: &mut Findings<'_>) -> Lines<'_, T> {
        let part = self.part(name);
        if part.is_none() {
            findings.of(name, "is missing");
        }
        Lines { name, read: part.map(BufReader::new), line: 0, next: None, of: PhantomData }
    }
}

/// Reads objects, and looks one ahead.
pub struct Lines<'a, T> {
    pub name: &'static str,
    read: Option<BufReader<Part<'a>>>,
    line: u64,
    next: Option<(u64, T)>,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<'_, T> {
    pub fn next(&mut self, findings: &mut Findings<'_>) -> io::Result<Option<(u64, T)>> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        while let Some(text) = self.text(findings)? {
            match serde_json::from_slice(&text) {
                Ok(it) => return Ok(Some((self.line, it))),
                Err(error) => findings.at(self.name, self.line, format!("is not what this file holds: {error}")),
            }
        }
        Ok(None)
    }

    /// The next object, if it is of this kind; else it stays.
    pub fn next_if(&mut self, is_it: impl Fn(&T) -> bool, findings: &mut Findings<'_>) -> io::Result<Option<(u64, T)>> {
        let next = self.next(findings)?;
        if next.as_ref().is_some_and(|(_, it)| is_it(it)) {
            return Ok(next);
        }
        self.next = next;
        Ok(None)
    }

    fn text(&mut self, findings: &mut Findings<'_>) -> io::Result<Option<Vec<u8>>> {
        let Some(read) = &mut self.read else { return Ok(None) };
        let mut text = Vec::new();
        read.take(LINE).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        if text.pop() != Some(b'\n') {
            findings.at(self.name, self.line, "does not end: the file was cut off, or the line is too long");
            self.read = None;
        }
        Ok(Some(text))
    }
}
