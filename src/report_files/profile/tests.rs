use super::{ProfileError, ProfileFile, Profiles};
use crate::domain::Verdict;
use crate::report_files::row::{ChargeType, Located, Row};
use crate::report_files::{Code, Ending, Expected, Item, OpenError, open};

const FEES: &str = "Rheinbank AG;;;;;;;;;;;;;
Entgeltaufstellung Januar 2026;;;;;;;;;;;;;
Konto;DE49 1101 0101 3998 7676 72;;;;;;;;;;;;

Umsatznummer;Art;Leistung;Anzahl;Vorgang;Kundenreferenz;Soll;Haben;davon USt;Währung;Abrechnung;Zeitpunkt;Buchungstag;Text
U-1;Entgelt;Kontoeröffnung;1;aor_1;ref_1;6,05;;1,05;EUR;A-9;01.01.2026 10:30:00;02.01.2026;Für Konto 1
U-2;Sammelentgelt;Ablehnung;200;;;1.300,00;0,00;0,00;EUR;A-9;31.01.2026 08:00;31.01.2026;
U-3;Erstattung;Kontoeröffnung;1;aor_1;ref_1;;6,05;-1,05;EUR;A-9;20.01.2026 09:00:00;20.01.2026;\"Gut\"\"schrift; Konto 1\"
A-9;Abrechnung;;3;;;1.300,00;;;EUR;A-9;;01.02.2026;
Summe;4;;;;;1.306,05;6,05;;EUR;;;;
";

const REGISTER: &str =
    "Case number\tYour reference\tOutcome\tIBAN\tSWIFT\tRemarks\tCountry\tCurrency\tReceived\tDecided\tOfficer
aor_1\tref_1\tOpened\tNO93 8601 1117 947\tNEXUNOKK\t\tNO\tNOK\t03/04/2026 08:00:00\t03/04/2026 09:30:00\tA
aor_2\tref_2\tOn hold\t\t\t\tNO\tNOK\t03/04/2026 08:00:00\t\tB
Number of cases\t2
";

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|it| u8::try_from(it).unwrap()).collect()
}

struct Read {
    rows: Vec<Located<Row>>,
    errors: Vec<(u64, Option<String>, Code)>,
    ending: Ending,
}

fn read_by(profiles: &Profiles, format: &str, bytes: &[u8]) -> Read {
    let expected = Expected { format: Some(format), profiles: Some(profiles), ..Expected::default() };
    let (mut rows, mut errors, mut ending) = (Vec::new(), Vec::new(), Ending::default());
    for item in open(bytes, &expected).unwrap() {
        match item.unwrap() {
            Item::Row(row) => rows.push(*row),
            Item::Error(error) => errors.push((error.line, error.problem.field, error.problem.code)),
            Item::End(it) => ending = it,
            Item::Statement(_) => panic!(),
        }
    }
    Read { rows, errors, ending }
}

fn read(format: &str, bytes: &[u8]) -> Read {
    read_by(&Profiles::built_in().unwrap(), format, bytes)
}

fn errors(text: &str) -> Vec<ProfileError> {
    Profiles::default().add("mine", "mine.toml", text).unwrap_err()
}

#[test]
fn fees_with_a_preamble_two_columns_and_a_totals_line_are_read() {
    let read = read("rhine-fees", &latin(FEES));
    assert_eq!((read.errors, read.ending.incomplete, read.ending.rows), (vec![], None, 4));
    let rows: Vec<_> = read.rows.iter().map(|it| if let Row::Charge(row) = &it.row { row } else { panic!() }).collect();
    let told: Vec<(ChargeType, String)> = rows.iter().map(|it| (it.line_type, it.amount.to_string())).collect();
    assert_eq!(
        told,
        [
            (ChargeType::Charge, "6.05".to_owned()),
            (ChargeType::Group, "1300.00".to_owned()),
            (ChargeType::Refund, "-6.05".to_owned()),
            (ChargeType::Settlement, "1300.00".to_owned()),
        ]
    );
    assert_eq!((rows[0].code.as_deref(), rows[0].word.as_str()), (Some("Kontoeröffnung"), "Entgelt"));
    assert_eq!(rows[0].occurred_at.unwrap().to_rfc3339(), "2026-01-01T09:30:00+00:00", "winter in Berlin");
    assert_eq!(rows[2].description.as_deref(), Some("Gut\"schrift; Konto 1"));
    let place = usize::try_from(read.rows[1].byte).unwrap();
    assert!(latin(FEES)[place..].starts_with(b"U-2;") && read.rows[1].line == 7);
    assert_eq!(read.ending.sums[0].amount.to_string(), "1300.00");
    assert_eq!(read.ending.stated.unwrap().sums[0].amount.to_string(), "1300.00");
}

