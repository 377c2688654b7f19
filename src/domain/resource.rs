//! The opening as callers and subscribers see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::opening::Opening;

/// An account opening.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AccountOpening)]
pub struct Resource {
    /// Our id; the provider receives it as `reference`.
    pub id: uuid::Uuid,
    /// The status for callers.
    pub status: super::Status,
    /// The detailed state behind the status.
    pub state: super::StateName,
    /// The flow that it was started on; it never changes.
    pub flow: super::Flow,
    /// ISO 3166 alpha-2.
    #[schema(example = "BE")]
    pub market: String,
    /// The kind of customer.
    pub customer_type: super::CustomerType,
    /// The caller's reference for the customer. Empty after erasure.
    pub customer_reference: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's tracking id.
    #[schema(value_type = Option<super::ProviderRef>)]
    pub provider_reference: Option<String>,
    /// The provider's latest status word.
    pub provider_status: Option<String>,
    /// The account's IBAN; set once the account is open.
    #[schema(value_type = Option<super::bank::Iban>)]
    pub iban: Option<String>,
    /// The account's BIC; set together with the IBAN.
    #[schema(value_type = Option<super::bank::Bic>)]
    pub bic: Option<String>,
    /// Set once the card is issued.
    #[schema(value_type = Option<super::CardId>)]
    pub card_id: Option<String>,
    /// The reason for an end without an account; `erased` after erasure.
    pub reason: Option<String>,
    /// Since when the outcome of a submission is unknown: sent, but not answered.
    pub outcome_unknown_since: Option<DateTime<Utc>>,
    /// The time at which the missing answer was escalated.
    pub escalated_at: Option<DateTime<Utc>>,
    /// The time of the next poll of the provider, while waiting for it.
    pub next_poll_at: Option<DateTime<Utc>>,
    /// The deadline: without an answer by then, the opening escalates.
    pub deadline_at: DateTime<Utc>,
    /// The time at which its personal data was erased.
    pub erased_at: Option<DateTime<Utc>>,
    /// The time of the start.
    pub created_at: DateTime<Utc>,
    /// The time of the last visible change.
    pub updated_at: DateTime<Utc>,
    /// The number of transitions; orders the events of one opening.
    pub version: i64,
}

impl From<&Opening> for Resource {
    fn from(opening: &Opening) -> Self {
        let (request, state) = (&opening.request, &opening.state);
        let account = state.account();
        Self {
            id: opening.id.0,
            status: state.name().status(),
            state: state.name(),
            flow: request.flow,
            market: request.market.clone(),
            customer_type: request.customer_type,
            customer_reference: request.customer_reference.clone(),
            currency: request.currency.clone(),
            provider: request.provider.clone(),
            provider_reference: state.reference().map(ToString::to_string),
            provider_status: opening.provider_status.clone(),
            iban: account.map(|it| it.iban.as_str().to_owned()),
            bic: account.map(|it| it.bic.as_str().to_owned()),
            card_id: state.card().map(ToString::to_string),
            reason: state.reason().map(ToOwned::to_owned),
            outcome_unknown_since: state.unknown_since(),
            escalated_at: opening.escalated_at,
            next_poll_at: opening.next_poll_at(),
            deadline_at: opening.deadline_at,
            erased_at: state.erased_at(),
            created_at: opening.created_at,
            updated_at: opening.updated_at,
            version: opening.version,
        }
    }
}
