//! Reasons and evidence of acts, with their limits: an act without a reason is refused. REST and pages read both by this check.

use crate::domain::text::{self, form};

/// The maximum length of a reason, in characters.
const MAX_REASON: usize = 500;
/// The maximum length of evidence, in characters.
const MAX_EVIDENCE: usize = 2_000;

/// The form of a [`reason`].
pub enum ReasonText {}
form!(ReasonText, text::line(MAX_REASON).examples(["the provider repaired its answer"]));

/// The form of [`evidence`].
pub enum EvidenceText {}
form!(EvidenceText, text::lines(MAX_EVIDENCE).examples(["e-mail of the bank of 3 January"]));

/// A reason of one line.
///
/// # Errors
/// The requirement.
pub fn reason(text: &str) -> Result<String, String> {
    text::check_line(text, MAX_REASON)
}

/// Evidence: one or more lines.
///
/// # Errors
/// The requirement.
pub fn evidence(text: &str) -> Result<String, String> {
    text::check_lines(text, MAX_EVIDENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_may_have_lines_and_nothing_that_the_database_does_not_take() {
        assert_eq!(evidence("From: bank\n\tit is open").as_deref(), Ok("From: bank\n\tit is open"));
        assert!(evidence(&"é".repeat(2_000)).is_ok() && evidence(&"x".repeat(2_001)).is_err());
        assert!(["", " \n", "a\u{0}", "a\u{7f}"].iter().all(|it| evidence(it).is_err()));
    }
}
