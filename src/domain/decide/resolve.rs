//! What an operator decides, where no machine can. It is a fact like another: the first terminal answer that is applied wins.

use serde_json::json;

use super::draft::Draft;
use crate::domain::effect::{CaseKind, Outcome};
use crate::domain::ids::{ActId, ProviderRef};
use crate::domain::opening::{Account, Ending, State, StateName, Wait};
use crate::domain::resolution::Resolution;

impl Draft<'_> {
    /// Ends the opening as the operator says, or changes nothing where it has ended or cannot end so: another end than the
    /// one that is held is a case.
    pub fn resolved(&mut self, act: ActId, resolution: &Resolution, reason: &str) {
        match &self.opening.state {
            State::IssuingCard(_) | State::Completed(..) | State::Rejected(_) | State::Failed(_) => {
                return self.resolved_again(act, resolution, reason);
            }
            state if resolution.refused_by(state).is_some() => return self.outcome = Outcome::Superseded,
            _ => {}
        }
        // The operator's own words are erasable, history is not: it names the act.
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

    /// It is decided: the same again says nothing new, and another end is put before a person, as if the provider had said it.
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

    /// All of it or nothing: what disagrees with what is held becomes a case, and then no step is made.
    fn account_found(&mut self, iban: &str, bic: &str, reference: Option<&ProviderRef>, detail: &str) {
        let Some(wait) = self.wait_of(reference) else { return };
        let Some((iban, bic)) = self.usable_account(Some(iban), Some(bic)) else { return };
        if matches!(self.opening.state, State::RequestingAccount { .. }) {
            self.enter(State::AwaitingProvider(wait.clone()), Some(detail.to_owned()));
        }
        self.enter(State::IssuingCard(Account { wait, iban, bic }), Some(detail.to_owned()));
    }

    /// The wait that the account ends: the one that is held, or the one that the operator's tracking id begins.
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

    /// Whether the opening holds the tracking id that was said, or none; else it is put before a person.
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
