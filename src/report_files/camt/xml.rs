//! XML element by element, with the path of each and its place in the file, in bounded memory.
//!
//! A DTD, an entity of the file's own, and nesting beyond the bound are refused: a statement needs none of them.

use std::io::{self, Read};

use quick_xml::Reader;
use quick_xml::errors::Error;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::report_files::error::{Code, shown};
use crate::report_files::source::{BeyondAllowance, Source};

const MAX_DEPTH: usize = 64;
/// Bytes of the names of all open elements. The path is copied at each element, so long names would cost time.
const MAX_PATH: usize = 4 * 1024;
/// Bytes of one tag, comment or piece of text.
const MAX_EVENT: usize = 64 * 1024;

/// The next item of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An element begins.
    Open,
    /// An element ends; its text is known.
    Close,
    End,
}

pub enum XmlError {
    Io(io::Error),
    /// The file must not be used.
    Refused(Code, String),
    /// The rest of the file cannot be read.
    Broken(Code, String),
}

pub struct Xml<R> {
    reader: Reader<Source<R>>,
    buffer: Vec<u8>,
    /// The local names of the open elements, each behind a slash.
    path: String,
    lengths: Vec<usize>,
    closes: bool,
    text: String,
    currency: String,
    /// Namespaces declared by the open elements: how many elements were open, prefix, and name.
    namespaces: Vec<(usize, String, String)>,
    /// The prefix of the element that began last.
    prefix: String,
    /// Line and offset of the tag that was read last.
    pub place: (u64, u64),
}

impl<R: Read> Xml<R> {
    pub fn new(source: Source<R>) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        let (path, text, currency, prefix) = Default::default();
        Self {
            reader,
            buffer: Vec::new(),
            path,
            lengths: Vec::new(),
            closes: false,
            text,
            currency,
            namespaces: Vec::new(),
            prefix,
            place: (1, 0),
        }
    }

    /// Of the element that begins or ends.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Of the element that ends, without the white space around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The attribute `Ccy` of the element that began last.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// The XML namespace of the element that began last; empty if it has none.
    pub fn namespace(&self) -> &str {
        let declared = self.namespaces.iter().rev().find(|(_, prefix, _)| *prefix == self.prefix);
        declared.map_or("", |(_, _, name)| name)
    }

    /// Line and offset of what comes next.
    pub fn here(&self) -> (u64, u64) {
        let source = self.reader.get_ref();
        (source.line(), source.byte())
    }

    pub fn next(&mut self) -> Result<Step, XmlError> {
        if std::mem::take(&mut self.closes) {
            self.path.truncate(self.lengths.pop().unwrap_or_default());
            let open = self.lengths.len();
            self.namespaces.truncate(self.namespaces.partition_point(|(depth, ..)| *depth <= open));
            self.text.clear();
        }
        loop {
            let place = self.here();
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            self.reader.get_mut().allow(MAX_EVENT);
            let step = match self.reader.read_event_into(&mut buffer) {
                Ok(event) => self.event(event, place),
                Err(error) => Err(told(&error)),
            };
            self.buffer = buffer;
            if let Some(step) = step? {
                return Ok(step);
            }
        }
    }

    /// None: the event is no step.
    fn event(&mut self, event: Event<'_>, place: (u64, u64)) -> Result<Option<Step>, XmlError> {
        match event {
            Event::Start(tag) => {
                self.place = place;
                self.open(&tag)?;
                Ok(Some(Step::Open))
            }
            Event::End(_) => {
                self.closes = true;
                Ok(Some(Step::Close))
            }
            Event::Text(text) => self.add(&text.into_inner()),
            Event::CData(text) => self.add(&text.into_inner()),
            Event::GeneralRef(entity) => self.resolve(&entity),
            Event::DocType(_) => {
                let detail = "found a document type definition (DTD); expected a file without it";
                Err(XmlError::Refused(Code::Dtd, detail.to_owned()))
            }
            Event::Eof if !self.lengths.is_empty() => {
                let detail =
                    format!("found the end of the file within {}; expected its closing tags", shown(&self.path));
                Err(XmlError::Broken(Code::NotWellFormed, detail))
            }
            Event::Eof => Ok(Some(Step::End)),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => Ok(None),
        }
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), XmlError> {
        self.lengths.push(self.path.len());
        self.path.push('/');
        self.path.push_str(tag.local_name().as_ref());
        if self.lengths.len() > MAX_DEPTH || self.path.len() > MAX_PATH {
            let detail =
                format!("found elements nested more than {MAX_DEPTH} deep, or names of more than {MAX_PATH} bytes");
            return Err(XmlError::Refused(Code::TooDeep, detail));
        }
        self.text.clear();
        self.currency.clear();
        self.prefix.clear();
        self.prefix.push_str(tag.name().prefix().as_ref().map_or("", |it| it.as_ref()));
        for attribute in tag.attributes().with_checks(false).flatten() {
            match attribute.key.0 {
                "Ccy" => self.currency.push_str(&attribute.value),
                key => {
                    let Some(prefix) = key.strip_prefix("xmlns") else { continue };
                    let (open, prefix) = (self.lengths.len(), prefix.trim_start_matches(':').to_owned());
                    self.namespaces.push((open, prefix, attribute.value.to_string()));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<Option<Step>, XmlError> {
        if self.text.len() + text.len() > MAX_EVENT {
            let detail = format!("found more than 64 KiB of text in {}; the reading ends here", shown(&self.path));
            return Err(XmlError::Broken(Code::RecordTooLong, detail));
        }
        self.text.push_str(text);
        Ok(None)
    }

    /// The five entities of XML itself, and characters by number.
    fn resolve(&mut self, entity: &BytesRef<'_>) -> Result<Option<Step>, XmlError> {
        let by_number = entity.resolve_char_ref().ok().flatten();
        let name = entity.clone().into_inner();
        let by_name = match &*name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => None,
        };
        let Some(character) = by_number.or(by_name) else {
            let detail = format!("found the entity {}; expected none but those of XML itself", shown(&name));
            return Err(XmlError::Refused(Code::Entity, detail));
        };
        self.add(character.encode_utf8(&mut [0; 4]))
    }
}

fn told(error: &Error) -> XmlError {
    let broken = |code, detail: String| XmlError::Broken(code, format!("{detail}; the reading ends here"));
    match error {
        Error::Io(error)
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<BeyondAllowance>) =>
        {
            broken(Code::RecordTooLong, "found a tag, comment or text of more than 64 KiB".to_owned())
        }
        Error::Io(error) => XmlError::Io(io::Error::new(error.kind(), error.to_string())),
        Error::Encoding(_) => {
            broken(Code::BadEncoding, "found bytes that are no text in the file's encoding".to_owned())
        }
        // The parser's words may quote the file.
        Error::IllFormed(_) => broken(Code::NotWellFormed, "found tags that do not match".to_owned()),
        _ => broken(Code::NotWellFormed, "found XML that is not well-formed".to_owned()),
    }
}
