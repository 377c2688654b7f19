use super::{ProfileError, Profiles};
use crate::config::ProfileFile;
use crate::domain::Verdict;
use crate::reconciliation::normalise::row::{ChargeType, Located, Row};
use crate::reconciliation::normalise::{Code, Ending, Expected, Item, OpenError, open};

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
    assert_eq!(error.detail, "found the format \"none\"; expected one of nexusbank, camt, fjord-register, rhine-fees");
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
    let with = |line: &str| format!("kind = \"charges\"\n{line}\n[columns]\namount = \"A\"\n");
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
        ("header = false", "columns.amount: invalid value \"A\"; expected the number of a column"),
        ("delimeter = \";\"", "delimeter: unknown key; expected one of kind, header, delimiter,"),
        ("types.FEE = \"fee\"", "types.FEE: invalid value \"fee\"; expected charge, group"),
        ("footer.rows = 2", "footer.starts_with: not set; expected the text"),
        ("footer = {starts_with = \"T\", row = 2}", "footer.row: unknown key; expected one of starts_with, rows,"),
    ] {
        refused(&with(line), told);
    }
}

#[test]
fn a_profile_says_its_kind_and_the_columns_of_a_row() {
    for (text, told) in [
        ("kind = \"bank\"\n[columns]\namount = \"A\"", "kind: invalid value \"bank\"; expected register or charges"),
        ("[columns]\namount = \"A\"", "kind: not set; expected register or charges"),
        ("kind = \"charges\"\n[columns]\namount = 2", "columns.amount: invalid value 2; expected the name of a column"),
        (
            "kind = \"charges\"\n[columns]\namuont = \"A\"\namount = \"A\"",
            "columns.amuont: unknown field; expected one of account_opening_request_id,",
        ),
        ("kind = \"charges\"\n[columns]\ntax = \"A\"", "columns.amount: not set; expected the column that holds it"),
        ("kind = \"register\"\n[columns]\nstatus = \"A\"", "columns.account_opening_request_id: not set; expected"),
        ("kind = \"charges\"", "columns: not set; expected a table"),
        ("kind = charges", "line 1: "),
    ] {
        refused(text, told);
    }
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
    let mine = file("mine", "kind = \"charges\"\n[columns]\namount = \"Amount\"\n");
    let register = "kind = \"register\"\n[columns]\naccount_opening_request_id = \"A\"\nstatus = \"B\"\n";
    let profiles = Profiles::of(&[mine.clone(), file("rhine-fees", register)]).unwrap();
    assert_eq!(profiles.names().collect::<Vec<_>>(), ["fjord-register", "mine", "rhine-fees"]);
    let built_in = Profiles::built_in().unwrap();
    assert_ne!(profiles.get("rhine-fees").unwrap().sha256, built_in.get("rhine-fees").unwrap().sha256);
    assert_eq!(profiles.get("mine").unwrap().sha256.len(), 64);
    let errors = Profiles::of(&[mine, file("wrong", "kind = 1")]).unwrap_err();
    assert!(errors[0].to_string().starts_with("profiles/wrong.toml: kind: invalid value 1"), "{errors:?}");
}
