//! The bytes of a file as UTF-8 text, with the physical line and the offset of what is read next.
//!
//! Offsets are those of the file as it came, also where it is UTF-16 or ISO-8859-1: erasure overwrites values at these offsets.
//! Memory is constant: the window grows with no file.

use std::io::{self, BufRead, Read};

use encoding_rs::{CoderResult, Decoder, UTF_8, UTF_16BE, UTF_16LE};

const WINDOW: usize = 256 * 1024;
/// Free bytes that a decoder needs to make progress.
const MARGIN: usize = 16;
/// Bytes of the beginning by which encodings and formats are told apart.
const HEAD: usize = 1024;

/// How the bytes of a file become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// A byte per character, such as ISO-8859-1.
    SingleByte(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// By its name in an XML declaration or a profile. None: unknown, or not one that is read.
    pub fn named(label: &str) -> Option<Self> {
        match encoding_rs::Encoding::for_label(label.as_bytes())? {
            it if it == UTF_8 => Some(Self::Utf8),
            it if it == UTF_16LE => Some(Self::Utf16Le),
            it if it == UTF_16BE => Some(Self::Utf16Be),
            it if it.is_single_byte() => Some(Self::SingleByte(it)),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::SingleByte(encoding) => encoding.name(),
        }
    }

    fn decoder(self) -> Option<Decoder> {
        match self {
            Self::Utf8 => None,
            Self::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Self::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
            Self::SingleByte(encoding) => Some(encoding.new_decoder_without_bom_handling()),
        }
    }

    /// The byte order mark with which a file of this encoding may begin.
    const fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"\xef\xbb\xbf",
            Self::Utf16Le => b"\xff\xfe",
            Self::Utf16Be => b"\xfe\xff",
            Self::SingleByte(_) => b"",
        }
    }

    /// The bytes in the file from which this text came.
    fn raw_len(self, text: &[u8]) -> u64 {
        let chars = || text.iter().filter(|it| **it & 0xc0 != 0x80).count();
        let pairs = || text.iter().filter(|it| **it >= 0xf0).count();
        let len = match self {
            Self::Utf8 => text.len(),
            Self::Utf16Le | Self::Utf16Be => 2 * (chars() + pairs()),
            Self::SingleByte(_) => chars(),
        };
        len as u64
    }
}

/// A window over a file.
pub struct Source<R> {
    read: R,
    encoding: Encoding,
    /// Absent for UTF-8, and when the end was decoded.
    decoder: Option<Decoder>,
    /// Bytes of the file that are not decoded yet.
    raw: Vec<u8>,
    /// Bytes of the file so far: half a character at its end counts as what it is.
    received: u64,
    is_at_end: bool,
    window: Box<[u8]>,
    from: usize,
    until: usize,
    line: u64,
    byte: u64,
    /// How much may be consumed through [`BufRead`] before [`Source::allow`] is called again.
    allowance: usize,
}

impl<R: Read> Source<R> {
    /// Reads the beginning of a file; a byte order mark decides its encoding.
    pub fn new(read: R) -> io::Result<Self> {
        let mut source = Self {
            read,
            encoding: Encoding::Utf8,
            decoder: None,
            raw: Vec::new(),
            received: 0,
            is_at_end: false,
            window: vec![0; WINDOW].into_boxed_slice(),
            from: 0,
            until: 0,
            line: 1,
            byte: 0,
            allowance: usize::MAX,
        };
        while source.raw.len() < HEAD && !source.is_at_end {
            source.read_raw(HEAD)?;
        }
        for encoding in [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be] {
            if source.raw.starts_with(encoding.mark()) {
                source.raw.drain(..encoding.mark().len());
                source.byte = encoding.mark().len() as u64;
                source.decode_as(encoding);
                break;
            }
        }
        Ok(source)
    }

    /// Sets the encoding of a file without a byte order mark, before its first text is read.
    pub fn decode_as(&mut self, encoding: Encoding) {
        self.encoding = encoding;
        self.decoder = encoding.decoder();
    }

    /// Whether a byte order mark has said the encoding.
    pub const fn is_marked(&self) -> bool {
        self.byte > 0
    }

    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The first bytes of the file after a byte order mark, before any text was read.
    pub fn head(&self) -> &[u8] {
        &self.raw
    }

    /// The physical line of what is read next.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The offset in the file of what is read next.
    pub fn byte(&self) -> u64 {
        self.byte.min(self.received)
    }

