use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::domain::Verdict;
use crate::report_files::row::{ChargeRow, ChargeType, Kind, RegisterRow, Row};
use crate::report_files::{Code, Ending, Expected, Item, OpenError, open, sniff};

const REGISTER: &str = "HEADER,register,nexusbank,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-02T03:00:00Z
account_opening_request_id,reference,status,iban,bic,rejection_reason,market,currency,created_at,decided_at
";
const CHARGES: &str = "HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-01T03:00:00Z
line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,original_currency,fx_rate,settlement_id,occurred_at,booked_on,description
";
const ROW: &str = "aor_1,ref_1,COMPLETED,BE68539007547034,NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z";
const EXPECTED: Expected<'_> =
    Expected { kind: None, provider: None, format: None, own: &[&super::REPORTS], profiles: None };
const CHARGE: &str =
    "chg_1,charge,account_opened,1,aor_1,ref_1,6.05,1.05,EUR,,,,stl_9,2026-01-01T09:30:00Z,2026-01-02,Opening";

fn items(bytes: &[u8]) -> Vec<Item> {
    let reading = open(bytes, &EXPECTED).unwrap();
    reading.map(Result::unwrap).collect()
}

/// Line and code of each error, and the ending.
fn told(bytes: &[u8]) -> (Vec<(u64, Code)>, Ending) {
    let mut items = items(bytes);
    let Some(Item::End(ending)) = items.pop() else { panic!("no ending") };
    let errors = items.iter().filter_map(|it| match it {
        Item::Error(error) => Some((error.line, error.problem.code)),
        _ => None,
    });
    (errors.collect(), ending)
}

fn rows(bytes: &[u8]) -> Vec<(String, Row)> {
    let rows = items(bytes).into_iter().filter_map(|it| match it {
        Item::Row(located) => Some((located.key, located.row)),
        _ => None,
    });
    rows.collect()
}

fn register(rows: &[&str]) -> String {
    format!("{REGISTER}{}\nTRAILER,{}\n", rows.join("\n"), rows.len())
}

fn charges(rows: &[&str], sums: &str) -> String {
    format!("{CHARGES}{}\nTRAILER,{},{sums}\n", rows.join("\n"), rows.len())
}

/// A good row with one field changed.
fn with(row: &str, place: usize, value: &str) -> String {
    let mut fields: Vec<&str> = row.split(',').collect();
    fields[place] = value;
    fields.join(",")
}

#[test]
fn a_register_is_read_whole() {
    let file = register(&[
        ROW,
        "aor_2,,REJECTED,,,\"no, thanks\",BE,EUR,2026-01-01T08:00:00Z,2026-01-01T11:00:00.5+01:00",
        "aor_3,,Lost,,,,,,,",
    ]);
    let (errors, ending) = told(file.as_bytes());
    assert_eq!((errors, ending.is_complete(), ending.rows, ending.bad_rows), (Vec::new(), true, 3, 0));
    let rows = rows(file.as_bytes());
    let keys: Vec<&str> = rows.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(
        keys,
        ["aor_1|COMPLETED|2026-01-01T09:30:00Z", "aor_2|REJECTED|2026-01-01T10:00:00.500Z", "aor_3|Lost|"]
    );
    let Row::Register(first) = &rows[0].1 else { panic!() };
    let RegisterRow { provider_reference, reference, verdict, iban, market, .. } = first;
    assert_eq!(
        (provider_reference.as_str(), reference.as_deref(), *verdict),
        ("aor_1", Some("ref_1"), Verdict::Completed)
    );
    assert_eq!((iban.as_deref(), market.as_deref()), (Some("BE68539007547034"), Some("BE")));
    let Row::Register(second) = &rows[1].1 else { panic!() };
    assert_eq!((second.rejection_reason.as_deref(), second.iban.as_deref()), (Some("no, thanks"), None));
    let Row::Register(third) = &rows[2].1 else { panic!() };
    assert_eq!((third.verdict, third.decided_at), (Verdict::Unknown, None));
}

