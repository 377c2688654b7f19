//! `NexusBank`'s answer to the legacy call: the decision, without a tracking id.

use serde::Deserialize;

use crate::domain::bank::{Bic, Iban};
use crate::domain::{ProviderRef, Report, Verdict};
use crate::outbound::json::{Prose, sanitize};
use crate::outbound::{Answer, CallError};

#[derive(Deserialize)]
struct Decided {
    account_id: Option<String>,
    status: String,
    iban: Option<String>,
    bic: Option<String>,
    rejection_reason: Option<Prose>,
}

/// Parses the answer; the account's id replaces the tracking id.
///
/// # Errors
/// An unusable account or a status that is not final is unusable: the account may be open all the same, and a repeat
/// with the same key asks again.
pub fn read_account(answer: &Answer) -> Result<Report, CallError> {
    let Decided { account_id, status, iban, bic, rejection_reason } = answer.json()?;
    let id = account_id.map(ProviderRef::new).transpose();
    let reference = id.map_err(|why| CallError::unusable(format!("account_id {why}")))?;
    let verdict = match status.as_str() {
        "COMPLETED" => Verdict::Completed,
        "REJECTED" => Verdict::Rejected,
        _ => return Err(CallError::unusable("a blocking call was answered without a decision")),
    };
    let usable = |text: Option<&String>, check: fn(&str) -> bool| text.is_some_and(|text| check(text));
    if verdict == Verdict::Completed {
        let missing = [
            ("account_id", reference.is_some()),
            ("iban", usable(iban.as_ref(), |text| Iban::parse(text).is_ok())),
            ("bic", usable(bic.as_ref(), |text| Bic::parse(text).is_ok())),
        ];
        if let Some((field, _)) = missing.into_iter().find(|(_, there)| !there) {
            return Err(CallError::unusable(format!("an account without a usable {field}")));
        }
    }
    let some = |text: Option<String>| text.filter(|it| !it.is_empty()).map(|it| sanitize(&it));
    Ok(Report {
        reference,
        our_reference: None,
        verdict,
        word: status,
        iban: some(iban),
        bic: some(bic),
        reason: some(rejection_reason.map(|it| it.0)),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn read(body: &str) -> Result<Report, CallError> {
        read_account(&Answer { status: StatusCode::CREATED, body: body.as_bytes().to_vec(), retry_after: None })
    }

    #[test]
    fn an_account_is_final_with_its_id_in_the_place_of_a_tracking_id() {
        let it =
            read(r#"{"account_id":"acc_1","iban":"BE68539007547034","bic":"NEXUBEBB","status":"COMPLETED","new":1}"#);
        let it = it.unwrap();
        assert_eq!((it.verdict, it.reference.unwrap().as_str()), (Verdict::Completed, "acc_1"));
        assert_eq!((it.iban.as_deref(), it.bic.as_deref()), (Some("BE68539007547034"), Some("NEXUBEBB")));
    }

    #[test]
    fn a_final_no_needs_no_id() {
        let it = read(r#"{"status":"REJECTED","rejection_reason":"risk"}"#).unwrap();
        assert_eq!((it.verdict, it.reference, it.reason.as_deref()), (Verdict::Rejected, None, Some("risk")));
    }

    #[test]
    fn an_incomplete_decision_may_still_have_opened_an_account() {
        for body in [
            r#"{"status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","status":"COMPLETED","bic":"NEXUBEBB"}"#,
            r#"{"account_id":"acc_1","status":"COMPLETED","iban":"BE68539007547034"}"#,
            r#"{"iban":"BE68539007547034","bic":"NEXUBEBB","status":"COMPLETED"}"#,
            r#"{"account_id":"","iban":"BE68539007547034","bic":"NEXUBEBB","status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","iban":"BE00539007547034","bic":"NEXUBEBB","status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","iban":"BE99714307121340","bic":"NEXUBEBB","status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","iban":"BE57ABCDEFGHIJKL","bic":"NEXUBEBB","status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","iban":"BE68539007547034","bic":"NEXU","status":"COMPLETED"}"#,
            r#"{"account_id":"acc_1","status":"IN_PROGRESS"}"#,
            "{}",
            "<html>",
        ] {
            let error = read(body).unwrap_err();
            assert_eq!((error.class(), error.is_indeterminate()), ("unusable", true), "{body}");
        }
    }
}
