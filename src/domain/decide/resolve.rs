//! Decisions of an operator. An operator's decision is a fact like any other: the first terminal answer that is applied
//! wins.

use serde_json::json;

use super::draft::Draft;
use crate::domain::effect::{CaseKind, Outcome};
use crate::domain::ids::{ActId, ProviderRef};
use crate::domain::opening::{Account, Ending, State, StateName, Wait};
use crate::domain::resolution::Resolution;

impl Draft<'_> {
    /// Ends the opening as the operator decided. If the opening has already ended differently, opens a case; if the
    /// state does not allow it, changes nothing.
    pub fn resolved(&mut self, act: ActId, resolution: &Resolution, reason: &str) {
        match &self.opening.state {
            State::IssuingCard(_) | State::Completed(..) | State::Rejected(_) | State::Failed(_) => {
                return self.resolved_again(act, resolution, reason);
            }
            state if resolution.refused_by(state).is_some() => return self.outcome = Outcome::Superseded,
            _ => {}
        }
        // Operators' reasons can be erased and history cannot, so history stores only the id of the act.
        let detail = format!("by an operator, act {act}");
        match resolution {
            Resolution::Rejected => {
                let ending = self.ending(reason);
                self.enter(State::Rejected(ending), Some(detail));
            }
            Resolution::Failed => {
                let ending = self.ending(reason);
                self.enter(State::Failed(ending), Some(detail));
            }
            Resolution::Completed { iban, bic, provider_reference } => {
                self.account_found(iban, bic, provider_reference.as_ref(), &detail);
            }
        }
    }

    /// The opening has ended already: the same decision is a duplicate, a different one opens a case, as if the
    /// provider had sent it.
    fn resolved_again(&mut self, act: ActId, resolution: &Resolution, reason: &str) {
        let said = |word: &str| json!({"status": word, "act": act, "reason": reason});
        self.outcome = Outcome::Duplicate;
        match (resolution, self.opening.state.name()) {
            (Resolution::Rejected, StateName::Rejected) | (Resolution::Failed, StateName::Failed) => {}
            (Resolution::Completed { iban, bic, provider_reference }, _) => {
                if self.is_under(provider_reference.as_ref()) {
                    let theirs = json!({"status": "completed", "iban": iban, "bic": bic, "act": act, "reason": reason});
                    self.completed_again(Some(iban), Some(bic), theirs);
                }
            }
            (Resolution::Rejected, _) => self.contradicted("rejected", said("rejected")),
            (Resolution::Failed, _) => self.contradicted("failed", said("failed")),
        }
    }

    fn ending(&self, reason: &str) -> Ending {
        let state = &self.opening.state;
        Ending { profile: state.profile().cloned(), reference: state.reference().cloned(), reason: reason.to_owned() }
    }

    /// Saves the account or makes no step at all: a value that disagrees with a saved one opens a case.
    fn account_found(&mut self, iban: &str, bic: &str, reference: Option<&ProviderRef>, detail: &str) {
        let Some(wait) = self.wait_of(reference) else { return };
        let Some((iban, bic)) = self.usable_account(Some(iban), Some(bic)) else { return };
        if matches!(self.opening.state, State::RequestingAccount { .. }) {
            self.enter(State::AwaitingProvider(wait.clone()), Some(detail.to_owned()));
        }
        self.enter(State::IssuingCard(Account { wait, iban, bic }), Some(detail.to_owned()));
    }

    /// The wait that the account ends: the current one, or one that starts with the operator's tracking id.
    fn wait_of(&mut self, said: Option<&ProviderRef>) -> Option<Wait> {
        let state = &self.opening.state;
        let profile = state.profile()?.clone();
        let held = state.reference().cloned();
        if !self.is_under(said) {
            return None;
        }
        match (held, said) {
            (Some(reference), _) => Some(Wait { profile, reference }),
            (None, Some(said)) => self.is_free(said).then(|| Wait { profile, reference: said.clone() }),
            (None, None) => None,
        }
    }

    /// Whether the operator's tracking id agrees with the saved one (or none was given); otherwise opens a case.
    fn is_under(&mut self, said: Option<&ProviderRef>) -> bool {
        let held = self.opening.state.reference().cloned();
        match (held, said) {
            (Some(held), Some(said)) if held != *said => {
                let (ours, theirs) = (json!({"provider_reference": held}), json!({"provider_reference": said}));
                self.conflict(CaseKind::SecondReference, said.to_string(), ours, theirs);
                false
            }
            _ => true,
        }
    }
}