#[test]
fn charges_are_summed_exactly_and_settlements_are_not() {
    let file = charges(
        &[
            CHARGE,
            "chg_2,charge,account_opened,1,aor_2,,66.550,11.55,SEK,6.05,EUR,11.0000,stl_8,2026-01-01T10:30:00Z,2026-01-02,",
            "rfd_1,refund,account_opened,1,aor_1,,-6.05,-1.05,EUR,,,,stl_9,2026-01-20T09:00:00Z,2026-01-20,Refund",
            "chg_4,mystery,,,,,0.000001,0,EUR,,,,,,,",
            "stl_9,settlement,,3,,,300.00,0.00,EUR,,,,stl_9,,2026-02-01,Debited on 2026-02-03",
        ],
        "EUR=0.000001;SEK=66.55",
    );
    let (errors, ending) = told(file.as_bytes());
    assert_eq!((errors, ending.is_complete()), (Vec::new(), true));
    let sums: Vec<String> = ending.sums.iter().map(|it| format!("{} {}", it.currency, it.amount)).collect();
    assert_eq!(sums, ["EUR 0.000001", "SEK 66.55"]);
    assert_eq!(ending.stated.unwrap().rows, Some(5));
    let rows = rows(file.as_bytes());
    let charge = |place: usize| -> &ChargeRow {
        match &rows[place].1 {
            Row::Charge(row) => row,
            _ => panic!(),
        }
    };
    let decimal = |text: &str| -> Decimal { text.parse().unwrap() };
    assert_eq!((charge(1).amount.to_string().as_str(), charge(1).fx_rate), ("66.55", Some(decimal("11"))));
    assert_eq!(
        (charge(1).original_amount, charge(1).original_currency.as_deref()),
        (Some(decimal("6.05")), Some("EUR"))
    );
    assert_eq!((charge(3).line_type, charge(3).word.as_str()), (ChargeType::Unknown, "mystery"));
    assert_eq!(
        (charge(4).line_type, charge(4).quantity, charge(4).line_id.as_str()),
        (ChargeType::Settlement, 3, "stl_9")
    );
}

#[test]
fn every_bad_charge_is_named_once_and_the_others_go_on() {
    use Code::{
        AmbiguousDate, AmountNotDecimal, BadQuoting, ControlCharacter, Exponent, Missing, NotACount, NotADate,
        NotATime, TooFewColumns, TooLarge, TooLong, TooManyColumns, TooPrecise, UnknownCurrency,
    };
    let charge = |place, value: &str| with(CHARGE, place, value);
    let settlement = |amount: &str| format!("stl_9,settlement,,3,,,{amount},0,EUR,,,,stl_9,,2026-02-01,");
    for (bad, field, code) in [
        (charge(6, "6,05").replace("6,05", "\"6,05\""), "amount", AmountNotDecimal),
        (charge(6, "NaN"), "amount", AmountNotDecimal),
        (charge(6, "1e3"), "amount", Exponent),
        (charge(6, "1.1234567"), "amount", TooPrecise),
        (charge(6, "1234567890123456"), "amount", TooLarge),
        (charge(6, ""), "amount", Missing),
        (charge(7, "x"), "tax", AmountNotDecimal),
        (charge(8, "EURO"), "currency", UnknownCurrency),
        (charge(8, "eur"), "currency", UnknownCurrency),
        (charge(8, ""), "currency", Missing),
        (charge(3, "-1"), "quantity", NotACount),
        (charge(9, "6.05"), "original_currency", Missing),
        (charge(10, "EUR"), "original_amount", Missing),
        (charge(11, "1.12345678901"), "fx_rate", TooPrecise),
        (charge(13, "yesterday"), "occurred_at", NotATime),
        (charge(14, "03/04/2026"), "booked_on", AmbiguousDate),
        (charge(14, "31/12/2026"), "booked_on", NotADate),
        (charge(0, ""), "line_id", Missing),
        (charge(0, &"x".repeat(256)), "line_id", TooLong),
        (charge(0, "a\u{7}b"), "line_id", ControlCharacter),
        (charge(1, ""), "type", Missing),
        (settlement("300.001"), "amount", TooPrecise),
        (settlement("300").replace(",3,", ",,"), "quantity", Missing),
        (format!("{CHARGE},"), "", TooManyColumns),
        ("chg_1,charge".to_owned(), "", TooFewColumns),
        (charge(4, "a\"b"), "", BadQuoting),
    ] {
        let good = with(CHARGE, 0, "chg_0");
        let file = charges(&[&good, &bad, &good], "EUR=12.10");
        let items = items(file.as_bytes());
        let errors: Vec<_> =
            items.iter().filter_map(|it| if let Item::Error(error) = it { Some(error) } else { None }).collect();
        assert_eq!(errors.len(), 1, "{bad}");
        let (error, place) = (errors[0], (CHARGES.len() + good.len() + 1) as u64);
        assert_eq!((error.problem.field.as_deref().unwrap_or_default(), error.problem.code), (field, code), "{bad}");
        assert_eq!((error.line, error.byte, error.len, error.is_row), (4, place, bad.len() as u64, true), "{bad}");
        let Some(Item::End(ending)) = items.last() else { panic!() };
        assert_eq!((ending.rows, ending.bad_rows, ending.is_complete()), (3, 1, false), "{bad}");
    }
}