#[test]
fn a_register_with_local_times_and_other_words_is_read() {
    let read = read("fjord-register", REGISTER.as_bytes());
    assert_eq!((read.errors, read.ending.incomplete), (vec![], None));
    let rows: Vec<_> =
        read.rows.iter().map(|it| if let Row::Register(row) = &it.row { row } else { panic!() }).collect();
    assert_eq!((rows[0].verdict, rows[1].verdict), (Verdict::Completed, Verdict::Unknown));
    assert_eq!(rows[0].iban.as_deref(), Some("NO9386011117947"));
    assert_eq!(rows[0].decided_at.unwrap().to_rfc3339(), "2026-04-03T07:30:00+00:00", "summer in Oslo, the day first");
}

#[test]
fn a_bad_row_is_named_by_the_files_own_column() {
    for (from, to, field, code) in [
        ("6,05;;1,05", "6.05;;1,05", "Soll", Code::AmountNotDecimal),
        ("1.300,00;0", "1.30,00;0", "Soll", Code::AmountNotDecimal),
        ("6,05;;1,05", "6,05;1,00;1,05", "Soll", Code::AmountNotDecimal),
        ("6,05;;1,05", ";;1,05", "amount", Code::Missing),
        ("02.01.2026", "2026-01-02", "Buchungstag", Code::NotADate),
        ("02.01.2026", "02.01.26", "Buchungstag", Code::NotADate),
        ("01.01.2026 10:30:00", "25.10.2026 02:30:00", "Zeitpunkt", Code::AmbiguousDate),
        ("01.01.2026 10:30:00", "29.03.2026 02:30:00", "Zeitpunkt", Code::NotATime),
    ] {
        let file = FEES.replacen(from, to, 1);
        let read = read("rhine-fees", &latin(&file));
        assert_eq!(read.errors.len(), 1, "{to}: {:?}", read.errors);
        assert_eq!((read.errors[0].1.as_deref(), read.errors[0].2), (Some(field), code), "{to}");
        assert!(!read.ending.is_complete(), "{to}");
    }
}

#[test]
fn only_a_right_totals_line_makes_a_file_complete() {
    let whole = latin(FEES);
    for (from, to, code) in [
        ("Summe;4", "Summe;5", Code::WrongCount),
        ("1.306,05", "1.306,04", Code::WrongSum),
        ("1.306,05", "1,306.05", Code::AmountNotDecimal),
        ("Summe;4;;;;;1.306,05;6,05;;EUR;;;;\n", "", Code::NoTrailer),
    ] {
        let read = read("rhine-fees", &latin(&FEES.replace(from, to)));
        assert_eq!(read.errors.last().map(|it| it.2), Some(code), "{to}");
        assert!(!read.ending.is_complete());
    }
    let read = read("rhine-fees", &[&whole[..], b"U-9;x\n"].concat());
    assert_eq!(read.errors.last().map(|it| it.2), Some(Code::AfterTrailer));
}

#[test]
fn a_format_without_header_takes_columns_by_number_and_without_a_footer_is_never_complete() {
    let mut profiles = Profiles::default();
    let text = "kind = \"charges\"\nheader = false\nsign = \"received\"\ndates = [\"%d/%m/%Y\", \"%m/%d/%Y\"]
[columns]\nbooked_on = 1\namount = 2\n[defaults]\ncurrency = \"EUR\"\ntype = \"fee\"\n[types]\nfee = \"charge\"\n";
    profiles.add("plain", "plain.toml", text).unwrap();
    let read =
        read_by(&profiles, "plain", b"31/01/2026,-5\n01/31/2026,-5\n31/01/2026,-5\n01/02/2026,-5\n02/02/2026,1\n");
    assert_eq!(read.errors, [(4, Some("column 1".to_owned()), Code::AmbiguousDate)]);
    let amounts: Vec<String> = read
        .rows
        .iter()
        .map(|it| if let Row::Charge(row) = &it.row { row.amount.to_string() } else { panic!() })
        .collect();
    assert_eq!(amounts, ["5.00", "5.00", "5.00", "-1.00"]);
    assert_eq!(read.rows[0].key[..32], read.rows[2].key[..32], "equal rows");
    assert!(read.rows[0].key.ends_with("#1") && read.rows[2].key.ends_with("#2"));
    assert!(read.ending.incomplete.is_some());
}

