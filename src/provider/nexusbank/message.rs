//! Parses `NexusBank`'s webhooks and answers, and translates its status words.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::{ProviderRef, Report, Verdict};
use crate::outbound::json::{self, Prose, sanitize};
use crate::outbound::{Answer, CallError};
use crate::provider::wire::unreadable;
use crate::provider::{ListItem, ListPage, Parsed};

const STATUS_CHANGED: &str = "account_opening_request.status_changed";

/// The status fields, the same in webhooks and answers. Unknown fields are ignored.
#[derive(Deserialize)]
pub(super) struct Words {
    account_opening_request_id: Option<String>,
    reference: Option<String>,
    status: String,
    iban: Option<String>,
    bic: Option<String>,
    rejection_reason: Option<Prose>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Stamp {
    updated_at: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct StatusChanged {
    data: Words,
}

impl Words {
    /// Translates the fields into a report.
    ///
    /// # Errors
    /// If the tracking id is invalid.
    pub fn into_report(self) -> Result<Report, String> {
        let some = |text: Option<String>| text.filter(|it| !it.is_empty()).map(|it| sanitize(&it));
        let reference = self
            .account_opening_request_id
            .map(ProviderRef::new)
            .transpose()
            .map_err(|why| format!("account_opening_request_id {why}"))?;
        Ok(Report {
            reference,
            our_reference: some(self.reference),
            verdict: verdict(&self.status),
            word: sanitize(&self.status),
            iban: some(self.iban),
            bic: some(self.bic),
            reason: some(self.rejection_reason.map(|it| it.0)),
        })
    }
}

/// Translates a status word.
#[must_use]
pub fn verdict(status: &str) -> Verdict {
    match status {
        "INITIATED" => Verdict::Started,
        "IN_PROGRESS" => Verdict::Pending,
        "COMPLETED" | "SUCCEEDED" => Verdict::Completed,
        "REJECTED" => Verdict::Rejected,
        _ => Verdict::Unknown,
    }
}

/// Parses a webhook's body.
#[must_use]
pub fn parse(body: &[u8]) -> Parsed {
    match json::read::<Kind>(body) {
        Err(error) => return unreadable(&error),
        Ok(kind) if kind.r#type != STATUS_CHANGED => return Parsed::Ignored("unknown_type"),
        Ok(_) => {}
    }
    let words = match json::read::<StatusChanged>(body) {
        Err(error) => return unreadable(&error),
        Ok(message) => message.data,
    };
    reported(words)
}

/// Parses a list item: the fields of an answer about one request.
#[must_use]
pub fn parse_item(body: &[u8]) -> Parsed {
    match json::read::<Words>(body) {
        Err(error) => unreadable(&error),
        Ok(words) => reported(words),
    }
}

fn reported(words: Words) -> Parsed {
    match words.into_report() {
        Err(cause) => Parsed::Unreadable(cause),
        Ok(report) if report.reference.is_none() && report.our_reference.is_none() => {
            Parsed::Unreadable("names neither account_opening_request_id nor reference".to_owned())
        }
        Ok(report) => Parsed::Reports(vec![report]),
    }
}

/// Splits a page of the list into items, byte for byte, even if an item is unreadable.
///
/// # Errors
/// If the answer is not a page.
pub fn list_page(answer: &Answer) -> Result<ListPage, CallError> {
    let text = json::in_place(&answer.body);
    let Page { items, next_cursor } = serde_json::from_str(&text).map_err(|error| answer.of_another_shape(&error))?;
    let bytes = |raw: &RawValue| {
        let at = raw.get().as_ptr().addr() - text.as_ptr().addr();
        answer.body.get(at..at + raw.get().len()).unwrap_or_default()
    };
    Ok(ListPage {
        items: items.into_iter().map(|it| item(bytes(it))).collect(),
        next: next_cursor.filter(|it| !it.is_empty()),
    })
}

fn item(body: &[u8]) -> ListItem {
    let stamp = json::read::<Stamp>(body).ok().and_then(|it| it.updated_at);
    let stamp = stamp.as_deref().map(RawValue::get);
    // A string without its quotes; a number, which some providers send, as its digits.
    let text = stamp.filter(|it| *it != "null").map(|it| serde_json::from_str(it).unwrap_or_else(|_| it.to_owned()));
    ListItem { body: body.to_vec(), updated_at: text }
}

/// The body of a simulated webhook. It contains no time, so equal messages have equal bytes.
#[must_use]
pub fn simulate(report: &Report) -> Vec<u8> {
    json!({
        "type": STATUS_CHANGED,
        "data": {
            "account_opening_request_id": report.reference,
            "reference": report.our_reference,
            "status": report.word,
            "iban": report.iban,
            "bic": report.bic,
            "rejection_reason": report.reason,
        }
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Parsed {
        parse(body.as_bytes())
    }

    fn report(body: &str) -> Report {
        match parsed(body) {
            Parsed::Reports(mut reports) if reports.len() == 1 => reports.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_message_is_understood_and_unknown_fields_are_passed_over() {
        let it = report(
            r#"{"type":"account_opening_request.status_changed","timestamp":"2026-01-01T00:00:00Z","new":[{}],
               "data":{"account_opening_request_id":"aor_1","reference":"r","status":"COMPLETED","extra":"\u0000\ud800",
               "huge":1e200000,"iban":"BE68539007547034","bic":"NEXUBEBB","rejection_reason":null}}"#,
        );
        assert_eq!(it.verdict, Verdict::Completed);
        assert_eq!(it.reference.unwrap().as_str(), "aor_1");
        assert_eq!(it.iban.as_deref(), Some("BE68539007547034"));
    }

    #[test]
    fn the_outcome_is_in_the_status_alone_and_an_unknown_one_is_not_guessed_at() {
        let status = |status: &str| {
            let body = format!(
                r#"{{"type":"account_opening_request.status_changed","data":{{"account_opening_request_id":"a",
                   "status":"{status}","rejection_reason":"still completed"}}}}"#
            );
            report(&body).verdict
        };
        assert_eq!(status("COMPLETED"), Verdict::Completed);
        assert_eq!(status("SUCCEEDED"), Verdict::Completed);
        assert_eq!(status("INITIATED"), Verdict::Started);
        assert_eq!(status("IN_PROGRESS"), Verdict::Pending);
        assert_eq!(status("REJECTED"), Verdict::Rejected);
        for unknown in ["completed", "", "WAITING_FOR_DOCUMENTS", "COMPLETED\\u0000"] {
            assert_eq!(status(unknown), Verdict::Unknown, "{unknown}");
        }
    }

    #[test]
    fn undocumented_json_is_unreadable_and_another_type_of_no_concern() {
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "not json",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"account_opening_request.status_changed"}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"status":"COMPLETED"}}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"account_opening_request_id":"a\u0000","status":"X"}}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"account_opening_request_id":"\ud800","status":"X"}}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"account_opening_request_id":"a","status":"REJECTED","status":"COMPLETED"}}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"account_opening_request_id":"a","status":"X","iban":7}}"#,
            r#"{"type":"account_opening_request.status_changed","data":{"account_opening_request_id":"a","status":"X\ud83d"}}"#,
            &deep,
        ] {
            assert!(matches!(parsed(body), Parsed::Unreadable(_)), "{}", &body[..body.len().min(80)]);
        }
        assert_eq!(parsed(r#"{"type":"customer.created","data":7}"#), Parsed::Ignored("unknown_type"));
    }

    fn page(body: &str) -> Result<ListPage, CallError> {
        list_page(&Answer { status: axum::http::StatusCode::OK, body: body.as_bytes().to_vec(), retry_after: None })
    }

    #[test]
    fn an_item_of_a_list_is_kept_as_it_came_with_its_time_as_it_was_written() {
        let body = r#"{"items":[ {"account_opening_request_id" : "a", "updated_at":"2026-01-01T00:00:00+0000"},
            {"updated_at":1767225600000}, {"updated_at":null}, {"iban":"\ud800"}, 7 ],"next_cursor":"c"}"#;
        let page = page(body).unwrap();
        let (bodies, times): (Vec<_>, Vec<_>) =
            page.items.into_iter().map(|it| (String::from_utf8(it.body).unwrap(), it.updated_at)).unzip();
        assert_eq!(bodies[0], r#"{"account_opening_request_id" : "a", "updated_at":"2026-01-01T00:00:00+0000"}"#);
        assert_eq!((bodies[3].as_str(), bodies[4].as_str()), (r#"{"iban":"\ud800"}"#, "7"));
        let times: Vec<_> = times.iter().map(Option::as_deref).collect();
        assert_eq!(times, [Some("2026-01-01T00:00:00+0000"), Some("1767225600000"), None, None, None]);
        assert_eq!(page.next.as_deref(), Some("c"));
    }

    /// F3, P2
    #[test]
    fn an_item_that_is_no_utf_8_is_kept_byte_for_byte_and_so_are_its_neighbours() {
        let item = |text: &[u8]| {
            [&br#"{"account_opening_request_id":"a","status":"REJECTED","rejection_reason":""#[..], text, br#""}"#]
                .concat()
        };
        let items = [item(b"caf\xe9 \xf0\x9f"), item("na\u{ef}f".as_bytes()), item(br"\ud83d")];
        let body = [&br#"{"items":["#[..], &items.join(&b", "[..]), br#"],"next_cursor":"c"}"#].concat();
        let page = list_page(&Answer { status: axum::http::StatusCode::OK, body, retry_after: None }).unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (3, Some("c")));
        for (found, sent) in page.items.iter().zip(&items) {
            assert_eq!(&found.body, sent);
            assert!(matches!(parse_item(&found.body), Parsed::Reports(_)));
        }
    }

    #[test]
    fn an_answer_without_a_page_is_unusable_and_an_empty_cursor_is_the_end() {
        for body in ["", "[]", r#"{"items":{}}"#, r#"{"items":[],"next_cursor":7}"#, r#"{"next_cursor":"c"}"#] {
            assert!(matches!(page(body), Err(CallError::Unusable { .. })), "{body}");
        }
        for body in [r#"{"items":[]}"#, r#"{"items":[],"next_cursor":""}"#, r#"{"items":[],"next_cursor":null}"#] {
            assert_eq!(page(body).unwrap(), ListPage { items: Vec::new(), next: None }, "{body}");
        }
    }

    #[test]
    fn an_item_without_a_name_or_of_another_shape_is_unreadable() {
        for body in ["7", "null", "{}", r#"{"status":"COMPLETED"}"#, r#"{"account_opening_request_id":"a","iban":7}"#] {
            assert!(matches!(parse_item(body.as_bytes()), Parsed::Unreadable(_)), "{body}");
        }
        let item = r#"{"account_opening_request_id":"a","reference":"r","status":"REJECTED","updated_at":7}"#;
        let Parsed::Reports(reports) = parse_item(item.as_bytes()) else { panic!("{item}") };
        assert_eq!((reports[0].verdict, reports[0].our_reference.as_deref()), (Verdict::Rejected, Some("r")));
    }

    #[test]
    fn a_simulated_message_is_understood_as_what_it_was_made_from() {
        let made = Report {
            reference: None,
            our_reference: Some("0199".to_owned()),
            verdict: Verdict::Rejected,
            word: "REJECTED".to_owned(),
            iban: None,
            bic: None,
            reason: Some("no".to_owned()),
        };
        assert_eq!(parse(&simulate(&made)), Parsed::Reports(vec![made]));
    }
}