#[test]
fn every_bad_request_is_named_with_the_ids_of_its_opening() {
    use Code::{AmbiguousDate, InvalidBic, InvalidIban, Missing, NotATime, UnknownCurrency};
    let row = |place, value: &str| with(ROW, place, value);
    for (bad, field, code) in [
        (row(3, "BE68539007547035"), "iban", InvalidIban),
        (row(4, "NEXU"), "bic", InvalidBic),
        (row(0, ""), "account_opening_request_id", Missing),
        (row(2, ""), "status", Missing),
        (row(7, "XYZ"), "currency", UnknownCurrency),
        (row(8, "2026-01-01T08:00:00"), "created_at", NotATime),
        (row(9, "01/02/2026"), "decided_at", AmbiguousDate),
    ] {
        let file = register(&[ROW, &bad, ROW]);
        let found = items(file.as_bytes())
            .into_iter()
            .find_map(|it| if let Item::Error(error) = it { Some(error) } else { None });
        let found = found.unwrap();
        assert_eq!((found.problem.field.as_deref(), found.problem.code, found.line), (Some(field), code, 4), "{bad}");
        assert!(!found.problem.detail.contains("539007547"), "{}", found.problem.detail);
        let named = (found.provider_reference.as_deref(), found.reference.as_deref());
        assert_eq!(named, (Some("aor_1").filter(|_| field != "account_opening_request_id"), Some("ref_1")), "{bad}");
    }
}

#[test]
fn bytes_that_are_no_text_spoil_their_row_alone() {
    let file = [REGISTER.as_bytes(), b"aor_0,\xff,COMPLETED,,,,,,,\n", ROW.as_bytes(), b"\nTRAILER,2\n"].concat();
    let (errors, ending) = told(&file);
    assert_eq!((errors, ending.rows, ending.bad_rows), (vec![(3, Code::BadEncoding)], 2, 1));
}

