//! Converts an anchor's row to an opening.

use uuid::Uuid;

use crate::clock::Time;
use crate::domain::bank::{Bic, Iban};
use crate::domain::chain::Hash;
use crate::domain::{
    Account, CardId, Ending, Opening, OpeningId, ProfileId, ProviderRef, Remains, Request, State, StateName, Wait,
};

/// An opening as stored, with the head of its history's chain.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub opening: Opening,
    pub head: Hash,
}

/// A row that is not a legal opening. The table's constraints prevent it; if it happens, schema and code disagree and
/// the opening is left alone. Neither error nor log quotes the row.
#[derive(Debug, thiserror::Error)]
#[error("opening {id} cannot be read: {what}")]
pub struct Unreadable {
    pub id: Uuid,
    /// The violated rule.
    pub what: String,
}

pub(super) struct Row {
    pub id: Uuid,
    pub market: String,
    pub customer_type: String,
    pub customer_reference: String,
    pub currency: String,
    pub flow: String,
    pub provider: String,
    pub state: String,
    pub profile_id: Option<String>,
    pub provider_ref: Option<String>,
    pub provider_status: Option<String>,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub card_id: Option<String>,
    pub reason: Option<String>,
    pub outcome_unknown_since: Option<Time>,
    pub deadline_at: Time,
    pub escalated_at: Option<Time>,
    pub version: i64,
    pub head_hash: Vec<u8>,
    pub created_at: Time,
    pub updated_at: Time,
    pub erased_at: Option<Time>,
    pub due_at: Option<Time>,
    pub claims: Option<i32>,
    pub claims_before_wait: Option<i32>,
    pub account_due_since: Option<Time>,
}

impl Row {
    pub fn into_anchor(self) -> Result<Anchor, sqlx::Error> {
        let id = self.id;
        self.read().map_err(|what| sqlx::Error::Decode(Box::new(Unreadable { id, what })))
    }

    fn read(self) -> Result<Anchor, String> {
        let head = self.head_hash.as_slice().try_into().map_err(|_| "head_hash is not 32 bytes".to_owned())?;
        let state = self.state()?;
        let request = Request {
            market: self.market,
            customer_type: self.customer_type.parse().map_err(|e| format!("customer_type {e}"))?,
            currency: self.currency,
            flow: self.flow.parse().map_err(|e| format!("flow {e}"))?,
            provider: self.provider,
            customer_reference: self.customer_reference,
        };
        let opening = Opening {
            id: OpeningId(self.id),
            request,
            state,
            provider_status: self.provider_status,
            deadline_at: self.deadline_at,
            escalated_at: self.escalated_at,
            due_at: self.due_at,
            polls: self.claims.unwrap_or_default(),
            polls_before_wait: self.claims_before_wait.unwrap_or_default(),
            account_due_since: self.account_due_since,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        Ok(Anchor { opening, head })
    }

    fn state(&self) -> Result<State, String> {
        let name: StateName = self.state.parse().map_err(|e| format!("state {e}"))?;
        if let Some(at) = self.erased_at {
            return self.remains(name, at);
        }
        Ok(match name {
            StateName::CreatingProfile => State::CreatingProfile,
            StateName::RequestingAccount => {
                State::RequestingAccount { profile: self.profile()?, unknown_since: self.outcome_unknown_since }
            }
            StateName::AwaitingProvider => State::AwaitingProvider(self.wait()?),
            StateName::Escalated => State::Escalated(self.wait()?),
            StateName::IssuingCard => State::IssuingCard(self.account()?),
            StateName::Completed => {
                let card = self.card()?.ok_or("card_id is missing")?;
                State::Completed(self.account()?, card)
            }
            StateName::Rejected => State::Rejected(self.ending()?),
            StateName::Failed => State::Failed(self.ending()?),
        })
    }

    fn profile(&self) -> Result<ProfileId, String> {
        ProfileId::new(required("profile_id", self.profile_id.as_ref())?).map_err(str::to_owned)
    }

    fn wait(&self) -> Result<Wait, String> {
        let reference = required("provider_ref", self.provider_ref.as_ref())?;
        Ok(Wait { profile: self.profile()?, reference: ProviderRef::new(reference).map_err(str::to_owned)? })
    }

    fn account(&self) -> Result<Account, String> {
        let iban = Iban::parse(&required("iban", self.iban.as_ref())?).map_err(|e| e.to_string())?;
        let bic = Bic::parse(&required("bic", self.bic.as_ref())?).map_err(str::to_owned)?;
        Ok(Account { wait: self.wait()?, iban, bic })
    }

    fn ending(&self) -> Result<Ending, String> {
        let (profile, reference) = self.known()?;
        Ok(Ending { profile, reference, reason: required("reason", self.reason.as_ref())? })
    }

    fn remains(&self, state: StateName, at: Time) -> Result<State, String> {
        if !state.is_terminal() {
            return Err(format!("erased in state {state}"));
        }
        let (profile, reference) = self.known()?;
        Ok(State::Erased(Remains { state, profile, reference, card: self.card()?, at }))
    }

    fn card(&self) -> Result<Option<CardId>, String> {
        self.card_id.clone().map(CardId::new).transpose().map_err(str::to_owned)
    }

    /// Profile and tracking id, if known.
    fn known(&self) -> Result<(Option<ProfileId>, Option<ProviderRef>), String> {
        let profile = self.profile_id.clone().map(ProfileId::new).transpose().map_err(str::to_owned)?;
        let reference = self.provider_ref.clone().map(ProviderRef::new).transpose().map_err(str::to_owned)?;
        Ok((profile, reference))
    }
}

fn required(column: &str, value: Option<&String>) -> Result<String, String> {
    value.cloned().ok_or_else(|| format!("{column} is missing"))
}
