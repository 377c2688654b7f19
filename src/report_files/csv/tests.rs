use proptest::prelude::*;

use super::*;

/// Line, byte, length, fields and code of each record.
type Told = (u64, u64, u64, Vec<String>, Option<Code>);

fn read(bytes: &[u8]) -> Vec<Told> {
    let mut source = Source::new(bytes).unwrap();
    let (mut scanner, mut record, mut told) = (Scanner::new(Dialect::RFC_4180), Record::default(), Vec::new());
    loop {
        let next = scanner.next(&mut source, &mut record).unwrap();
        if next == Next::End {
            return told;
        }
        let fields = record.fields().map(str::to_owned).collect();
        told.push((record.line, record.byte, record.len, fields, record.flaw.as_ref().map(|it| it.code)));
        if next == Next::Last {
            return told;
        }
    }
}

fn fields(bytes: &[u8]) -> Vec<Vec<String>> {
    read(bytes).into_iter().map(|it| it.3).collect()
}

#[test]
fn records_are_read_as_rfc_4180_says() {
    assert_eq!(fields(b"a,b\r\nc,d"), [["a", "b"], ["c", "d"]]);
    assert_eq!(fields(b"\"a,b\",\"c\"\"d\"\n"), [["a,b", "c\"d"]]);
    assert_eq!(fields(b"a,,\n\"\",\n"), [vec!["a", "", ""], vec!["", ""]]);
    assert_eq!(fields(b" a , b \n\n\r\n\n"), [["a", "b"]]);
    assert_eq!(fields(b"\"a\nb\",c\n"), [["a\nb", "c"]]);
    assert!(fields(b"").is_empty() && fields(b"\n\n").is_empty());
}

#[test]
fn a_place_is_the_physical_line_and_the_offset_in_the_file() {
    let told =
        |bytes: &[u8]| -> Vec<(u64, u64, u64)> { read(bytes).into_iter().map(|it| (it.0, it.1, it.2)).collect() };
    assert_eq!(told(b"a,b\r\n\"x\ny\",c\nd\n"), [(1, 0, 3), (2, 5, 7), (4, 13, 1)]);
    assert_eq!(told(b"\xef\xbb\xbfa\nb"), [(1, 3, 1), (2, 5, 1)]);
    let utf16: Vec<u8> = "\u{feff}añ,😀\r\nb".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told(&utf16), [(1, 2, 10), (2, 16, 2)]);
    let (before, row) = (&utf16[..16], &utf16[16..]);
    assert_eq!((before.len(), row), (16, &b"b\0"[..]));
}

#[test]
fn a_wrong_record_is_named_and_the_next_one_is_read() {
    for (wrong, code) in [
        (&b"a\"b,c"[..], Code::BadQuoting),
        (b"\"a\"b,c", Code::BadQuoting),
        (b"a,\xff", Code::BadEncoding),
        (b"a\xc3,\xa9", Code::BadEncoding),
    ] {
        let told = read(&[b"x,y\n", wrong, b"\nz,w\n"].concat());
        assert_eq!(told[1].4, Some(code), "{}", wrong.escape_ascii());
        assert_eq!((told.len(), told[2].0, told[2].4), (3, 3, None), "{}", wrong.escape_ascii());
    }
    let mut unpaired: Vec<u8> = "\u{feff}a,".encode_utf16().flat_map(u16::to_be_bytes).collect();
    unpaired.extend([0xd8, 0x00]);
    assert_eq!(read(&unpaired)[0].4, Some(Code::BadEncoding));
}

#[test]
fn a_record_without_an_end_ends_the_reading_at_its_opening_quote() {
    let last = |bytes: &[u8]| {
        let told = read(bytes);
        let last = told.last().unwrap();
        (told.len(), last.0, last.4)
    };
    assert_eq!(last(b"a\nb,c\n\"d\ne\nf\n"), (3, 3, Some(Code::QuoteNotClosed)));
    assert_eq!(last(b"a\n\"x\ny\",\"d\ne\nf\n"), (2, 3, Some(Code::QuoteNotClosed)));
    let long = vec![b'x'; MAX_RECORD];
    assert_eq!(last(&long), (1, 1, None));
    assert_eq!(last(&[&long[..], b"x\ny"].concat()), (1, 1, Some(Code::RecordTooLong)));
    assert_eq!(last(&[b"\"", &long[..], b"\ny"].concat()), (1, 1, Some(Code::QuoteNotClosed)));
    assert_eq!(last(&[b','; MAX_FIELDS - 1]), (1, 1, None));
    assert_eq!(last(&[b','; MAX_FIELDS]), (1, 1, Some(Code::TooManyColumns)));
    assert_eq!(last(&vec![b','; 100_000]), (1, 1, Some(Code::TooManyColumns)));
    assert_eq!(last(&vec![b'"'; 1_000_000]).2, Some(Code::QuoteNotClosed));
    assert_eq!(last(&vec![0; 1_000_000]).2, Some(Code::RecordTooLong));
}

/// Gives a file in pieces of these lengths, again and again.
struct Pieces<'a>(&'a [u8], Vec<usize>, usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.1[self.2 % self.1.len()].min(self.0.len()).min(into.len());
        self.2 += 1;
        into[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

proptest! {
    #[test]
    fn quoted_text_comes_back(rows in prop::collection::vec(prop::collection::vec("[a,\"\n\r é]{0,8}", 2..5), 1..8)) {
        let quoted = |it: &String| format!("\"{}\"", it.replace('"', "\"\""));
        let file: String = rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n").collect();
        let trimmed: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(|it| it.trim()).collect()).collect();
        prop_assert_eq!(fields(file.as_bytes()), trimmed);
    }

    #[test]
    fn any_bytes_give_the_same_records_however_they_come(bytes in prop::collection::vec(prop::sample::select(b"a,\"\n\r\xc3\xa9\xff\0".to_vec()), 0..300), sizes in prop::collection::vec(1_usize..9, 1..4)) {
        let whole = read(&bytes);
        let mut source = Source::new(Pieces(&bytes, sizes, 0)).unwrap();
        let (mut scanner, mut record, mut count) = (Scanner::new(Dialect::RFC_4180), Record::default(), 0);
        while scanner.next(&mut source, &mut record).unwrap() == Next::Record {
            prop_assert_eq!((record.line, record.byte, record.len), (whole[count].0, whole[count].1, whole[count].2));
            count += 1;
        }
        prop_assert!(whole.len() - count <= 1);
        // Each record lies in the file where it says, before the next one.
        for pair in whole.windows(2) {
            prop_assert!(pair[0].1 + pair[0].2 < pair[1].1);
        }
    }
}