#[test]
fn a_file_without_a_right_trailer_is_incomplete_and_says_why() {
    let whole = register(&[ROW]);
    let charge = charges(&[CHARGE], "EUR=6.05");
    let cut = |from: &str, to: &str| whole.replace(from, to);
    for (file, error) in [
        (cut("TRAILER,1\n", ""), Some((4, Code::NoTrailer))),
        (cut("TRAILER,1", "TRAILER,2"), Some((4, Code::WrongCount))),
        (cut("TRAILER,1", "TRAILER,one"), Some((4, Code::BadTrailer))),
        (cut("TRAILER,1", "TRAILER"), Some((4, Code::BadTrailer))),
        (cut("TRAILER,1", "TRAILER,1,EUR=0"), Some((4, Code::BadTrailer))),
        (cut("TRAILER,1", "TRAILER,1,,,,,,,,").replace("T03:00:00Z", "T03:00:00Z,,,"), None),
        (cut("TRAILER,1\n", "TRAILER,1\nTRAILER,1\n"), Some((5, Code::SecondTrailer))),
        (cut("TRAILER,1\n", &format!("TRAILER,1\n{ROW}\n")), Some((5, Code::AfterTrailer))),
        (charge.replace("EUR=6.05", "EUR=6.04"), Some((4, Code::WrongSum))),
        (charge.replace("EUR=6.05", ""), Some((4, Code::WrongSum))),
        (charge.replace("EUR=6.05", "EUR=6.05;SEK=1"), Some((4, Code::WrongSum))),
        (charge.replace("EUR=6.05", "EUR:6.05"), Some((4, Code::BadTrailer))),
        (charge.replace("EUR=6.05", "EUR=6.0500;SEK=0"), None),
        (whole.clone(), None),
        (register(&[]), None),
        (charges(&[], ""), None),
    ] {
        let (errors, ending) = told(file.as_bytes());
        assert_eq!(errors, error.into_iter().collect::<Vec<_>>(), "{file}");
        assert_eq!(ending.is_complete(), error.is_none(), "{file}");
    }
    let (errors, ending) = told(cut("TRAILER,1\n", "\"aor_2,x\n").as_bytes());
    assert_eq!(errors, [(4, Code::QuoteNotClosed)], "the missing TRAILER is no error of its own");
    assert_eq!((ending.rows, ending.bad_rows, ending.is_complete(), ending.stated), (2, 1, false, None));
}

#[test]
fn two_equal_rows_stay_two() {
    let keys: Vec<String> =
        rows(charges(&[CHARGE, CHARGE], "EUR=12.10").as_bytes()).into_iter().map(|it| it.0).collect();
    assert_eq!(keys, ["chg_1", "chg_1"], "the same id: the database compares them");
}

#[test]
fn encodings_and_line_ends_make_no_difference() {
    let file = register(&[&with(ROW, 5, "\"réf\n😀\""), ROW]);
    let expected = rows(file.as_bytes());
    let (marked, crlf) = (format!("\u{feff}{file}"), file.replace('\n', "\r\n").replace("réf\r\n", "réf\n"));
    let utf16 = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for bytes in [marked.clone().into_bytes(), crlf.into_bytes(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        assert_eq!(rows(&bytes), expected);
        assert_eq!(told(&bytes).0, []);
        let Some(Item::Row(second)) = items(&bytes).into_iter().nth(1) else { panic!() };
        assert_eq!(second.line, 5, "a line break within quotes is a line");
    }
    let Some(Item::Row(second)) = items(&utf16(u16::to_le_bytes)).into_iter().nth(1) else { panic!() };
    let place = usize::try_from(second.byte).unwrap();
    let bytes = &utf16(u16::to_le_bytes)[place..place + usize::try_from(second.len).unwrap()];
    let units: Vec<u16> = bytes.chunks(2).map(|it| u16::from_le_bytes([it[0], it[1]])).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), ROW);
}

