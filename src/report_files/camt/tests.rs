use proptest::prelude::*;

use crate::report_files::row::{Aspect, BankRow, Row, Statement};
use crate::report_files::{Code, Ending, Expected, HeaderError, Item, OpenError, ReportError, open, sniff};

const GERMANY: &[u8] = include_bytes!("samples/de_053_02.xml");
const SWITZERLAND: &[u8] = include_bytes!("samples/ch_053_08.xml");
const SWEDEN: &[u8] = include_bytes!("samples/se_054_04.xml");

#[derive(Default)]
struct Read {
    rows: Vec<BankRow>,
    keys: Vec<String>,
    places: Vec<(u64, u64, u64)>,
    errors: Vec<ReportError>,
    statements: Vec<Statement>,
    ending: Ending,
}

fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    for item in open(bytes, &Expected::default()).unwrap() {
        match item.unwrap() {
            Item::Row(located) => {
                read.keys.push(located.key.clone());
                read.places.push((located.line, located.byte, located.len));
                let Row::Bank(row) = located.row else { panic!("not a bank's row") };
                read.rows.push(row);
            }
            Item::Error(error) => read.errors.push(error),
            Item::Statement(statement) => read.statements.push(*statement),
            Item::End(ending) => read.ending = ending,
        }
    }
    read
}

fn refused(bytes: &[u8]) -> HeaderError {
    match sniff(bytes, &Expected::default()) {
        Err(error) => error,
        Ok(format) => panic!("{format:?}"),
    }
}

/// A statement of EUR around entries, with its balances.
fn statement(number: u64, opening: &str, closing: &str, entries: &str) -> String {
    let balance = |code: &str, amount: &str| {
        let (direction, amount) = amount.strip_prefix('-').map_or(("CRDT", amount), |it| ("DBIT", it));
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd></Bal>"
        )
    };
    let (opening, closing) = (balance("OPBD", opening), balance("CLBD", closing));
    format!(
        "<Stmt><Id>S{number}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb><Acct><Id><IBAN>BE68539007547034</IBAN></Id><Ccy>EUR</Ccy></Acct>{opening}{closing}{entries}</Stmt>\n"
    )
}

fn entry(amount: &str, direction: &str, rest: &str) -> String {
    format!(
        "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-02-03</Dt></BookgDt>{rest}</Ntry>\n"
    )
}

fn document(body: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt>\n{body}</BkToCstmrStmt></Document>"
    )
}

fn told(rows: &[BankRow]) -> Vec<(String, Vec<&str>)> {
    let told = |it: &BankRow| format!("{} {} {}", it.amount, it.currency, it.booked_on.unwrap());
    rows.iter().map(|it| (told(it), it.references.iter().map(String::as_str).collect())).collect()
}

#[test]
fn a_german_statement_is_read() {
    let read = read(GERMANY);
    let row = |amount: &str| format!("{amount} EUR 2026-02-03");
    assert_eq!(
        told(&read.rows),
        [
            (row("300.00"), vec!["stl_9", "Fees January"]),
            (row("6.00"), vec!["Fee stl_10 & more", "second line"]),
            (row("-100.00"), vec!["IN-1"]),
        ]
    );
    assert!(read.errors.is_empty() && read.ending.is_complete());
    let [statement] = &read.statements[..] else { panic!() };
    assert_eq!((statement.id.as_str(), statement.number, statement.rows), ("DE-2026-023", Some(23), 3));
    assert_eq!((statement.account.as_str(), statement.flaws.as_slice()), ("DE49…7672", &[][..]));
    assert_eq!(statement.movements[0].amount.to_string(), "-206.50");
    let (line, byte, len) = read.places[0];
    let place = usize::try_from(byte).unwrap();
    assert!(
        GERMANY[place..].starts_with(b"<TxDtls>")
            && GERMANY[place + usize::try_from(len).unwrap()..].starts_with(b"\n")
    );
    assert_eq!(line, 22);
    let (_, header) = sniff(GERMANY, &Expected::default()).unwrap();
    assert_eq!(header.as_of.unwrap().to_rfc3339(), "2026-02-03T17:30:00+00:00");
}