/// A profile of charges with these lines. The columns are a type, an amount and a time.
fn plain(lines: &str) -> Profiles {
    let (columns, mut profiles) = ("type = 1\namount = 2\noccurred_at = 3", Profiles::default());
    let rest = "[defaults]\ncurrency = \"EUR\"\n[types]\nfee = \"charge\"\n";
    let text = format!("kind = \"charges\"\nheader = false\n{lines}\n[columns]\n{columns}\n{rest}");
    profiles.add("plain", "plain.toml", &text).unwrap();
    profiles
}

#[test]
fn without_column_names_the_first_row_that_has_all_fields_tells_their_number() {
    use Code::{BadEncoding, QuoteNotClosed, TooFewColumns, TooManyColumns};
    let profiles = plain("footer = {starts_with = \"total\", rows = 2}");
    let row = "fee,1,2026-01-01T00:00:00Z";
    for (file, rows, errors) in [
        (format!("{row},more\n{row}\n{row},more\ntotal,3\n"), 2, vec![(2, TooFewColumns)]),
        (format!("fee,1\n{row}\n{row},more\ntotal,3\n"), 1, vec![(1, TooFewColumns), (3, TooManyColumns)]),
        (format!("fee,1\n{row}\ntotal,2\n"), 1, vec![(1, TooFewColumns)]),
        ("total,0\n".to_owned(), 0, vec![]),
        (format!("total,0\n{row}\n"), 0, vec![(2, Code::AfterTrailer)]),
        (format!("\"{row}\n"), 0, vec![(1, QuoteNotClosed)]),
        (String::new(), 0, vec![(1, Code::NoTrailer)]),
    ] {
        let read = read_by(&profiles, "plain", file.as_bytes());
        let found: Vec<(u64, Code)> = read.errors.iter().map(|it| (it.0, it.2)).collect();
        assert_eq!((read.rows.len(), found), (rows, errors), "{file}");
        assert_eq!(read.ending.is_complete(), file == "total,0\n", "{file}");
    }
    let file = [b"fee,1,\xff\n", row.as_bytes(), b"\ntotal,2\n"].concat();
    let read = read_by(&profiles, "plain", &file);
    assert_eq!((read.rows.len(), read.errors[0].2), (1, BadEncoding), "a flawed row tells nothing");
}

#[test]
fn one_column_may_hold_two_fields() {
    let mut profiles = Profiles::default();
    let columns = "amount = \"A\"\nline_id = \"No\"\nsettlement_id = \"No\"\n";
    let text = format!("kind = \"charges\"\n[columns]\n{columns}{TYPE_AND_CURRENCY}[types]\nfee = \"charge\"\n");
    profiles.add("mine", "mine.toml", &text).unwrap();
    let read = read_by(&profiles, "mine", b"No,T,A,C\n7,fee,1,EUR\n");
    let Row::Charge(row) = &read.rows[0].row else { panic!() };
    assert_eq!((row.line_id.as_str(), row.settlement_id.as_deref()), ("7", Some("7")));
}

#[test]
fn a_time_with_its_own_zone_is_not_read_in_the_profiles_zone() {
    let at = |formats: &str, text: &str| {
        let profiles = plain(&format!("zone = \"Europe/Berlin\"\ntimes = [{formats}]"));
        let read = read_by(&profiles, "plain", format!("fee,1,{text}\n").as_bytes());
        match read.rows.first().map(|it| &it.row) {
            Some(Row::Charge(row)) => Ok(row.occurred_at.unwrap().to_rfc3339()),
            _ => Err(read.errors[0].2),
        }
    };
    let (zoned, local) = ("\"%d.%m.%Y %H:%M:%S %z\"", "\"%d.%m.%Y %H:%M:%S\"");
    let utc = |text: &str| Ok(text.to_owned());
    assert_eq!(at(zoned, "01.07.2026 10:00:00 +0530"), utc("2026-07-01T04:30:00+00:00"));
    assert_eq!(at(zoned, "25.10.2026 02:30:00 +0100"), utc("2026-10-25T01:30:00+00:00"), "told by its zone");
    assert_eq!(at(local, "01.07.2026 10:00:00"), utc("2026-07-01T08:00:00+00:00"), "summer in Berlin");
    assert_eq!(at(&format!("{local}, {zoned}"), "01.07.2026 10:00:00 +0000"), utc("2026-07-01T10:00:00+00:00"));
    assert_eq!(at(zoned, "01.07.2026 10:00:00"), Err(Code::NotATime));
    for year in ["0026", "1899", "3000", "9999", "26"] {
        assert_eq!(at(local, &format!("01.07.{year} 10:00:00")), Err(Code::NotATime), "{year}");
    }
}

