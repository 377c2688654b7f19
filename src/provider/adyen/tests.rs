//! Words, events and signatures, without a network.

use axum::http::HeaderMap;

use super::message::{parse, simulate};
use super::*;
use crate::domain::Verdict;
use crate::provider::BicsByMarket;
use crate::settings::Checker;

const KEY: &str = "11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB";
/// The official example: an account number that was made by hand.
const EXAMPLE: &str = r#"{"data":{"balancePlatform":"YOUR_BALANCE_PLATFORM","paymentInstrument":{"balanceAccountId":"BA00000000000000000001","issuingCountryCode":"NL","status":"active","type":"bankAccount","bankAccount":{"type":"iban","iban":"NL11ADYB00000000"},"id":"PI00000000000000000001"}},"environment":"test","timestamp":"2026-03-24T09:30:12+01:00","type":"balancePlatform.paymentInstrument.created"}"#;
const OURS: &str = r#"{"data":{"balancePlatform":"YOUR_BALANCE_PLATFORM","paymentInstrument":{"balanceAccountId":"BA3227C223222B5CTBLR8BWJB","issuingCountryCode":"NL","status":"active","type":"bankAccount","reference":"01990000-0000-7000-8000-000000000001","bankAccount":{"type":"iban","iban":"NL20ADYB2017000035"},"id":"PI322LJ223222B5DJS7CD9LWL"}},"environment":"test","timestamp":"2026-03-24T09:30:12+01:00","type":"balancePlatform.paymentInstrument.created"}"#;

fn bics() -> BicsByMarket {
    let mut check = Checker::default();
    let bics = BicsByMarket::check(&mut check, "ADYEN_BICS", "NL=ADYBNL2A,DE=ADYBDEB2", |_| true);
    check.finish(bics).unwrap()
}

fn parsed(body: &str) -> Parsed {
    parse(body.as_bytes(), Mode::Test, &bics())
}

fn report(body: &str) -> Report {
    match parsed(body) {
        Parsed::Reports(mut reports) if reports.len() == 1 => reports.remove(0),
        other => panic!("{other:?}"),
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec(), retry_after: None }
}

