//! What must hold for any bytes from outside. Each function is a fuzz target, and is run by `cargo test` on the seeds and on
//! mutations of them (`tests/it/fuzzing.rs`).

use account_opening::config::REPORT_FORMATS;
use account_opening::domain::bank::{Bic, Iban};
use account_opening::domain::{Report, Verdict};
use account_opening::outbound::{Answer, CallError, read_refusal};
use account_opening::provider::Parsed;
use account_opening::provider::nexusbank::{self, read_account, read_one, read_page};
use account_opening::provider::signature::{self, WebhookSecret};
use account_opening::report_files::number::NumberFormat;
use account_opening::report_files::profile::Profiles;
use account_opening::report_files::{Expected, Item, OpenError, date, open};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};

/// The key of the seeds' signatures.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Four parts, separated by line feeds: id, timestamp, signatures, body. Only what was signed with our key is believed, and
/// only as it was signed.
pub fn signature(data: &[u8]) {
    let parts: Vec<&[u8]> = data.splitn(4, |byte| *byte == b'\n').collect();
    let [id, timestamp, signatures, body] = parts[..] else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in [(signature::ID, id), (signature::TIMESTAMP, timestamp), (signature::SIGNATURE, signatures)] {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        headers.insert(name, value);
    }
    let secrets = [WebhookSecret::parse(SECRET).expect("our own secret")];
    let verify = |headers: &HeaderMap, body: &[u8], at: DateTime<Utc>| {
        signature::verify(&secrets, headers, body, at, TimeDelta::minutes(5))
    };
    let seconds = std::str::from_utf8(timestamp).ok().and_then(|it| it.parse().ok());
    let at = seconds.and_then(|it| DateTime::from_timestamp(it, 0)).unwrap_or_default();
    let name = std::str::from_utf8(id).unwrap_or_default();
    let right = signature::sign(&secrets[0], name, at, body);
    // Ours has one way to write a time; another's signature over another way is as good.
    let canonical = timestamp == at.timestamp().to_string().as_bytes();
    if let Ok((event_id, 0)) = verify(&headers, body, at)
        && canonical
    {
        assert_eq!(event_id.as_bytes(), id);
        let given = String::from_utf8_lossy(signatures);
        // Base64 may leave its padding out.
        let believed = right.trim_end_matches('=');
        let words: Vec<&str> = given.split([' ', '\t', ',']).filter(|it| !it.is_empty()).collect();
        let is_ours = |pair: &[&str]| pair.join(",").trim_end_matches('=') == believed;
        assert!(words.windows(2).any(is_ours), "{given} is not {right}");
    }
    // What we sign is believed, in time and unchanged.
    if name.is_empty() || !canonical {
        return;
    }
    headers.insert(signature::SIGNATURE, right.parse().expect("base64 is a header"));
    assert_eq!(verify(&headers, body, at).as_ref().map(|it| it.0.as_str()), Ok(name));
    assert!(verify(&headers, &[body, b"x"].concat(), at).is_err());
    if let Some(late) = at.checked_add_signed(TimeDelta::seconds(301)) {
        assert!(verify(&headers, body, late).is_err());
    }
}

/// A webhook's body. It is understood the same every time, names an opening, and what is kept of it can be stored and shown.
pub fn webhook(data: &[u8]) {
    let parsed = nexusbank::parse(data);
    assert_eq!(parsed, nexusbank::parse(data));
    match parsed {
        Parsed::Reports(reports) => {
            assert_eq!(reports.len(), 1);
            for report in reports {
                assert!(report.reference.is_some() || report.our_reference.is_some());
                storable(&report);
                assert_eq!(nexusbank::parse(&nexusbank::simulate(&report)), Parsed::Reports(vec![report]));
            }
        }
        Parsed::Unreadable(cause) => assert!(cause.len() < 200 && !cause.contains(char::is_control), "{cause}"),
        Parsed::Ignored(_) => {}
        Parsed::Handshake => panic!("NexusBank shakes no hands"),
    }
}

