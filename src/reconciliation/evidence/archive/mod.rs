//! The zip of a bundle, in one form only: stored entries, fixed times, 64-bit sizes, nothing between the parts.
//!
//! ```text
//! local header, content        of each entry, one after the other
//! central header               of each entry
//! end                          of a fixed length, without a comment
//! ```
//!
//! Each header is a function of name, CRC, size and offset, and `write.rs` and `read.rs` use the same functions. So the reader accounts
//! for every byte of the file, and a bundle of years ago has the form that today's reader expects. Any unzip program reads it.

pub mod read;
pub mod write;

/// Every size and offset stands in the 64-bit fields, also a small one: there is one form.
const IN_EXTRA: u32 = u32::MAX;
const VERSION: u16 = 45;
const MADE_BY: u16 = 3 << 8 | VERSION;
/// 1 January 1980, the first day that a zip knows.
const DATE: u16 = 0x21;
/// `-rw-r--r--`
const MODE: u32 = 0o100_644 << 16;
/// The length of [`end`].
const END: u64 = 56 + 20 + 22;

/// A file in the zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// CRC-32 of the content.
    pub crc: u32,
    pub size: u64,
    /// Of its local header.
    pub offset: u64,
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(self, it: u16) -> Self {
        self.raw(&it.to_le_bytes())
    }

    fn u32(self, it: u32) -> Self {
        self.raw(&it.to_le_bytes())
    }

    fn u64(self, it: u64) -> Self {
        self.raw(&it.to_le_bytes())
    }
}

impl Entry {
    /// Names are ours, and far shorter.
    fn name_length(&self) -> u16 {
        u16::try_from(self.name.len()).unwrap_or(u16::MAX)
    }

    /// From the version to the length of the extra field, which both headers have.
    fn common(&self, bytes: Bytes, extra: u16) -> Bytes {
        let plain = bytes.u16(VERSION).u16(0).u16(0).u16(0).u16(DATE);
        plain.u32(self.crc).u32(IN_EXTRA).u32(IN_EXTRA).u16(self.name_length()).u16(extra)
    }

    fn local(&self) -> Vec<u8> {
        let bytes = self.common(Bytes::default().raw(b"PK\x03\x04"), 20).raw(self.name.as_bytes());
        bytes.u16(1).u16(16).u64(self.size).u64(self.size).0
    }

    fn central(&self) -> Vec<u8> {
        let bytes = self.common(Bytes::default().raw(b"PK\x01\x02").u16(MADE_BY), 28);
        let bytes = bytes.u16(0).u16(0).u16(0).u32(MODE).u32(IN_EXTRA).raw(self.name.as_bytes());
        bytes.u16(1).u16(24).u64(self.size).u64(self.size).u64(self.offset).0
    }

    /// Where its content begins.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.offset.saturating_add(50 + self.name.len() as u64)
    }
}

/// The records after the central headers, which begin at `offset` and are `size` bytes long.
fn end(entries: u64, size: u64, offset: u64) -> Vec<u8> {
    let bytes = Bytes::default().raw(b"PK\x06\x06").u64(44).u16(MADE_BY).u16(VERSION).u32(0).u32(0);
    let bytes = bytes.u64(entries).u64(entries).u64(size).u64(offset);
    let bytes = bytes.raw(b"PK\x06\x07").u32(0).u64(offset.saturating_add(size)).u32(1);
    bytes.raw(b"PK\x05\x06").u16(0).u16(0).u16(u16::MAX).u16(u16::MAX).u32(IN_EXTRA).u32(IN_EXTRA).u16(0).0
}
