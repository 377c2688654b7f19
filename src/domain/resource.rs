//! An opening as callers and subscribers see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::opening::Opening;

/// An account opening.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AccountOpening)]
pub struct Resource {
    /// Ours; the provider knows it as `reference`.
    pub id: uuid::Uuid,
    /// What callers are told.
    pub status: super::Status,
    /// The state behind the status.
    pub state: super::StateName,
    /// Which flow it was started on; it never changes.
    pub flow: super::Flow,
    /// ISO 3166 alpha-2.
    #[schema(example = "BE")]
    pub market: String,
    /// What the customer is.
    pub customer_type: super::CustomerType,
    /// The caller's own name for the customer. Empty: it was erased.
    pub customer_reference: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// The provider that is asked.
    #[schema(example = "nexusbank")]
    pub provider: String,
    /// The provider's tracking id.
    #[schema(value_type = Option<super::ProviderRef>)]
    pub provider_reference: Option<String>,
    /// The provider's last word.
    pub provider_status: Option<String>,
    /// Set once the account is open.
    #[schema(value_type = Option<super::bank::Iban>)]
    pub iban: Option<String>,
    /// Set with the IBAN.
    #[schema(value_type = Option<super::bank::Bic>)]
    pub bic: Option<String>,
    /// Set once the card is issued.
    #[schema(value_type = Option<super::CardId>)]
    pub card_id: Option<String>,
    /// Why it ended without an account; `erased` where that is gone.
    pub reason: Option<String>,
    /// Since when a submission was sent and not answered.
    pub outcome_unknown_since: Option<DateTime<Utc>>,
    /// When people were told that no answer came in time.
    pub escalated_at: Option<DateTime<Utc>>,
    /// When the provider is asked next, while we wait for it.
    pub next_poll_at: Option<DateTime<Utc>>,
    /// When people are told, unless there is an answer before.
    pub deadline_at: DateTime<Utc>,
    /// When its personal data was erased.
    pub erased_at: Option<DateTime<Utc>>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The number of transitions: it orders the events of one opening.
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
