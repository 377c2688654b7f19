//! How an operator ends an opening that no machine brings further, and when that can be.

use serde::{Deserialize, Serialize};

use super::ids::ProviderRef;
use super::opening::{State, StateName};

/// What an operator decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// The provider said no, and we did not hear it.
    Rejected,
    /// It is given up.
    Failed,
    /// The account is open, and we did not hear of it.
    Completed {
        /// Where money goes; not yet checked.
        iban: String,
        /// At which bank; not yet checked.
        bic: String,
        /// The provider's tracking id, where we do not know it.
        provider_reference: Option<ProviderRef>,
    },
}

impl Resolution {
    /// The first state that it leads to.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self {
            Self::Rejected => StateName::Rejected,
            Self::Failed => StateName::Failed,
            Self::Completed { .. } => StateName::IssuingCard,
        }
    }

    /// Why an opening in this state cannot be ended so. None: it can.
    #[must_use]
    pub fn refused_by(&self, state: &State) -> Option<&'static str> {
        let name = state.name();
        if matches!(name, StateName::IssuingCard) || name.is_terminal() {
            return Some("it is decided already");
        }
        match self {
            Self::Completed { provider_reference, .. } if name == StateName::RequestingAccount => provider_reference
                .is_none()
                .then_some("no tracking id is known: say which account it is with provider_reference"),
            _ if name.may_become().contains(&self.state()) => None,
            _ => Some("nothing was asked of the provider yet: it can only fail"),
        }
    }
}