    /// Text that was read and not consumed.
    pub fn window(&self) -> &[u8] {
        &self.window[self.from..self.until]
    }

    /// The bytes in the file from which text at the beginning of the window came.
    pub fn raw_len(&self, text: &[u8]) -> u64 {
        self.encoding.raw_len(text).min(self.received.saturating_sub(self.byte))
    }

    /// Reads more text behind the window. False: the file has ended, or the window is full.
    pub fn more(&mut self) -> io::Result<bool> {
        if self.from > 0 && self.until > WINDOW / 2 {
            self.window.copy_within(self.from..self.until, 0);
            self.until -= self.from;
            self.from = 0;
        }
        let before = self.until;
        while self.until == before && self.until + MARGIN <= WINDOW {
            let is_last = self.is_at_end;
            if self.raw.is_empty() && !is_last {
                self.read_raw(WINDOW / 4)?;
            }
            self.decode();
            if is_last {
                break;
            }
        }
        Ok(self.until > before)
    }

    /// Lets [`BufRead`] consume this many bytes more. A caller that meets the bound gets an error and not the rest of the memory.
    pub const fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    fn read_raw(&mut self, most: usize) -> io::Result<()> {
        let held = self.raw.len();
        self.raw.resize(held + most, 0);
        let read = loop {
            match self.read.read(&mut self.raw[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let length = *read.as_ref().unwrap_or(&0);
        self.raw.truncate(held + length);
        self.received += length as u64;
        self.is_at_end = read? == 0;
        Ok(())
    }

    fn decode(&mut self) {
        let free = &mut self.window[self.until..];
        let (read, written) = match &mut self.decoder {
            None => {
                let length = self.raw.len().min(free.len());
                free[..length].copy_from_slice(&self.raw[..length]);
                (length, length)
            }
            Some(decoder) => {
                let (result, read, written, _) = decoder.decode_to_utf8(&self.raw, free, self.is_at_end);
                if self.is_at_end && result == CoderResult::InputEmpty {
                    self.decoder = None;
                }
                (read, written)
            }
        };
        self.raw.drain(..read);
        self.until += written;
    }
}

/// The number of line breaks in a text.
pub fn line_breaks(text: &[u8]) -> u64 {
    text.iter().fold(0, |count, byte| count + u64::from(*byte == b'\n'))
}

/// The error of [`BufRead::fill_buf`] when the allowance is used up.
#[derive(Debug, thiserror::Error)]
#[error("beyond the bound")]
pub struct BeyondAllowance;

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.allowance == 0 {
            return Err(io::Error::other(BeyondAllowance));
        }
        if self.from == self.until {
            self.more()?;
        }
        let length = (self.until - self.from).min(self.allowance);
        Ok(&self.window[self.from..self.from + length])
    }

    fn consume(&mut self, length: usize) {
        let text = &self.window[self.from..self.from + length];
        self.line += line_breaks(text);
        self.byte += self.encoding.raw_len(text);
        self.from += length;
        self.allowance = self.allowance.saturating_sub(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(1).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_becomes_the_same_text_and_keeps_its_offsets() {
        let text = "añ€😀\nb";
        let latin = ["añ\u{80}\nb".chars().map(|it| it as u8).collect::<Vec<u8>>(), Vec::new()].concat();
        for (bytes, encoding, expected) in [
            (text.as_bytes().to_vec(), Encoding::Utf8, text),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), Encoding::Utf8, text),
            (utf16(text, u16::to_le_bytes), Encoding::Utf16Le, text),
            (utf16(text, u16::to_be_bytes), Encoding::Utf16Be, text),
            (latin, Encoding::named("ISO-8859-1").unwrap(), "añ€\nb"),
        ] {
            let mut source = Source::new(Drops(&bytes)).unwrap();
            if !source.is_marked() {
                source.decode_as(encoding);
            }
            assert_eq!(source.encoding(), encoding);
            while source.more().unwrap() {}
            assert_eq!(source.window(), expected.as_bytes(), "{encoding:?}");
            let length = source.window().len();
            source.consume(length);
            assert_eq!((source.line(), source.byte()), (2, bytes.len() as u64), "{encoding:?}");
        }
    }

    #[test]
    fn a_window_is_full_before_memory_is() {
        let mut source = Source::new(io::repeat(0)).unwrap();
        while source.more().unwrap() {}
        assert!(source.window().len() > WINDOW - MARGIN);
        source.allow(10);
        source.consume(10);
        assert!(source.fill_buf().is_err());
    }
}
