//! Reasons and evidence of acts: an act without a reason is refused.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::{self, Takes, Wrong};
use crate::domain::text::{self as forms, form};
use crate::http::problem::ApiError;

/// The maximum length of a reason, in characters.
const MAX_REASON: usize = 500;
/// The maximum length of evidence, in characters.
const MAX_EVIDENCE: usize = 2_000;

/// The body of an act that only needs a reason.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, of which only the text is kept")]
pub struct Reason {
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
}

/// The schema of [`reason`].
pub enum ReasonText {}
form!(ReasonText, forms::line(MAX_REASON).examples(["the provider repaired its answer"]));

/// The schema of [`evidence`].
pub enum EvidenceText {}
form!(EvidenceText, forms::lines(MAX_EVIDENCE).examples(["e-mail of the bank of 3 January"]));

/// Parses the body of an act with only a reason.
///
/// # Errors
/// 400 `unknown-field`, 422 `validation-failed`.
pub fn read(body: &Map<String, Value>) -> Result<String, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason);
    wrong.or(reason)
}

/// A reason of one line.
///
/// # Errors
/// The requirement.
pub fn reason(text: &str) -> Result<String, Takes> {
    fields::text(text, MAX_REASON)
}

/// Evidence: one or more lines.
///
/// # Errors
/// The requirement.
pub fn evidence(text: &str) -> Result<String, Takes> {
    let lines = text.replace(['\n', '\r', '\t'], " ");
    fields::text(&lines, MAX_EVIDENCE).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::problem::Kind;

    #[test]
    fn an_act_has_a_reason_of_1_to_500_characters() {
        let read = |body: Value| read(body.as_object().unwrap()).map_err(|error| error.kind());
        assert_eq!(read(json!({"reason": "fixed"})), Ok("fixed".to_owned()));
        for wrong in [json!({}), json!({"reason": ""}), json!({"reason": 1}), json!({"reason": "x".repeat(501)})] {
            assert_eq!(read(wrong), Err(Kind::ValidationFailed));
        }
        assert_eq!(read(json!({"reason": "fixed", "why": "x"})), Err(Kind::UnknownField));
    }

    #[test]
    fn evidence_may_have_lines_and_nothing_that_the_database_does_not_take() {
        assert_eq!(evidence("From: bank\n\tit is open").as_deref(), Ok("From: bank\n\tit is open"));
        assert!(evidence(&"é".repeat(2_000)).is_ok() && evidence(&"x".repeat(2_001)).is_err());
        assert!(["", " \n", "a\u{0}", "a\u{7f}"].iter().all(|it| evidence(it).is_err()));
    }
}
