//! The ways in which an operator can end an opening, and the states that allow each.

use serde::{Deserialize, Serialize};

use super::ids::ProviderRef;
use super::opening::{State, StateName};

/// An operator's decision about an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// The provider refused, but the answer never reached us.
    Rejected,
    /// The opening is given up.
    Failed,
    /// The account is open, but the answer never reached us.
    Completed {
        /// The account's IBAN, unchecked.
        iban: String,
        /// The account's BIC, unchecked.
        bic: String,
        /// The provider's tracking id, if we do not know it.
        provider_reference: Option<ProviderRef>,
    },
}

impl Resolution {
    /// The first state that the decision leads to.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self {
            Self::Rejected => StateName::Rejected,
            Self::Failed => StateName::Failed,
            Self::Completed { .. } => StateName::IssuingCard,
        }
    }

    /// Why the decision is not possible in this state. None: it is possible.
    #[must_use]
    pub fn refused_by(&self, state: &State) -> Option<&'static str> {
        let name = state.name();
        if matches!(name, StateName::IssuingCard) || name.is_terminal() {
            return Some("the opening has already ended");
        }
        match self {
            Self::Completed { provider_reference, .. } if name == StateName::RequestingAccount => {
                provider_reference.is_none().then_some("the tracking id is not known; give it as provider_reference")
            }
            _ if name.may_become().contains(&self.state()) => None,
            _ => Some("the provider was not asked yet, so the only possible outcome is failed"),
        }
    }
}
