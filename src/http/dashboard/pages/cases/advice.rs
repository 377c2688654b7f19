//! Advice about a case: the class that its kind suggests, and the steps.

use serde_json::Value;

use crate::db::cases::Origin;
use crate::domain::CaseKind;
use crate::domain::compare::Class;

/// The suggestion that stands on a case's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    pub class: String,
    pub because: Vec<String>,
    pub steps: Vec<String>,
}

impl Suggestion {
    /// Of a report's mismatch, which has its own; else of the kind that `decide` gave the case.
    #[must_use]
    pub fn of(kind: &str, origin: Option<&Origin>) -> Self {
        match origin {
            Some(origin) => Self::of_mismatch(origin),
            None => Self::of_kind(kind.parse().ok()),
        }
    }

    fn of_mismatch(origin: &Origin) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let because = origin.suggested["because"].as_array().cloned().unwrap_or_default();
        let steps = text(&origin.suggested["action"]).into_iter();
        Self {
            class: text(&origin.suggested["class"]).unwrap_or_else(|| origin.class.clone()).to_ascii_lowercase(),
            because: because.iter().filter_map(text).collect(),
            steps: steps
                .chain([
                    "Resolve the case if no later file closes it, with the provider's answer as evidence.".to_owned()
                ])
                .collect(),
        }
    }

    fn of_kind(kind: Option<CaseKind>) -> Self {
        let class = kind.and_then(class).map_or_else(String::new, |it| it.as_str().to_owned());
        Self { class, because: Vec::new(), steps: steps(kind).iter().map(|it| (*it).to_owned()).collect() }
    }
}

/// The class of the opening's comparison that fits the kind. None: none of them is about it.
const fn class(kind: CaseKind) -> Option<Class> {
    match kind {
        CaseKind::ConflictingAnswer => Some(Class::ConflictingAnswer),
        CaseKind::InvalidIban | CaseKind::InvalidBic => Some(Class::AccountDiffers),
        CaseKind::IbanHeldElsewhere | CaseKind::ReferenceHeldElsewhere => Some(Class::HeldElsewhere),
        CaseKind::CorrelationMismatch | CaseKind::SecondReference => Some(Class::CorrelationMismatch),
        CaseKind::SecondProfile | CaseKind::SecondCard => None,
    }
}

const fn steps(kind: Option<CaseKind>) -> &'static [&'static str] {
    match kind {
        Some(CaseKind::ConflictingAnswer) => &[
            "Ask the bank which of its two answers holds, by the tracking id.",
            "Tell the customer nothing until the bank has confirmed it.",
            "The first answer stays in force here. Have the bank undo the other; if the bank insists on it, tell the customer.",
        ],
        Some(CaseKind::InvalidIban | CaseKind::InvalidBic) => &[
            "Ask the bank for the account in writing: what it sent fails the check, and was not saved.",
            "Resolve the opening with the account that the bank confirms.",
        ],
        Some(CaseKind::IbanHeldElsewhere | CaseKind::ReferenceHeldElsewhere) => &[
            "Look at both openings: the field “held by” names the other one.",
            "Ask the bank which of the two requests the account belongs to.",
            "Tell neither customer an IBAN before the bank has answered.",
        ],
        Some(CaseKind::CorrelationMismatch) => {
            &["Ask the bank which request its message belongs to.", "It changed neither of the two openings."]
        }
        Some(CaseKind::SecondReference) => &[
            "Ask the bank whether both tracking ids are accounts under way.",
            "If so, have the bank cancel the second request: its tracking id is the one on the provider's side here.",
        ],
        Some(CaseKind::SecondProfile) => {
            &["Ask the profile service to remove the second profile.", "The opening goes on with the first."]
        }
        Some(CaseKind::SecondCard) => {
            &["Ask the card issuer to cancel the second card.", "The opening keeps the first."]
        }
        None => &["Compare both sides with the provider, and resolve the case with its answer."],
    }
}

/// Fields of the other side that this kind is about, also where our side says nothing.
#[must_use]
pub fn subjects(kind: &str) -> &'static [&'static str] {
    match kind.parse() {
        Ok(CaseKind::InvalidIban | CaseKind::IbanHeldElsewhere) => &["iban"],
        Ok(CaseKind::InvalidBic) => &["bic"],
        Ok(CaseKind::ReferenceHeldElsewhere | CaseKind::SecondReference) => &["provider_reference"],
        Ok(CaseKind::ConflictingAnswer) => &["status"],
        Ok(CaseKind::CorrelationMismatch) => &["reference"],
        Ok(CaseKind::SecondProfile) => &["profile_id"],
        Ok(CaseKind::SecondCard) => &["card_id"],
        Err(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_case_has_its_steps_and_the_fields_that_it_is_about() {
        for kind in CaseKind::ALL {
            assert!(steps(Some(*kind)).len() >= 2 && !subjects(kind.as_str()).is_empty(), "{kind}");
        }
        assert_eq!(steps(None).len(), 1);
    }

    #[test]
    fn a_mismatch_brings_its_own_suggestion() {
        let suggested = json!({"class": "IBAN_MISMATCH", "because": ["both completed"], "action": "ask the bank"});
        let origin = Origin {
            mismatch: uuid::Uuid::nil(),
            class: "IBAN_MISMATCH".to_owned(),
            differences: json!([]),
            suggested,
        };
        let suggestion = Suggestion::of("iban_mismatch", Some(&origin));
        assert_eq!((suggestion.class.as_str(), suggestion.because.len()), ("iban_mismatch", 1));
        assert_eq!(suggestion.steps[0], "ask the bank");
    }
}
