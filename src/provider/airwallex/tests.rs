//! Words, events, signatures and pages, without a network.

use axum::http::HeaderMap;

use super::message::{event_id, list_page, query_of, token};
use super::*;
use crate::domain::Verdict;

const SECRET: &str = "whsec_CEm2XM_JZ1x5FxUUEGcZoRgIz4RZfDE";
const STAMP: &str = "1357872222592";
const EVENT: &str = r#"{"id":"86b69f91-06f0-3fe8-8faf-4de58954ca8e","name":"global_account.active","account_id":"acct_TOslkS7-MnyXlQuV8Lb4og","data":{"id":"7f687fe6-dcf4-4462-92fa-80335301d9d2","account_name":"John Smith","account_number":"03345102","country_code":"GB","iban":"GB06MODR00000003345102","swift_code":"MODRGB21","request_id":"01990000-0000-7000-8000-000000000001","status":"ACTIVE"},"created_at":"2025-08-20T14:42:56+0000","version":"2025-06-16"}"#;
const EVENT_SIGNATURE: &str = "6b55d0e8e155a2bc9cce050db6102fd0acb13b1103dac49333c4f6cf4e9bdda8";

fn answer(status: u16, body: &str) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec(), retry_after: None }
}

fn report(body: &str) -> Report {
    match parse(body.as_bytes(), OnBehalfOf::None) {
        Parsed::Reports(mut reports) if reports.len() == 1 => reports.remove(0),
        other => panic!("{other:?}"),
    }
}

/// Known answer: derived from the documented scheme, with the official sample's secret and time.
#[test]
fn the_signature_covers_the_time_and_the_body() {
    let keys = [RawKey::of_text(SECRET).unwrap()];
    assert_eq!(EVENT.len(), 437);
    assert_eq!(SIGNATURE.sign(&keys[0], &[STAMP.as_bytes(), EVENT.as_bytes()]), EVENT_SIGNATURE);
    let mut headers = HeaderMap::new();
    headers.insert("X-Signature", EVENT_SIGNATURE.parse().unwrap());
    let verify = |signed: &[u8]| SIGNATURE.verify(&keys, &headers, &[signed]);
    let signed = [STAMP.as_bytes(), EVENT.as_bytes()].concat();
    assert_eq!(verify(&signed), Ok(0));
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert_eq!(verify(&changed), Err(VerifyError::Wrong), "byte {at}");
    }
}

#[test]
fn the_documented_event_completes_the_opening_that_it_names() {
    let it = report(EVENT);
    assert_eq!((it.verdict, it.iban.as_deref()), (Verdict::Completed, Some("GB06MODR00000003345102")));
    assert_eq!(it.bic.as_deref(), Some("MODRGB21"));
    assert_eq!(it.our_reference.as_deref(), Some("01990000-0000-7000-8000-000000000001"));
    assert_eq!(it.reference.unwrap().as_str(), "7f687fe6-dcf4-4462-92fa-80335301d9d2");
    assert_eq!(event_id(EVENT.as_bytes()).as_deref(), Some("86b69f91-06f0-3fe8-8faf-4de58954ca8e"));
    for body in [EVENT.to_owned(), EVENT.replace("account_id", "accountId")] {
        let Parsed::Reports(reports) = parse(body.as_bytes(), OnBehalfOf::Profile) else { panic!("{body}") };
        let id = reports[0].reference.as_ref().unwrap();
        assert_eq!(id.as_str(), "acct_TOslkS7-MnyXlQuV8Lb4og:7f687fe6-dcf4-4462-92fa-80335301d9d2");
        assert_eq!(OnBehalfOf::Profile.split(id.as_str()).0, Some("acct_TOslkS7-MnyXlQuV8Lb4og"));
    }
}

