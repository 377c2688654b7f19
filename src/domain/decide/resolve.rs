//! What an operator decides, where no machine can. It is a fact like another: the first terminal answer that is applied wins.

use serde_json::json;

use super::draft::Draft;
use crate::domain::effect::{CaseKind, Outcome};
use crate::domain::ids::{ActId, ProviderRef};
use crate::domain::opening::{Account, Ending, State, Wait};
use crate::domain::resolution::Resolution;

impl Draft<'_> {
    /// Ends the opening as the operator says, or changes nothing where it has ended or cannot end so.
    pub fn resolved(&mut self, act: ActId, resolution: &Resolution, reason: &str) {
        if resolution.refused_by(&self.opening.state).is_some() {
            self.outcome = Outcome::Superseded;
            return;
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
        match (state.reference().cloned(), said) {
            (Some(held), Some(said)) if held != *said => {
                let (ours, theirs) = (json!({"provider_reference": held}), json!({"provider_reference": said}));
                self.conflict(CaseKind::SecondReference, said.to_string(), ours, theirs);
                None
            }
            (Some(reference), _) => Some(Wait { profile, reference }),
            (None, Some(said)) => self.is_free(said).then(|| Wait { profile, reference: said.clone() }),
            (None, None) => None,
        }
    }
}