/// An IBAN or a BIC. What is taken is one, in the one form that is kept.
pub fn iban(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(iban) = Iban::parse(&text) {
        let kept = iban.as_str();
        assert!(
            (15..=34).contains(&kept.len()) && kept.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
        );
        assert_eq!(remainder(kept), 1, "{kept}");
        assert_eq!(Iban::parse(kept).as_ref(), Ok(&iban));
        let (taken, dropped): (String, String) = text.chars().partition(char::is_ascii_alphanumeric);
        assert_eq!(kept, taken.to_ascii_uppercase());
        let without_width = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        assert!(dropped.chars().all(|c| c.is_whitespace() || without_width(c)), "{dropped:?}");
        let masked = iban.masked();
        assert!(masked.chars().count() == 9 && !masked.contains(&kept[4..kept.len() - 4]), "{masked}");
    }
    if let Ok(bic) = Bic::parse(&text) {
        assert!(matches!(bic.as_str().len(), 8 | 11) && bic.as_str().is_ascii());
        assert_eq!(Bic::parse(bic.as_str()).as_ref(), Ok(&bic));
        assert!(bic.same_bank(&bic));
    }
}

/// ISO 13616: what moves to the end are the first four characters; letters count from 10.
fn remainder(iban: &str) -> u32 {
    let moved = iban[4..].chars().chain(iban[..4].chars());
    moved.filter_map(|it| it.to_digit(36)).fold(0, |sum, it| (sum * if it < 10 { 10 } else { 100 } + it) % 97)
}

/// A bank's answer: two bytes for its status, then its body. Whatever it is, it has one meaning, and what is told of it can
/// be stored and logged.
pub fn answer(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    let number = 100 + u16::from_be_bytes(*status) % 500;
    let status = StatusCode::from_u16(number).expect("100 to 599");
    match (Answer { status, body: body.to_vec(), retry_after: None }).judge(read_refusal) {
        Ok(answer) => {
            assert!(status.is_success());
            match read_one(&answer) {
                Ok(report) => {
                    assert!(report.reference.is_some());
                    storable(&report);
                }
                Err(error) => tellable(&error),
            }
            match read_account(&answer) {
                Ok(report) => {
                    assert!(
                        report.verdict != Verdict::Completed || (report.reference.is_some() && report.iban.is_some())
                    );
                    storable(&report);
                }
                Err(error) => tellable(&error),
            }
            match read_page(&answer) {
                Ok((reports, _)) => reports.iter().for_each(storable),
                Err(error) => tellable(&error),
            }
        }
        Err(error) => {
            assert!(!status.is_success());
            assert!(
                matches!(number, 400 | 422) || !matches!(error, CallError::Rejected { .. }),
                "{number} is not final"
            );
            tellable(&error);
        }
    }
}

/// A CSV file. A first line `#<format>` names a profile; without it the file is NexusBank's.
pub fn csv(data: &[u8]) {
    let named = data.strip_prefix(b"#").and_then(|it| {
        let end = it.iter().position(|byte| *byte == b'\n')?;
        Some((std::str::from_utf8(&it[..end]).ok()?, &it[end + 1..]))
    });
    let (format, file) = named.map_or((None, data), |(format, file)| (Some(format), file));
    report(file, format);
}

/// A bank statement.
pub fn camt(data: &[u8]) {
    report(data, Some("camt"));
}