#[test]
fn a_header_that_is_not_understood_lists_what_was_found_and_expected() {
    let whole = register(&[ROW]);
    let with = |from: &str, to: &str| whole.replace(from, to);
    for (file, code, says) in [
        (
            with("reference,status", "refrence,status"),
            Code::HeaderNotUnderstood,
            "found: account_opening_request_id,refrence,",
        ),
        (
            with("reference,status", "status,status"),
            Code::HeaderNotUnderstood,
            "expected: account_opening_request_id,reference,",
        ),
        (with(",decided_at", ""), Code::HeaderNotUnderstood, "decided_at"),
        (with(",decided_at", ",decided_at,more"), Code::HeaderNotUnderstood, "more"),
        (with("HEADER", "HEAD"), Code::HeaderNotUnderstood, "found: HEAD,register"),
        (with("bank,1,", "bank,2,"), Code::HeaderNotUnderstood, "found version \"2\"; expected 1"),
        (with("register", "ledger"), Code::HeaderNotUnderstood, "found kind \"ledger\"; expected register or charges"),
        (with("2026-01-02T03:00:00Z", "02/03/2026"), Code::HeaderNotUnderstood, "as of: found \"02/03/2026\""),
        (with("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"), Code::HeaderNotUnderstood, "ends before it begins"),
        (with("nexusbank", ""), Code::HeaderNotUnderstood, "no provider"),
        (ROW.to_owned(), Code::HeaderNotUnderstood, "BE68…7034"),
        (String::new(), Code::HeaderNotUnderstood, "expected: HEADER,kind,provider"),
        ("PK\u{3}\u{4}".to_owned(), Code::Zip, "unpack"),
        ("\"".to_owned(), Code::QuoteNotClosed, "closing quote"),
        ("\0".repeat(100_000), Code::RecordTooLong, "64 KiB"),
        (",".repeat(100_000), Code::TooManyColumns, "200"),
    ] {
        let error = sniff(file.as_bytes(), &EXPECTED).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.to_string().contains(says) && error.to_string().len() < 1_000, "{error}");
    }
    assert_eq!(sniff(b"\x1f\x8b\x08", &EXPECTED).unwrap_err().code, Code::Gzip);
    let error = sniff(with("provider", "x").replace("reference,status", "x,status").as_bytes(), &EXPECTED);
    assert_eq!(error.unwrap_err().line, 2);
}

#[test]
fn a_header_must_not_contradict_the_request() {
    let file = register(&[ROW]);
    let sniffed = |kind, provider| sniff(file.as_bytes(), &Expected { kind, provider, ..EXPECTED });
    assert!(sniffed(Some(Kind::Register), Some("nexusbank")).is_ok());
    for (kind, provider) in [(Some(Kind::Charges), None), (Some(Kind::Bank), None), (None, Some("other"))] {
        assert_eq!(sniffed(kind, provider).unwrap_err().code, Code::ContradictsRequest);
    }
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let whole = charges(&[CHARGE, &CHARGE.replace("Opening", "\"é\n\"\"x\"")], "EUR=12.10");
    let changes =
        prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\",\n\r\0\xff1;e".to_vec())), 0..4);
    changes.prop_map(move |changes| {
        let mut bytes = whole.clone().into_bytes();
        for (place, byte) in changes {
            let place = CHARGES.len() + place.index(bytes.len() - CHARGES.len());
            bytes[place] = byte;
        }
        bytes
    })
}

/// Gives a file in two pieces.
struct Split<'a>(&'a [u8], &'a [u8]);

impl std::io::Read for Split<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            (self.0, self.1) = (self.1, &[]);
        }
        std::io::Read::read(&mut self.0, into)
    }
}

proptest! {
    #[test]
    fn a_file_that_comes_in_two_pieces_is_the_same_file(bytes in any_file(), at in any::<prop::sample::Index>()) {
        let (first, second) = bytes.split_at(at.index(bytes.len()));
        let split: Vec<Item> = open(Split(first, second), &EXPECTED).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(split, items(&bytes));
    }

    #[test]
    fn any_bytes_end_with_one_ending(bytes in any_file()) {
        let items = items(&bytes);
        let (mut rows, mut bad, mut ends) = (0, 0, 0);
        for item in &items {
            match item {
                Item::Row(_) => rows += 1,
                Item::Error(error) => bad += u64::from(error.is_row),
                Item::End(_) => ends += 1,
                Item::Statement(_) => panic!(),
            }
        }
        let Some(Item::End(ending)) = items.last() else { panic!() };
        prop_assert_eq!((ending.rows, ending.bad_rows, ends), (rows + bad, bad, 1));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match open(&bytes[..], &EXPECTED) {
            Ok(reading) => { reading.map(Result::unwrap).for_each(drop); }
            Err(OpenError::Header(error)) => prop_assert!(!error.detail.is_empty()),
            Err(OpenError::Io(error)) => panic!("{error}"),
        }
    }
}