#[test]
fn zero_has_no_sign() {
    let file = "fee,0,2026-01-01T00:00:00Z\nfee,-0.00,2026-01-01T00:00:00Z\n";
    let mut read = read_by(&plain("sign = \"received\""), "plain", file.as_bytes()).rows;
    read.extend(self::read("rhine-fees", &latin(&FEES.replacen("6,05;;", ";0,00;", 1))).rows.into_iter().take(1));
    read.extend(self::read("rhine-fees", &latin(&FEES.replacen("6,05;;", "0,00;0,00;", 1))).rows.into_iter().take(1));
    for row in &read {
        let Row::Charge(row) = &row.row else { panic!() };
        assert_eq!(row.amount.to_string(), "0.00");
    }
    assert_eq!(read.len(), 4);
}

#[test]
fn a_file_with_too_many_different_rows_without_an_id_ends_there() {
    let row = |n: usize| format!("fee,{n},2026-01-01T00:00:00Z\n");
    let many = |rows: usize| (0..rows).map(row).collect::<String>();
    let read = |file: String| read_by(&plain(""), "plain", file.as_bytes());
    let enough = read(format!("{}{}", many(10_000), row(0)));
    assert_eq!((enough.rows.len(), enough.ending.failed), (10_001, None));
    let over = read(many(20_000));
    assert_eq!(
        (over.rows.len(), over.ending.failed.map(|it| (it.line, it.code))),
        (10_000, Some((10_001, Code::TooManyRows)))
    );
}

#[test]
fn a_wrong_header_lists_the_columns_found_and_expected() {
    let profiles = Profiles::built_in().unwrap();
    let expected = Expected { format: Some("rhine-fees"), profiles: Some(&profiles), ..Expected::default() };
    let Err(OpenError::Header(error)) = open(&latin(&FEES.replace("Soll", "Debit"))[..], &expected) else { panic!() };
    assert_eq!((error.line, error.code), (5, Code::HeaderNotUnderstood));
    let told = error.to_string();
    assert!(told.contains("the column Soll") && told.contains(",Debit,") && told.contains("expected: "), "{told}");
    let unknown = Expected { format: Some("none"), ..expected };
    let Err(OpenError::Header(error)) = open(&b""[..], &unknown) else { panic!() };
    assert_eq!(error.detail, "found the format \"none\"; expected one of camt, pull, fjord-register, rhine-fees");
}

/// Checks the one error of a profile.
fn refused(text: &str, told: &str) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    let error = errors[0].to_string();
    assert!(error.starts_with(&format!("mine.toml: {told}")), "{error}");
}

#[test]
fn a_wrong_profile_names_file_key_what_it_holds_and_what_it_takes() {
    let with = |line: &str| format!("kind = \"charges\"\n{line}\n[columns]\namount = \"A\"\n{TYPE_AND_CURRENCY}");
    assert!(Profiles::default().add("mine", "mine.toml", &with("")).is_ok());
    for (line, told) in [
        ("delimiter = \";;\"", "delimiter: invalid value \";;\"; expected a single ASCII"),
        ("decimal = \"'\"", "decimal: invalid value \"'\"; expected \".\" or \",\""),
        ("thousands = \".\"", "thousands: the decimal sign; expected another"),
        ("encoding = \"klingon\"", "encoding: invalid value \"klingon\"; expected utf-8"),
        ("zone = \"Berlin\"", "zone: invalid value \"Berlin\"; expected a time zone"),
        ("sign = \"-\"", "sign: invalid value \"-\"; expected owed or received"),
        ("dates = [\"%Q\"]", "dates: invalid value [\"%Q\"]; expected a list of formats"),
        ("skip_lines = -1", "skip_lines: invalid value -1; expected a whole number from 0"),
        ("header = 1", "header: invalid value 1; expected true or false"),
        ("delimeter = \";\"", "delimeter: unknown key; expected one of kind, header, delimiter,"),
        ("defaults.currency = \"EURO\"", "defaults.currency: invalid value \"EURO\"; expected a field such as"),
        ("types.FEE = \"fee\"", "types.FEE: invalid value \"fee\"; expected charge, group"),
        ("footer.rows = 2", "footer.starts_with: not set; expected the text"),
        ("footer = {starts_with = \"T\", row = 2}", "footer.row: unknown key; expected one of starts_with, rows,"),
    ] {
        refused(&with(line), told);
    }
}

