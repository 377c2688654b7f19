//! Writes a bundle: the payload file by file, then manifests, signature and key.
//!
//! Blocking, and in constant memory: run it on a thread of its own. The file has no name where the caller gives a temporary one, so a
//! crash leaves nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::archive::write::Writer;
use super::bag::{self, About, Digest};
use super::{derived, lines};
use crate::domain::signature::{EvidenceKey, NoKey};

/// How much is copied at once.
const COPIED: usize = 64 * 1024;

pub struct Bundle {
    archive: Writer,
    about: About,
    files: Vec<Digest>,
    bytes: u64,
    name: String,
    hash: Sha256,
}

/// A bundle that is complete.
#[derive(Debug)]
pub struct Finished {
    pub file: File,
    pub bytes: u64,
    /// SHA-256 of the manifest, in hexadecimal: it stands for the whole payload.
    pub manifest_sha256: String,
}

impl Bundle {
    #[must_use]
    pub fn new(file: File, about: About) -> Self {
        let (archive, hash) = (Writer::new(file), Sha256::new());
        Self { archive, about, files: Vec::new(), bytes: 0, name: String::new(), hash }
    }

    /// Begins a file. Names of the payload begin with `data/`.
    pub fn begin(&mut self, name: &str) -> io::Result<()> {
        name.clone_into(&mut self.name);
        self.hash = Sha256::new();
        self.archive.begin(format!("{}{name}", bag::folder(&self.about.id)))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        if self.name.starts_with(bag::PAYLOAD) {
            self.bytes += bytes.len() as u64;
        }
        self.archive.write(bytes)
    }

    pub fn end(&mut self) -> io::Result<()> {
        let sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        self.files.push(Digest { name: std::mem::take(&mut self.name), sha256 });
        self.archive.end()
    }

    /// Writes a small file.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name)?;
        self.write(bytes)?;
        self.end()
    }

    /// Writes the files that are functions of others.
    fn derive(&mut self) -> io::Result<()> {
        self.derived(lines::ROWS, lines::MATCHES, derived::matches)?;
        self.derived(lines::LEDGER, lines::BALANCES, derived::balances)
    }

    /// The result goes through a temporary file: an entry is written while no other is read.
    fn derived(
        &mut self,
        from: &str,
        name: &str,
        derive: fn(&mut dyn BufRead, &mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(part) = self.archive.read(&format!("{}{from}", bag::folder(&self.about.id))) else { return Ok(()) };
        let mut made = io::BufWriter::new(tempfile::tempfile()?);
        derive(&mut BufReader::new(part), &mut made)?;
        let mut made = made.into_inner().map_err(io::IntoInnerError::into_error)?;
        io::Seek::rewind(&mut made)?;
        self.begin(name)?;
        let mut piece = vec![0; COPIED];
        loop {
            let read = made.read(&mut piece)?;
            if read == 0 {
                return self.end();
            }
            self.write(&piece[..read])?;
        }
    }

    /// Derives, signs and completes.
    pub fn finish(mut self, key: &EvidenceKey) -> io::Result<Finished> {
        self.derive()?;
        let (bytes, count) = (self.bytes, self.files.len());
        let manifest = bag::manifest(&std::mem::take(&mut self.files));
        let public = key.public().to_pem().map_err(no_key)?;
        self.add(bag::DECLARATION, bag::DECLARED.as_bytes())?;
        self.add(bag::INFO, bag::info(&self.about, bytes, count).as_bytes())?;
        self.add(bag::MANIFEST, manifest.as_bytes())?;
        self.add(bag::SIGNATURE, &key.sign(manifest.as_bytes()))?;
        self.add(bag::PUBLIC_KEY, public.as_bytes())?;
        let tags = bag::manifest(&self.files);
        self.add(bag::TAG_MANIFEST, tags.as_bytes())?;
        let (file, bytes) = self.archive.finish()?;
        Ok(Finished { file, bytes, manifest_sha256: hex::encode(Sha256::digest(manifest)) })
    }
}

fn no_key(error: NoKey) -> io::Error {
    io::Error::other(error)
}
