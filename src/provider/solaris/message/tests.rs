use axum::http::{HeaderMap, StatusCode};

use super::super::SIGNATURE;
use super::*;
use crate::provider::VerifyError;
use crate::provider::signature::RawKey;

const EVENT: &str = r#"{"account_opening_request_id":"f8d7fbbd587047a0aa449ce69d2d6c08aorq","customer_id":"b109ee6f66d2a061e006bd31c6455df2cper","status":"COMPLETED","account_id":"c5a0e32369e9372e0fdf490294cecd8dcacc","updated_at":"2021-12-22T15:05:33.634+00:00","error":{"code":"green_person_vetting","detail":"CustomerVettingStatus for person has to be 'green' to open an account."}}"#;

fn report(kind: Option<&str>, body: &str) -> Report {
    match parse(kind, body.as_bytes()) {
        Parsed::Reports(mut reports) if reports.len() == 1 => reports.remove(0),
        other => panic!("{other:?}"),
    }
}

/// By OpenSSL, by the scheme that third parties document: Solaris publishes no known answer.
#[test]
fn the_signature_covers_every_byte_of_the_body_and_nothing_else() {
    let keys = ["another-secret", "solaris-webhook-secret"].map(|it| RawKey::of_text(it).unwrap());
    let mut headers = HeaderMap::new();
    let signature = "sha256=595700273a974aa1e6ab3bb1a65d10046f3de20640179b77c1acacd99cec938c";
    headers.insert("Solaris-Webhook-Signature", signature.parse().unwrap());
    let verify = |body: &[u8]| SIGNATURE.verify(&keys, &headers, &[body]);
    assert_eq!(verify(EVENT.as_bytes()), Ok(1));
    for at in 0..EVENT.len() {
        let mut changed = EVENT.as_bytes().to_vec();
        changed[at] ^= 1;
        assert_eq!(verify(&changed), Err(VerifyError::Wrong), "byte {at}");
    }
}

fn answer(body: &str) -> Answer {
    Answer { status: StatusCode::OK, body: body.as_bytes().to_vec(), retry_after: None }
}

#[test]
fn the_documented_event_is_a_completion_without_an_account_with_any_error() {
    for kind in [Some(ACCOUNT_OPENING_REQUEST), None] {
        let it = report(kind, EVENT);
        assert_eq!((it.verdict, it.iban, it.bic), (Verdict::Completed, None, None));
        assert_eq!(it.reference.unwrap().as_str(), "f8d7fbbd587047a0aa449ce69d2d6c08aorq");
    }
    let rejected = EVENT.replace("COMPLETED", "REJECTED");
    assert_eq!(report(None, &rejected).reason.as_deref(), Some("green_person_vetting"));
    let plain = r#"{"account_opening_request_id":"a","status":"REJECTED","error":null}"#;
    assert_eq!(report(None, plain).reason, None);
}

#[test]
fn a_status_decides_alone_and_an_unknown_one_is_not_guessed_at() {
    for (status, expected) in [
        ("INITIATED", Verdict::Started),
        ("IN_PROGRESS", Verdict::Pending),
        ("COMPLETED", Verdict::Completed),
        ("REJECTED", Verdict::Rejected),
        ("completed", Verdict::Unknown),
        ("SUCCEEDED", Verdict::Unknown),
        ("", Verdict::Unknown),
    ] {
        assert_eq!(verdict(status), expected, "{status}");
    }
}

#[test]
fn a_message_without_an_opening_request_is_of_no_concern_unless_its_type_says_so() {
    for body in ["{}", r#"{"id":"x","status":"DONE"}"#] {
        assert_eq!(parse(Some("SCA_CHALLENGE"), body.as_bytes()), Parsed::Ignored("unknown_type"));
        assert_eq!(parse(None, body.as_bytes()), Parsed::Ignored("unknown_type"));
        assert!(matches!(parse(Some(ACCOUNT_OPENING_REQUEST), body.as_bytes()), Parsed::Unreadable(_)));
    }
    for body in [
        "",
        "[]",
        "no",
        r#"{"account_opening_request_id":7}"#,
        r#"{"account_opening_request_id":"a"}"#,
        r#"{"account_opening_request_id":"a\u0000","status":"X"}"#,
        r#"{"account_opening_request_id":"","status":"X"}"#,
    ] {
        assert!(matches!(parse(None, body.as_bytes()), Parsed::Unreadable(_)), "{body}");
    }
}