#[test]
fn other_events_are_ignored_and_other_bodies_are_unreadable() {
    let parsed = |body: &str| parse(body.as_bytes(), OnBehalfOf::None);
    for other in ["payment_intent.succeeded", "deposit.settled"] {
        let body = EVENT.replace("global_account.active", other);
        assert_eq!(parsed(&body), Parsed::Ignored("unknown_type"), "{other}");
    }
    assert_eq!(parsed(&EVENT.replace("account.active", "account.closed")), Parsed::Ignored("closed"));
    for by_hand in ["2b9c", "", "invoice 7"] {
        let body = EVENT.replace("01990000-0000-7000-8000-000000000001", by_hand);
        assert_eq!(parsed(&body), Parsed::Ignored("not_ours"), "{by_hand}");
    }
    assert_eq!(parsed(&EVENT.replace(r#""request_id""#, r#""note""#)), Parsed::Ignored("not_ours"));
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"name":7}"#,
        r#"{"name":"global_account.active"}"#,
        r#"{"name":"global_account.active","data":{"id":7,"status":"ACTIVE"}}"#,
    ] {
        assert!(matches!(parsed(wrong), Parsed::Unreadable(_)), "{wrong}");
    }
}

#[test]
fn a_status_decides_and_a_failure_says_why() {
    let status = |status: &str| report(&EVENT.replace("ACTIVE", status)).verdict;
    assert_eq!((status("PROCESSING"), status("FAILED")), (Verdict::Pending, Verdict::Rejected));
    assert_eq!(
        (status("CLOSED"), status("active"), status("INACTIVE")),
        (Verdict::Rejected, Verdict::Unknown, Verdict::Unknown)
    );
    let failed = r#"{"id":"a","status":"FAILED","failure_reason":"no such business"}"#;
    let it = Account::read(failed.as_bytes()).unwrap().into_report(None).unwrap();
    assert_eq!(
        (it.verdict, it.reason.as_deref(), it.our_reference),
        (Verdict::Rejected, Some("no such business"), None)
    );
}

/// P36
#[test]
fn an_error_says_nothing_about_the_customer_and_a_used_request_id_leads_to_a_look() {
    let judged = |status: u16, body: &str| judge_submission(answer(status, body));
    for (status, body) in [
        (400, r#"{"code":"duplicate_request","message":"The request ID has been used previously"}"#),
        (400, r#"{"code":"resource_already_exists"}"#),
        (409, "{}"),
        (409, "<html>"),
    ] {
        assert!(matches!(judged(status, body), Ok(Submitted::Known)), "{status} {body}");
    }
    let ours =
        judged(400, r#"{"code":"invalid_argument","source":"country_code","message":"m"}"#).map(|_| ()).unwrap_err();
    assert_eq!((ours.class(), ours.is_indeterminate()), ("unusable", false));
    for status in [400, 422] {
        let gateway = judged(status, "<html>").map(|_| ()).unwrap_err();
        assert_eq!((gateway.class(), gateway.is_indeterminate()), ("unusable", true), "{status}");
    }
    let server = judged(500, r#"{"code":"duplicate_request"}"#).map(|_| ()).unwrap_err();
    assert_eq!((server.class(), server.is_indeterminate()), ("server_error", true));
}

#[test]
fn both_kinds_of_pages_are_read() {
    let page = |body: &str, cursor| list_page(&answer(200, body), cursor).unwrap();
    let first = page(r#"{"items":[ {"id":"a"} ],"page_after":"WyJ4Il0=","page_before":null}"#, None);
    assert_eq!(
        (first.items[0].body.as_slice(), first.next.as_deref()),
        (br#"{"id":"a"}"#.as_slice(), Some("page=WyJ4Il0="))
    );
    assert_eq!(query_of("page=WyJ4Il0="), ("page", "WyJ4Il0=".to_owned()));
    assert_eq!(page(r#"{"items":[],"page_after":null}"#, Some("page=x")).next, None);
    let older = page(r#"{"items":[],"has_more":true}"#, None);
    assert_eq!(older.next.as_deref(), Some("page_num=1"));
    assert_eq!(page(r#"{"items":[],"has_more":true}"#, Some("page_num=1")).next.as_deref(), Some("page_num=2"));
    assert_eq!(query_of("page_num=2"), ("page_num", "2".to_owned()));
    assert_eq!(page(r#"{"items":[],"has_more":false}"#, Some("page_num=2")).next, None);
    assert!(list_page(&answer(200, r#"{"has_more":true}"#), None).is_err());
}

#[test]
fn a_token_ends_when_it_says_in_their_way_of_writing_times() {
    let ends = |body: &str| token(&answer(201, body), Time::UNIX_EPOCH).unwrap().ends_at.map(|it| it.to_rfc3339());
    let said = ends(r#"{"expires_at":"2021-10-26T06:38:13+0000","token":"t"}"#);
    assert_eq!(said.as_deref(), Some("2021-10-26T06:38:13+00:00"));
    assert_eq!((ends(r#"{"token":"t"}"#), ends(r#"{"token":"t","expires_at":"soon"}"#)), (None, None));
    assert!(token(&answer(201, r#"{"token":""}"#), Time::UNIX_EPOCH).is_err());
}

#[test]
fn a_simulated_event_is_read_as_what_it_was_made_from() {
    let made = Report {
        reference: Some(ProviderRef::new("acct_1:7f687fe6").unwrap()),
        our_reference: Some("01990000-0000-7000-8000-000000000001".to_owned()),
        verdict: Verdict::Completed,
        word: "ACTIVE".to_owned(),
        iban: Some("GB06MODR00000003345102".to_owned()),
        bic: Some("MODRGB21".to_owned()),
        reason: None,
    };
    assert_eq!(parse(&simulate(&made), OnBehalfOf::Profile), Parsed::Reports(vec![made.clone()]));
    let plain = Report { reference: Some(ProviderRef::new("7f687fe6").unwrap()), ..made };
    assert_eq!(parse(&simulate(&plain), OnBehalfOf::None), Parsed::Reports(vec![plain]));
}
