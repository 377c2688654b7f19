//! The validated request to the sandbox.

use crate::domain::bank::made_up_iban;
use crate::domain::text::{self, form, string_enum};
use crate::domain::{Opening, ProviderRef, Report, Verdict};
use crate::http::internal::fields::{Takes, body};
use crate::http::internal::forms::text_form;

/// The BIC of generated IBANs.
const BIC: &str = "NEXUBEBB";

/// The maximum length of texts, in characters. An invalid IBAN is allowed, so that integrators can test it.
const MAX_TEXT: usize = 200;

string_enum!(
    /// The provider's status words.
    SandboxStatus {
        /// Received, not worked on yet.
        Initiated = "INITIATED",
        /// The provider is working on it.
        InProgress = "IN_PROGRESS",
        /// The account is open.
        Completed = "COMPLETED",
        /// A synonym of `COMPLETED`.
        Succeeded = "SUCCEEDED",
        /// The provider's final refusal.
        Rejected = "REJECTED",
    }
);

impl SandboxStatus {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Initiated => Verdict::Started,
            Self::InProgress => Verdict::Pending,
            Self::Completed | Self::Succeeded => Verdict::Completed,
            Self::Rejected => Verdict::Rejected,
        }
    }
}

body!(
    /// The provider's message to simulate.
    SetStatus {
        /// The provider's tracking id, or our id of the opening, which has the same form.
        account_opening_request_id: ProviderRef,
        /// The provider's status word.
        status: SandboxStatus,
        /// The IBAN; generated for a completion if absent.
        iban: Option<SandboxText>,
        /// The BIC; generated for a completion if absent.
        bic: Option<SandboxText>,
        /// The reason of a rejection.
        rejection_reason: Option<SandboxText>,
    }
);

impl SetStatus {
    /// The simulated report about `opening`. An empty text is sent unchanged, to test a completion without an account.
    #[must_use]
    pub fn report(self, opening: &Opening) -> Report {
        let completed = self.status.verdict() == Verdict::Completed;
        let made_up = || made_up_iban(&opening.request.market, opening.id.0.as_u128()).as_str().to_owned();
        Report {
            reference: opening.state.reference().cloned(),
            our_reference: Some(opening.id.to_string()),
            verdict: self.status.verdict(),
            word: self.status.to_string(),
            iban: self.iban.or_else(|| completed.then(made_up)),
            bic: self.bic.or_else(|| completed.then(|| BIC.to_owned())),
            reason: self.rejection_reason,
        }
    }
}

/// A text of the message; it may be empty.
pub enum SandboxText {}
text_form!(SandboxText => String, text);
form!(SandboxText, text::text().max_length(Some(MAX_TEXT)));

fn text(text: &str) -> Result<String, Takes> {
    if text.chars().nth(MAX_TEXT).is_some() {
        return Err(format!("must be at most {MAX_TEXT} characters long"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::internal::fields;
    use crate::http::problem::Kind;

    fn read(body: &Value) -> Result<SetStatus, (Kind, Vec<String>)> {
        fields::read::<SetStatus>(body)
            .map_err(|error| (error.kind(), error.errors().iter().map(|it| it.pointer.clone()).collect()))
    }

    #[test]
    fn only_the_providers_words_are_said() {
        for word in ["INITIATED", "IN_PROGRESS", "COMPLETED", "SUCCEEDED", "REJECTED"] {
            assert!(read(&json!({"account_opening_request_id": "aor_1", "status": word, "iban": null})).is_ok());
        }
        for wrong in [json!("completed"), json!("DONE"), json!(1), json!(null)] {
            let (kind, pointers) = read(&json!({"account_opening_request_id": "aor_1", "status": wrong})).unwrap_err();
            assert_eq!((kind, pointers), (Kind::ValidationFailed, vec!["/status".to_owned()]));
        }
        assert_eq!(read(&json!({})).unwrap_err().1.len(), 2);
        assert_eq!(read(&json!({"id": "aor_1"})).unwrap_err().0, Kind::UnknownField);
    }
}