/// Known answers: Adyen's official library for Node, 32.1.0.
#[test]
fn signatures_of_the_official_library_verify_and_a_changed_byte_does_not() {
    let keys = [RawKey::of_hex(&KEY.to_lowercase().replace("11", "22")).unwrap(), RawKey::of_hex(KEY).unwrap()];
    assert_eq!((EXAMPLE.len(), OURS.len()), (381, 440));
    for (body, signature) in [
        (r#"{"a":1}"#, "LJxBur1jJ978PYPKY6GuIW+NQ23y1QlrMC5R4V+zMl0="),
        (EXAMPLE, "uvSVsV95Pizp6T0ELMF+BzPPz5MiAz5xkNolmoxifA8="),
        (OURS, "4dqKAqiIApQz8YxxqDx+lAjfL61noP9prh8XWMd5ccA="),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("HmacSignature", signature.parse().unwrap());
        let check = |body: &[u8]| SIGNATURE.verify(&keys, &headers, &[body]);
        assert_eq!(check(body.as_bytes()), Ok(1), "{signature}");
        assert_eq!(check(format!("{body} ").as_bytes()), Err(VerifyError::Wrong));
        for at in 0..body.len() {
            let mut changed = body.as_bytes().to_vec();
            changed[at] ^= 1;
            assert_eq!(check(&changed), Err(VerifyError::Wrong), "{signature}, byte {at}");
        }
        assert_eq!(SIGNATURE.sign(&keys[1], &[body.as_bytes()]), signature);
    }
    // The text of the key is not the key.
    let text = [RawKey::of_text(KEY).unwrap()];
    let mut headers = HeaderMap::new();
    headers.insert("HmacSignature", "LJxBur1jJ978PYPKY6GuIW+NQ23y1QlrMC5R4V+zMl0=".parse().unwrap());
    assert_eq!(SIGNATURE.verify(&text, &headers, &[br#"{"a":1}"#]), Err(VerifyError::Wrong));
}

#[test]
fn an_event_completes_the_opening_that_it_names_with_the_bic_of_its_country() {
    let it = report(OURS);
    assert_eq!((it.verdict, it.iban.as_deref()), (Verdict::Completed, Some("NL20ADYB2017000035")));
    assert_eq!((it.bic.as_deref(), it.word.as_str()), (Some("ADYBNL2A"), "active"));
    assert_eq!(it.our_reference.as_deref(), Some("01990000-0000-7000-8000-000000000001"));
    assert_eq!(report(&OURS.replace(".created", ".updated")).verdict, Verdict::Completed);
    let elsewhere = report(&OURS.replace(r#""NL""#, r#""BE""#));
    assert_eq!(elsewhere.bic, None, "no BIC is guessed");
}

#[test]
fn other_events_are_ignored_and_other_bodies_are_unreadable() {
    assert_eq!(parsed(EXAMPLE), Parsed::Ignored("not_ours"));
    assert_eq!(
        parsed(&OURS.replace("paymentInstrument.created", "balanceAccount.created")),
        Parsed::Ignored("unknown_type")
    );
    assert_eq!(parsed(&OURS.replace("bankAccount", "card")), Parsed::Ignored("card"));
    assert_eq!(parsed(&OURS.replace(r#""environment":"test""#, r#""environment":"live""#)), Parsed::Ignored("live"));
    assert_eq!(parse(OURS.as_bytes(), Mode::Live, &bics()), Parsed::Ignored("test"));
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"balancePlatform.paymentInstrument.created"}"#,
        r#"{"type":"balancePlatform.paymentInstrument.created","environment":"test","data":{"paymentInstrument":{"status":"active"}}}"#,
        &OURS.replace(r#""environment":"test","#, ""),
    ] {
        assert!(matches!(parsed(wrong), Parsed::Unreadable(_)), "{wrong}");
    }
}

#[test]
fn a_status_decides_and_one_that_is_missing_is_not_guessed() {
    let status = |status: &str| report(&OURS.replace(r#""status":"active""#, &format!(r#""status":{status}"#))).verdict;
    for (word, expected) in [
        (r#""inactive""#, Verdict::Pending),
        (r#""closed""#, Verdict::Rejected),
        (r#""suspended""#, Verdict::Unknown),
        (r#""requested""#, Verdict::Unknown),
        (r#""Active""#, Verdict::Unknown),
        ("null", Verdict::Unknown),
    ] {
        assert_eq!(status(word), expected, "{word}");
    }
    let uk = r#"{"id":"PI1","type":"bankAccount","status":"active","issuingCountryCode":"GB","bankAccount":{"type":"ukLocal",
        "sortCode":"042957","accountNumber":"20010731","iban":"GB68ADYX04295720010731"}}"#;
    let it: Instrument = answer(200, uk).json().unwrap();
    let it = it.into_report(&bics()).unwrap();
    assert_eq!((it.verdict, it.iban.as_deref(), it.bic), (Verdict::Completed, Some("GB68ADYX04295720010731"), None));
}

/// A page that does not say whether there is another is no end of the list: the account may be on the next.
#[test]
fn a_page_says_whether_there_is_another() {
    let page = |body: &str| answer(200, body).json::<List>().map(|it| it.has_next).map_err(|error| error.class());
    assert_eq!(page(r#"{"hasNext":true,"hasPrevious":false,"paymentInstruments":[]}"#), Ok(true));
    assert_eq!(page(r#"{"hasNext":false,"hasPrevious":false,"paymentInstruments":[]}"#), Ok(false));
    assert_eq!(page(r#"{"paymentInstruments":[]}"#), Err("unusable"));
}

/// P36
#[test]
fn an_error_says_nothing_about_the_customer_and_one_of_a_second_number_leads_to_a_look() {
    let body = r#"{"type":"https://docs.adyen.com/errors/general/invalid-field-value","title":"t","status":422,"detail":"d",
        "requestId":"1W1UI15PLVGC9V8O","errorCode":"30_031"}"#;
    let known = |status: u16, body: &str| match judge_submission(answer(status, body)) {
        Ok(Submitted::Perhaps(error)) => error,
        other => panic!("{status}: {:?}", other.map(|_| ())),
    };
    let ours = known(422, body);
    assert_eq!((ours.to_string().as_str(), ours.is_indeterminate()), ("HTTP 422: 30_031", false));
    assert_eq!((known(409, body).class(), known(422, "<html>").is_indeterminate()), ("busy", true));
    let wrong = judge_submission(answer(400, body)).map(|_| ()).unwrap_err();
    assert_eq!((wrong.class(), wrong.is_indeterminate()), ("unusable", false));
    for (status, class) in [(401, "misconfigured"), (403, "misconfigured"), (429, "throttled"), (500, "server_error")] {
        assert_eq!(judge_submission(answer(status, body)).map(|_| ()).unwrap_err().class(), class);
    }
}

#[test]
fn a_simulated_event_is_read_as_what_it_was_made_from() {
    let made = Report {
        reference: Some(ProviderRef::new("PI1").unwrap()),
        our_reference: Some("01990000-0000-7000-8000-000000000001".to_owned()),
        verdict: Verdict::Completed,
        word: "active".to_owned(),
        iban: Some("NL20ADYB2017000035".to_owned()),
        bic: Some("ADYBNL2A".to_owned()),
        reason: None,
    };
    assert_eq!(parse(&simulate(&made, Mode::Live), Mode::Live, &bics()), Parsed::Reports(vec![made]));
}
