//! Writes the zip of a bundle into a file, in constant memory: each header is completed when its content is written.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use flate2::Crc;

use super::read::Part;
use super::{Entry, end};

pub struct Writer {
    file: BufWriter<File>,
    at: u64,
    entries: Vec<Entry>,
    crc: Crc,
}

impl Writer {
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), at: 0, entries: Vec::new(), crc: Crc::new() }
    }

    /// Begins an entry; the next writes are its content.
    pub fn begin(&mut self, name: String) -> io::Result<()> {
        let entry = Entry { name, crc: 0, size: 0, offset: self.at };
        self.file.write_all(&entry.local())?;
        self.at = entry.content();
        self.crc = Crc::new();
        self.entries.push(entry);
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Completes the entry's header.
    pub fn end(&mut self) -> io::Result<()> {
        let Some(entry) = self.entries.last_mut() else { return Ok(()) };
        (entry.crc, entry.size) = (self.crc.sum(), self.at - entry.content());
        self.file.seek(SeekFrom::Start(entry.offset))?;
        self.file.write_all(&entry.local())?;
        self.file.seek(SeekFrom::Start(self.at))?;
        Ok(())
    }

    /// Reads an entry that is complete.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Part<'_>> {
        self.entries.iter().find(|it| it.name == name).map(|it| Part::new(self.file.get_ref(), it.content(), it.size))
    }

    /// The file at its first byte, and its length.
    pub fn finish(mut self) -> io::Result<(File, u64)> {
        let central: Vec<u8> = self.entries.iter().flat_map(Entry::central).collect();
        self.file.write_all(&central)?;
        let (count, size) = (self.entries.len() as u64, central.len() as u64);
        let end = end(count, size, self.at);
        self.file.write_all(&end)?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok((file, self.at + size + end.len() as u64))
    }
}