#[test]
fn a_look_up_brings_the_account_and_a_missing_one_stays_missing() {
    let body = r#"{"id":"aorq_1","customer_id":"c","customer_type":"Person","status":"COMPLETED","product_name":"p",
        "account_type":"CHECKING_PERSONAL","account_purpose":"primary","account_bic":"SOBKDEB2XXX","account_currency":"EUR",
        "rejection_reason":{"failed_validation":"green_person_vetting","details":"for people"},"account_id":"a",
        "iban":"DE49110101013998767672","created_at":"2021-12-22T15:05:33.634+00:00","updated_at":"x","new":[]}"#;
    let it = answer(body).json::<OpeningRequest>().unwrap().into_report().unwrap();
    assert_eq!((it.verdict, it.iban.as_deref()), (Verdict::Completed, Some("DE49110101013998767672")));
    assert_eq!((it.bic.as_deref(), it.reason.as_deref()), (Some("SOBKDEB2XXX"), Some("green_person_vetting")));
    let bare = answer(r#"{"id":"aorq_1","status":"INITIATED","iban":null,"rejection_reason":null}"#);
    let it = bare.json::<OpeningRequest>().unwrap().into_report().unwrap();
    assert_eq!((it.verdict, it.iban, it.reason), (Verdict::Started, None, None));
}

#[test]
fn a_token_may_come_with_any_life() {
    let life = |text: &str| {
        let body = format!(r#"{{"access_token":"7Tosi","scope":"partners","token_type":"bearer"{text}}}"#);
        let token = token(&answer(&body), Time::UNIX_EPOCH).unwrap();
        token.ends_at.map(|it| (it - Time::UNIX_EPOCH).num_seconds())
    };
    assert_eq!((life(r#","expires_in":3599"#), life(r#","expires_in":0"#)), (Some(3_599), Some(0)));
    for odd in ["", r#","expires_in":null"#, r#","expires_in":"3599""#, r#","expires_in":9223372036854775807"#] {
        assert_eq!(life(odd), None, "{odd}");
    }
    for wrong in ["{}", r#"{"access_token":""}"#, "<html>"] {
        assert!(token(&answer(wrong), Time::UNIX_EPOCH).is_err(), "{wrong}");
    }
}

#[test]
fn an_error_has_a_code_only_in_the_banks_form() {
    let body =
        r#"{"errors":[{"id":"84b6bex","status":400,"code":"invalid_model","title":"Invalid Model","detail":"…"}]}"#;
    assert_eq!(error_code(body.as_bytes()).as_deref(), Some("invalid_model"));
    for other in ["", "[]", "{}", r#"{"code":"x"}"#, r#"{"errors":[]}"#, r#"{"errors":[{"code":"two words"}]}"#] {
        assert_eq!(error_code(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn products_are_by_market_and_customer() {
    let name = |market, kind| product(market, kind).map(|it| (it.customer_type, it.name, it.account_type));
    let expected = ("Person", "CURRENT_ACCOUNT_CONSUMER_GERMANY".to_owned(), "CHECKING_PERSONAL");
    assert_eq!(name("DE", CustomerType::Individual), Some(expected));
    let expected = ("Person", "CURRENT_ACCOUNT_FREELANCER_FRANCE".to_owned(), "CHECKING_SOLE_PROPRIETOR");
    assert_eq!(name("FR", CustomerType::Freelancer), Some(expected));
    let expected = ("Business", "CURRENT_ACCOUNT_BUSINESS_SPAIN".to_owned(), "CHECKING_BUSINESS");
    assert_eq!(name("ES", CustomerType::Company), Some(expected));
    assert_eq!(name("NL", CustomerType::Company), None);
}

#[test]
fn a_simulated_event_is_read_as_what_it_was_made_from() {
    let made = Report {
        reference: Some(ProviderRef::new("aorq_1").unwrap()),
        our_reference: Some("01990000-0000-7000-8000-000000000001".to_owned()),
        verdict: Verdict::Completed,
        word: "COMPLETED".to_owned(),
        iban: Some("DE49110101013998767672".to_owned()),
        bic: Some("SOBKDEB2XXX".to_owned()),
        reason: None,
    };
    let body = simulate(&made);
    assert_eq!(report(None, std::str::from_utf8(&body).unwrap()), made);
    let synonym = Report { word: "SUCCEEDED".to_owned(), ..made.clone() };
    assert_eq!(simulate(&synonym), body, "words are the bank's own");
}