#[test]
fn swiss_statements_of_two_accounts_are_read() {
    let read = read(SWITZERLAND);
    let row = |amount: &str| format!("{amount} CHF 2026-02-03");
    let expected = [(row("66.55"), vec!["E2E-7", "stl_8"]), (row("-66.55"), vec!["E2E-7"]), (row("5.05"), vec![])];
    assert_eq!(told(&read.rows), expected);
    assert_eq!(read.rows.iter().map(|it| it.is_reversal).collect::<Vec<_>>(), [false, true, false]);
    assert!(read.errors.is_empty() && read.ending.is_complete());
    let [francs, euros] = &read.statements[..] else { panic!() };
    assert_eq!((&francs.id, francs.number_in_file, euros.number_in_file), (&euros.id, 1, 2));
    assert!(francs.flaws.is_empty() && euros.flaws.is_empty() && francs.account_key != euros.account_key);
    assert_eq!(francs.opening.as_ref().unwrap().amount.to_string(), "-10.00");
}

#[test]
fn a_swedish_notification_is_read() {
    let read = read(SWEDEN);
    let row = |amount: &str| format!("{amount} SEK 2026-02-03");
    assert_eq!(
        told(&read.rows),
        [
            (row("66.55"), vec!["stl_8", "Avgift för kontot"]),
            (row("64.55"), vec!["stl_8"]),
            (row("20.00"), vec!["a", "b"]),
        ]
    );
    assert!(read.errors.is_empty() && read.ending.is_complete() && read.statements[0].flaws.is_empty());
    let place = usize::try_from(read.places[1].1).unwrap();
    assert!(SWEDEN[place..].starts_with(b"<TxDtls>"), "the offset is that of the file in ISO-8859-1");
}