/// The lines that each row of charges needs beside an amount.
const TYPE_AND_CURRENCY: &str = "type = \"T\"\ncurrency = \"C\"\n";

#[test]
fn a_profile_says_its_kind_and_the_columns_of_a_row() {
    let columns = |kind: &str, lines: &str| format!("kind = \"{kind}\"\n[columns]\n{lines}\n");
    let charges = |lines: &str| columns("charges", &format!("{TYPE_AND_CURRENCY}{lines}"));
    let amount = "amount = \"A\"\n";
    for (text, told) in [
        (columns("bank", amount), "kind: invalid value \"bank\"; expected register or charges"),
        ("[columns]\namount = \"A\"".to_owned(), "kind: not set; expected register or charges"),
        (charges("amount = 2"), "columns.amount: invalid value 2; expected the name of a column"),
        (
            format!("header = false\n{}", columns("charges", "amount = \"A\"\ntype = 1\ncurrency = 2")),
            "columns.amount: invalid value \"A\"; expected the number of a column",
        ),
        (
            charges(&format!("{amount}amuont = \"A\"")),
            "columns.amuont: unknown field; expected one of account_opening_request_id,",
        ),
        (charges("tax = \"A\""), "columns.amount: not set; expected the column that holds it"),
        (
            columns("charges", &format!("{amount}type = \"T\"")),
            "columns.currency: not set; expected the column that holds it, or defaults.currency",
        ),
        (
            columns("charges", &format!("{amount}[defaults]\ncurrency = \"EUR\"")),
            "columns.type: not set; expected the column that holds it, or defaults.type",
        ),
        (columns("register", "status = \"A\""), "columns.account_opening_request_id: not set; expected"),
        (
            format!("{}[defaults]\nstatus = \"A\"", columns("register", "account_opening_request_id = \"A\"")),
            "columns.status: not set; expected the column that holds it",
        ),
        ("kind = \"charges\"".to_owned(), "columns: not set; expected a table"),
        ("kind = charges".to_owned(), "line 1: "),
    ] {
        refused(&text, told);
    }
    assert_eq!(errors(&columns("charges", "")).len(), 3, "a table without columns");
    let several = errors("kind = \"bank\"\nzone = 1\n[columns]\nx = \"A\"");
    assert_eq!(several.len(), 3, "all at once: {several:?}");
}

#[test]
fn files_add_profiles_and_replace_built_in_ones() {
    let file = |name: &str, text: &str| ProfileFile {
        name: name.to_owned(),
        path: format!("profiles/{name}.toml"),
        text: text.to_owned(),
    };
    let mine = file("mine", &format!("kind = \"charges\"\n[columns]\namount = \"Amount\"\n{TYPE_AND_CURRENCY}"));
    let register = "kind = \"register\"\n[columns]\naccount_opening_request_id = \"A\"\nstatus = \"B\"\n";
    let profiles = Profiles::of(&[mine.clone(), file("rhine-fees", register)]).unwrap();
    assert_eq!(profiles.names().collect::<Vec<_>>(), ["fjord-register", "mine", "rhine-fees"]);
    let built_in = Profiles::built_in().unwrap();
    assert_ne!(profiles.get("rhine-fees").unwrap().sha256, built_in.get("rhine-fees").unwrap().sha256);
    assert_eq!(profiles.get("mine").unwrap().sha256.len(), 64);
    let errors = Profiles::of(&[mine, file("wrong", "kind = 1")]).unwrap_err();
    assert!(errors[0].to_string().starts_with("profiles/wrong.toml: kind: invalid value 1"), "{errors:?}");
}
