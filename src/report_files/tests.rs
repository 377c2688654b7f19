use std::io::Read as _;

use super::framed::Framed;
use super::row::RegisterRow;
use super::*;
use crate::domain::Verdict;

/// The framed format of a bank with status words of its own.
static FRAMED: Framed = Framed {
    name: "framedbank",
    title: "a file of the bank",
    verdict: |word| if word == "OPEN" { Verdict::Completed } else { Verdict::Unknown },
    incomplete: None,
};

/// A format that no other bank has: each line is a tracking id.
#[derive(Debug)]
struct Lines;

static LINES: Lines = Lines;

struct Ids(std::vec::IntoIter<Item>);

impl Format for Lines {
    fn name(&self) -> &'static str {
        "linesbank"
    }

    fn begins(&self, head: &[u8]) -> bool {
        head.starts_with(b"ids:")
    }

    fn open<'r>(&self, mut source: Input<'r>, expected: &Expected<'_>) -> Result<File<'r>, OpenError> {
        let header =
            Header { kind: Kind::Register, provider: self.name().to_owned(), from: None, until: None, as_of: None };
        expected.agrees_with(&header, 1)?;
        let mut text = String::new();
        source.read_to_string(&mut text)?;
        let row = |(n, id): (usize, &str)| {
            let (line, key) = (n as u64 + 1, id.to_owned());
            Item::Row(Box::new(Located { line, byte: 0, len: id.len() as u64, key, row: Row::Register(request(id)) }))
        };
        let items: Vec<Item> = text.lines().enumerate().skip(1).map(row).collect();
        Ok((header, Box::new(Ids(items.into_iter()))))
    }
}

fn request(id: &str) -> RegisterRow {
    RegisterRow {
        provider_reference: id.to_owned(),
        reference: None,
        status: String::new(),
        verdict: Verdict::Completed,
        iban: None,
        bic: None,
        rejection_reason: None,
        market: None,
        currency: None,
        created_at: None,
        decided_at: None,
    }
}

impl Iterator for Ids {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl Items for Ids {
    fn so_far(&self) -> Ending {
        Ending::default()
    }
}

const OWN: &[&dyn Format] = &[&FRAMED, &LINES];
const FRAME: &str = "HEADER,register,framedbank,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T03:00:00Z
account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at
aor_1,,OPEN,,,,,,,
aor_2,,COMPLETED,,,,,,,
TRAILER,2
";

fn expected<'a>(own: &'a [&'static dyn Format], format: Option<&'a str>, provider: Option<&'a str>) -> Expected<'a> {
    Expected { kind: None, provider, format, own, profiles: None }
}

/// The format that a file is read by, and what its requests came to.
fn read(file: &str, expected: &Expected<'_>) -> (String, Vec<(String, Verdict)>) {
    let reading = open(file.as_bytes(), expected).unwrap();
    let format = reading.format().to_owned();
    let rows = reading.map(Result::unwrap).filter_map(|it| match it {
        Item::Row(row) => match row.row {
            Row::Register(row) => Some((row.provider_reference, row.verdict)),
            _ => None,
        },
        _ => None,
    });
    (format, rows.collect())
}

#[test]
fn a_bank_brings_a_format_of_its_own_with_words_of_its_own() {
    let (format, rows) = read(FRAME, &expected(OWN, None, None));
    assert_eq!(format, "framedbank");
    assert_eq!(rows, [("aor_1".to_owned(), Verdict::Completed), ("aor_2".to_owned(), Verdict::Unknown)]);
    let (format, rows) = read("ids:\na\nb\n", &expected(OWN, None, None));
    assert_eq!((format.as_str(), rows.len()), ("linesbank", 2), "the file shows its format");
}

#[test]
fn a_file_is_read_by_the_format_that_is_named_or_seen_or_that_is_the_providers() {
    let ids = "ids of today\na\n";
    assert_eq!(read(ids, &expected(OWN, Some("linesbank"), None)).0, "linesbank");
    assert_eq!(read(ids, &expected(OWN, None, Some("linesbank"))).0, "linesbank");
    let code = |file: &str, expected: &Expected<'_>| sniff(file.as_bytes(), expected).unwrap_err().code;
    assert_eq!(code(ids, &expected(OWN, None, None)), Code::HeaderNotUnderstood, "the first one says what it expected");
    assert_eq!(code(ids, &expected(&[], None, None)), Code::UnknownFormat);
    assert_eq!(code(ids, &expected(&[], Some("linesbank"), None)), Code::UnknownFormat);
    assert_eq!(code(FRAME, &expected(OWN, None, Some("other"))), Code::ContradictsRequest);
    assert_eq!(expected(OWN, None, None).formats(), ["framedbank", "linesbank", "camt", "pull"]);
}

#[test]
fn a_pulled_list_is_read_by_the_words_that_were_stored() {
    let file = FRAME.replace("framedbank", "x");
    let (_, rows) = read(&file, &expected(OWN, Some(PULL), None));
    assert_eq!(rows, [("aor_1".to_owned(), Verdict::Unknown), ("aor_2".to_owned(), Verdict::Completed)]);
    let words = [
        ("INITIATED", Verdict::Started),
        ("IN_PROGRESS", Verdict::Pending),
        ("SUCCEEDED", Verdict::Completed),
        ("REJECTED", Verdict::Rejected),
        ("completed", Verdict::Unknown),
    ];
    for (word, verdict) in words {
        assert_eq!(read(&file.replace("OPEN", word), &expected(OWN, Some(PULL), None)).1[0].1, verdict, "{word}");
    }
    let ending = open(file.as_bytes(), &expected(OWN, Some(PULL), None)).unwrap().last().unwrap().unwrap();
    let Item::End(ending) = ending else { panic!("no ending") };
    assert!(ending.incomplete.unwrap().contains("list of changes"));
}