#[test]
fn every_version_from_02_to_13_is_read_and_no_other_message() {
    let version = |from: &str, to: &str| document("").replace(from, to).into_bytes();
    for number in 2..=13 {
        assert!(open(&version("001.02", &format!("001.{number:02}"))[..], &Expected::default()).is_ok(), "{number}");
    }
    for (bytes, code, says) in [
        (version("001.02", "001.01"), Code::WrongMessage, "camt.053.001.01"),
        (version("001.02", "001.14"), Code::WrongMessage, "expected: urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"),
        (version("camt.053", "camt.052"), Code::WrongMessage, "intraday"),
        (version("camt.053", "pain.001"), Code::WrongMessage, "pain.001"),
        (version("BkToCstmrStmt", "BkToCstmrAcctRpt"), Code::WrongMessage, "intraday"),
        (b"<html><body><p>Please sign in</p></body></html>".to_vec(), Code::HeaderNotUnderstood, "Document"),
        (b"<Document>".to_vec(), Code::NotWellFormed, "end of the file"),
        (b"<?xml version=\"1.0\" encoding=\"EBCDIC\"?><Document/>".to_vec(), Code::BadEncoding, "EBCDIC"),
        (b"<!DOCTYPE x [<!ENTITY a \"aa\">]><Document/>".to_vec(), Code::Dtd, "document type"),
        ("<a>".repeat(100_000).into_bytes(), Code::TooDeep, "64"),
        (format!("<{}>", "a".repeat(10_000)).into_bytes(), Code::TooDeep, "names"),
        (format!("<Document a=\"{}", "x".repeat(100_000)).into_bytes(), Code::RecordTooLong, "64 KiB"),
        (format!("<!--{}", "x".repeat(1_000_000)).into_bytes(), Code::RecordTooLong, "64 KiB"),
    ] {
        let error = refused(&bytes);
        assert_eq!(error.code, code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let wrapped = format!("<Envelope><AppHdr><A>1</A></AppHdr>{}</Envelope>", document(&statement(1, "1", "1", "")));
    assert_eq!(read(wrapped.as_bytes()).statements.len(), 1);
}

/// ISO 20022 wraps a message with its business application header, which has a namespace of its own.
#[test]
fn a_message_in_an_envelope_of_iso_20022_is_read() {
    let message = document(&statement(1, "0", "-5", &entry("5", "DBIT", "")));
    let prefixed = message.replace('<', "<c:").replace("<c:/", "</c:").replace("xmlns=", "xmlns:c=");
    let header = "urn:iso:std:iso:20022:tech:xsd:head.001.001.02";
    for message in [&message, &prefixed] {
        let own =
            format!("<BizMsgEnvlp xmlns=\"urn:x\"><AppHdr xmlns=\"{header}\"><A/></AppHdr>{message}</BizMsgEnvlp>");
        let shared = format!("<h:Msg xmlns:h=\"{header}\"><h:AppHdr><h:A>1</h:A></h:AppHdr>{message}</h:Msg>");
        for file in [own, shared] {
            let read = read(file.as_bytes());
            assert_eq!(
                (told(&read.rows).len(), read.statements.len(), read.ending.is_complete()),
                (1, 1, true),
                "{file}"
            );
        }
    }
    let intraday = message.replace("camt.053", "camt.052");
    let file = format!("<Msg><AppHdr xmlns=\"{header}\"><A/></AppHdr>{intraday}</Msg>");
    assert_eq!(refused(file.as_bytes()).code, Code::WrongMessage);
}

#[test]
fn an_instructed_amount_counts_where_a_transaction_has_no_other_one() {
    let detail = |amounts: &str, reference: &str| {
        format!("<TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs><AmtDtls>{amounts}</AmtDtls></TxDtls>")
    };
    let instructed =
        |amount: &str, currency: &str| format!("<InstdAmt><Amt Ccy=\"{currency}\">{amount}</Amt></InstdAmt>");
    let own = |amount: &str| format!("<TxAmt><Amt Ccy=\"EUR\">{amount}</Amt></TxAmt>");
    let rows = |amount: &str, details: &[String]| -> Vec<String> {
        let entry = entry(amount, "DBIT", &format!("<NtryDtls>{}</NtryDtls>", details.concat()));
        let read = read(document(&statement(1, "0", &format!("-{amount}"), &entry)).as_bytes());
        let flaws = read.statements[0].flaws.iter().map(|it| format!("{} {}", it.expected, it.found));
        told(&read.rows)
            .into_iter()
            .map(|(row, of)| format!("{} {}", row.split(' ').next().unwrap(), of.concat()))
            .chain(flaws)
            .collect()
    };
    let two = [detail(&instructed("2", "EUR"), "a"), detail(&instructed("3", "EUR"), "b")];
    assert_eq!(rows("5", &two), ["2.00 a", "3.00 b"]);
    assert_eq!(rows("6", &two), ["2.00 a", "3.00 b", "-6.00 -5.00"]);
    assert_eq!(rows("5", &two[..1]), ["5.00 a"], "alone, it has the amount of its entry: the bank kept a charge");
    assert_eq!(rows("5", &[detail(&format!("{}{}", instructed("9", "EUR"), own("5")), "a")]), ["5.00 a"]);
    let foreign = [detail(&instructed("20", "SEK"), "a"), detail(&instructed("30", "SEK"), "b")];
    assert_eq!(rows("5", &foreign), ["5.00 ab"]);
    assert_eq!(rows("5", &[detail(&own("2"), "a"), detail(&instructed("3", "EUR"), "b")]), ["2.00 a", "3.00 b"]);
}

#[test]
fn a_date_may_have_a_zone_and_a_status_the_banks_own_word() {
    let pay = entry("5", "DBIT", "").replace("2026-02-03", "2026-02-03+01:00");
    let read_one = |entry: &str| read(document(&statement(1, "0", "-5", entry)).as_bytes());
    assert_eq!(told(&read_one(&pay).rows), [("5.00 EUR 2026-02-03".to_owned(), vec![])]);
    let word = |word: &str| pay.replace("<Sts>BOOK</Sts>", &format!("<Sts><Prtry>{word}</Prtry></Sts>"));
    assert_eq!(read_one(&word("BOOK")).rows.len(), 1);
    assert!(read_one(&word("PDNG")).rows.is_empty());
    let unknown = read_one(&word("DONE"));
    assert_eq!((unknown.rows.len(), unknown.errors[0].problem.code), (0, Code::UnknownIndicator));
    let zero = read_one(&entry("0.00", "CRDT", "")).rows;
    assert_eq!(zero[0].amount.to_string(), "0.00");
}

#[test]
fn an_entity_of_the_files_own_spoils_the_whole_file() {
    let bomb = document(&statement(1, "0", "-5", &entry("5", "DBIT", "<X>&lol;</X>")));
    let read = read(bomb.as_bytes());
    assert_eq!(read.ending.failed.as_ref().map(|it| it.code), Some(Code::Entity));
    assert!(!read.ending.is_complete() && read.rows.is_empty());
    let deep = document(&statement(1, "0", "0", &"<a>".repeat(100)));
    assert_eq!(super::tests::read(deep.as_bytes()).ending.failed.map(|it| it.code), Some(Code::TooDeep));
}

#[test]
fn a_statement_that_was_cut_off_keeps_its_rows_and_is_not_complete() {
    let whole = document(&statement(1, "0", "-5", &entry("5", "DBIT", "")));
    let cut = &whole[..whole.find("</Stmt>").unwrap()];
    let read = read(cut.as_bytes());
    assert_eq!((read.rows.len(), read.statements.len(), read.ending.is_complete()), (1, 1, false));
    let codes: Vec<(Code, bool)> = read.errors.iter().map(|it| (it.problem.code, it.is_row)).collect();
    assert_eq!(codes, [(Code::NotWellFormed, false)]);
}

#[test]
fn a_bad_entry_is_named_by_its_element_and_the_others_go_on() {
    let good = entry("5", "DBIT", "");
    for (from, to, field, code) in [
        (">5<", ">5,00<", "Ntry/Amt", Code::AmountNotDecimal),
        (">5<", ">-5<", "Ntry/Amt", Code::AmountNotDecimal),
        (">5<", ">5e1<", "Ntry/Amt", Code::Exponent),
        (">5<", ">5.1234567<", "Ntry/Amt", Code::TooPrecise),
        ("\"EUR\"", "\"EUX\"", "Ntry/Amt", Code::UnknownCurrency),
        ("DBIT", "DEBIT", "Ntry/CdtDbtInd", Code::UnknownIndicator),
        ("<CdtDbtInd>DBIT</CdtDbtInd>", "", "Ntry/CdtDbtInd", Code::Missing),
        ("<Amt Ccy=\"EUR\">5</Amt>", "", "Ntry/Amt", Code::Missing),
        ("2026-02-03", "02/03/2026", "Ntry/BookgDt/Dt", Code::AmbiguousDate),
    ] {
        let file = document(&statement(1, "0", "-10", &[good.as_str(), &good.replace(from, to), &good].concat()));
        let read = read(file.as_bytes());
        let [error] = &read.errors[..] else { panic!("{to}: {:?}", read.errors) };
        assert_eq!((error.problem.field.as_deref(), error.problem.code), (Some(field), code), "{to}");
        assert_eq!((error.line, error.is_row), (3, true), "{to}");
        assert_eq!((read.rows.len(), read.ending.rows, read.ending.bad_rows), (2, 3, 1), "{to}");
        assert!(!read.ending.is_complete() && read.statements[0].flaws.is_empty(), "what is unknown is not added up");
    }
    let detail =
        "<NtryDtls><TxDtls><Amt Ccy=\"EUR\">x</Amt></TxDtls><TxDtls><Amt Ccy=\"EUR\">2</Amt></TxDtls></NtryDtls>";
    let read = read(document(&statement(1, "0", "-5", &entry("5", "DBIT", detail))).as_bytes());
    assert_eq!((read.rows.len(), read.errors[0].problem.field.as_deref()), (1, Some("Ntry/NtryDtls/TxDtls/Amt")));
}

#[test]
fn a_difference_of_sums_is_told_with_both_amounts() {
    let flaws = |body: &str| -> Vec<(Aspect, String, String)> {
        let statements = read(document(body).as_bytes()).statements;
        statements.into_iter().flat_map(|it| it.flaws).map(|it| (it.aspect, it.expected, it.found)).collect()
    };
    let told = |aspect, expected: &str, found: &str| vec![(aspect, expected.to_owned(), found.to_owned())];
    let pay = entry("5", "DBIT", "");
    assert_eq!(flaws(&statement(1, "10", "5", &pay)), []);
    assert_eq!(flaws(&statement(1, "10", "5.01", &pay)), told(Aspect::Entries, "5.00", "5.01"));
    assert_eq!(flaws(&statement(1, "2", "-3", &pay)), []);
    let details = "<NtryDtls><TxDtls><Amt Ccy=\"EUR\">4.99</Amt></TxDtls></NtryDtls>";
    assert_eq!(flaws(&statement(1, "10", "5", &entry("5", "DBIT", details))), told(Aspect::Details, "-5.00", "-4.99"));
    let two = |second: u64, opening: &str, closing: &str| {
        [statement(1, "10", "5", &pay), statement(second, opening, closing, &pay)].concat()
    };
    assert_eq!(flaws(&two(2, "5", "0")), []);
    assert_eq!(flaws(&two(2, "6", "1")), told(Aspect::Opening, "5.00", "6.00"));
    assert_eq!(flaws(&two(4, "90", "85")), told(Aspect::Number, "2", "4"));
    assert_eq!(flaws(&two(1, "5", "0")), [], "a new year counts from 1 again");
    let interim = two(1, "5", "0").replacen("CLBD", "ITBD", 1).replace(">S1<", ">S9<");
    assert_eq!(flaws(&interim.replace("<Acct>", "<StmtPgntn><PgNb>1</PgNb></StmtPgntn><Acct>")), []);
}

#[test]
fn equal_entries_stay_two_and_a_repeat_of_the_file_has_the_same_keys() {
    let (pay, other) = (entry("5", "DBIT", ""), entry("5", "CRDT", ""));
    let file = document(&statement(1, "0", "-5", &[pay.as_str(), &pay, &other].concat()));
    let keys = read(file.as_bytes()).keys;
    assert_eq!(read(file.as_bytes()).keys, keys);
    assert!(keys[0].ends_with("#1") && keys[1].ends_with("#2") && keys[0][..32] == keys[1][..32] && keys[0] != keys[2]);
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

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let file = prop::sample::select(vec![GERMANY, SWITZERLAND, SWEDEN]);
    let change = (any::<prop::sample::Index>(), prop::sample::select(b"<>/&;\" \0\xff1DA".to_vec()));
    (file, prop::collection::vec(change, 0..4)).prop_map(|(file, changes)| {
        let mut bytes = file.to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_end_with_one_ending_however_they_come(bytes in any_file(), at in any::<prop::sample::Index>()) {
        let (first, second) = bytes.split_at(at.index(bytes.len()));
        let items = |reading: Result<crate::report_files::Reading<'_>, OpenError>| -> Vec<Item> {
            reading.map_or_else(|_| Vec::new(), |it| it.map(Result::unwrap).collect())
        };
        let whole = items(open(&bytes[..], &Expected::default()));
        prop_assert_eq!(&items(open(Split(first, second), &Expected::default())), &whole);
        prop_assert!(whole.is_empty() || matches!(whole.last(), Some(Item::End(_))));
    }
}