/// A report file. It is read in the same way however it comes, to one ending that counts its rows; each row lies in the file, and
/// no error tells more than a line of it.
fn report(file: &[u8], format: Option<&str>) {
    let profiles = Profiles::built_in().expect("our own profiles");
    let expected = Expected { format, own: REPORT_FORMATS, profiles: Some(&profiles), ..Expected::default() };
    let items = match open(file, &expected) {
        Ok(reading) => reading.map(|it| it.expect("bytes in memory")).collect::<Vec<Item>>(),
        Err(OpenError::Header(error)) => return told(&error.to_string(), 10_000),
        Err(OpenError::Io(error)) => panic!("{error}"),
    };
    let (first, second) = file.split_at(file.len() / 2);
    let in_two = open(std::io::Read::chain(first, second), &expected).expect("it was opened before");
    assert!(in_two.map(|it| it.expect("bytes in memory")).eq(items.iter().cloned()));
    let (mut rows, mut bad_rows, mut from) = (0, 0, 0);
    for item in &items {
        match item {
            Item::Row(row) => {
                rows += 1;
                assert!(row.byte + row.len <= file.len() as u64 && !row.key.is_empty() && row.line > 0);
                assert!(row.byte >= from || format == Some("camt"), "rows come in their order");
                from = row.byte;
            }
            Item::Error(error) => {
                bad_rows += u64::from(error.is_row);
                told(&error.problem.detail, 1_000);
                assert!(error.byte <= file.len() as u64);
            }
            Item::Statement(statement) => statement.flaws.iter().for_each(|it| told(&it.detail(), 1_000)),
            Item::End(ending) => {
                assert_eq!((ending.rows, ending.bad_rows), (rows + bad_rows, bad_rows));
                assert!(bad_rows == 0 || !ending.is_complete());
            }
        }
    }
    assert_eq!(items.iter().filter(|it| matches!(it, Item::End(_))).count(), 1);
    assert!(matches!(items.last(), Some(Item::End(_))));
}

fn told(detail: &str, most: usize) {
    assert!(!detail.is_empty() && detail.len() < most && !detail.contains(char::is_control), "{detail:?}");
}

/// A number, a time or a date. What is taken is exactly what was written; what is not has a reason.
pub fn number(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let european = NumberFormat { decimal: ',', thousands: Some('.') };
    for format in [NumberFormat::PLAIN, european] {
        match format.amount(&text) {
            Ok(amount) => {
                let plain: String = text.chars().filter(|it| Some(*it) != format.thousands).collect();
                let (integer, fraction) = plain.split_once(format.decimal).unwrap_or((&plain, ""));
                let digits = integer.trim_start_matches(['-', '+']).trim_start_matches('0');
                let sign = if integer.starts_with('-') && !amount.is_zero() { "-" } else { "" };
                let digits = if digits.is_empty() { "0" } else { digits };
                let point = if fraction.is_empty() { "" } else { "." };
                assert_eq!(amount.to_string(), format!("{sign}{digits}{point}{fraction}"));
                assert_eq!(format.rate(&text), Ok(amount));
            }
            Err((_, detail)) => told(&detail, 600),
        }
    }
    match date::time(&text) {
        Ok(time) => assert_eq!(date::time(&date::written(time)), Ok(time)),
        Err((_, detail)) => told(&detail, 600),
    }
    match date::date(&text) {
        Ok(day) => assert_eq!(day.to_string(), text),
        Err((_, detail)) => told(&detail, 600),
    }
}

/// Postgres takes no U+0000, and what is without end fits into no line.
fn storable(report: &Report) {
    let texts = [&report.our_reference, &report.iban, &report.bic, &report.reason];
    for text in texts.into_iter().flatten().map(String::as_str).chain([report.word.as_str()]) {
        assert!(text.chars().count() <= 200 && !text.contains(char::is_control), "{text:?}");
    }
    if let Some(reference) = &report.reference {
        let text = reference.as_str();
        assert!(!text.is_empty() && text.chars().count() <= 255 && !text.contains('\0'), "{text:?}");
    }
}

fn tellable(error: &CallError) {
    let told = error.to_string();
    assert!(told.len() < 200 && told.is_ascii() && !told.contains(char::is_control), "{told:?}");
    if let CallError::Rejected { message, .. } = error {
        assert!(message.chars().count() <= 200 && !message.contains(char::is_control), "{message:?}");
    }
    let _ = (error.class(), error.is_indeterminate(), error.clone().without_effect());
}
