//! The ledger for readers: the judge's record, independent of the service's view.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::plan::{Fault, Plan};
use super::tracker::IssueRecord;
use clock::Time;

/// An account request's status at the bank, in the bank's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Initiated,
    InProgress,
    /// A word that is in no contract.
    OnHold,
    /// The account is open.
    Completed,
    /// The bank's final refusal.
    Rejected,
}

impl Status {
    /// Whether the bank has decided.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected)
    }
}

/// Totals. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Correctly signed webhooks that were sent: each copy and each resend counts, a retry of an unacknowledged one does not.
    pub webhooks_sent: u64,
    /// Messages that the plan withheld.
    pub webhooks_dropped: u64,
    /// Further deliveries of news that was sent already: copies and resends. Part of `webhooks_sent`.
    pub webhooks_duplicated: u64,
    /// Those of them that went out under a new id.
    pub webhooks_resent: u64,
    /// Further attempts since the one before was not acknowledged with 2xx. Not part of `webhooks_sent`.
    pub webhook_retries: u64,
    /// Webhooks that were never acknowledged.
    pub webhooks_given_up: u64,
    /// Messages signed with a wrong secret. Not part of `webhooks_sent`.
    pub forged_sent: u64,
    /// Forged messages acknowledged with 2xx; must be 0.
    pub forged_accepted: u64,
    pub profiles: u64,
    pub account_requests: u64,
    /// Accounts opened: requests that the bank completed.
    pub accounts: u64,
    pub cards: u64,
    /// Issues made at the ticket tracker.
    pub issues: u64,
    /// Profiles, account requests and cards beyond the first of an opening, and issues beyond the first of a ticket.
    pub double_effects: u64,
    /// Calls of the bank's list since a time.
    pub lists: u64,
    /// Calls refused for their form: key missing or reused for another body, fields missing or malformed.
    pub calls_refused: u64,
    /// Calls to the bank without its API key, and to the tracker without its token.
    pub calls_unauthorized: u64,
    /// Calls that met a fault or an outage.
    pub faults: u64,
}

/// A request for an account, and its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountRequest {
    /// The tracking id, `aor_…`.
    pub account_opening_request_id: String,
    /// The opening's id, as the service gave it.
    pub reference: String,
    pub status: Status,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub rejection_reason: Option<String>,
    /// When the status last changed.
    pub updated_at: Time,
    /// When it was submitted.
    pub created_at: Time,
    /// When the bank decided.
    pub decided_at: Option<Time>,
    /// Where the account is opened.
    pub market: String,
    /// In which the account is held.
    pub currency: String,
    /// `company`, `freelancer` or `individual`.
    pub customer_type: String,
    /// Requested with the blocking call: its caller gets the answer, no webhook is sent, and no lookup returns it.
    pub blocking: bool,
}

impl AccountRequest {
    /// The same before its decision.
    pub(crate) fn undecided(self) -> Self {
        Self { status: Status::InProgress, iban: None, bic: None, rejection_reason: None, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// The issuer's id, `crd_…`.
    pub card_id: String,
    /// The account it draws on, as the service gave it.
    pub iban: String,
    /// The holder, as the service gave it.
    pub profile_id: String,
}

/// A call about an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    pub at: Time,
    pub endpoint: Endpoint,
    /// Its `Idempotency-Key`, if it has one.
    pub key: Option<String>,
    /// The fault that it met, if any.
    pub fault: Option<Fault>,
}

/// Everything about one opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpeningRecord {
    /// The opening's id, as the service gave it.
    pub reference: String,
    /// The customer's reference, where a call named it.
    pub customer_reference: Option<String>,
    pub plan: Plan,
    /// The profiles made: one is right.
    pub profiles: Vec<String>,
    /// The account requests made: one is right.
    pub requests: Vec<AccountRequest>,
    /// The cards made: one is right.
    pub cards: Vec<Card>,
    /// How often each call came.
    pub calls: BTreeMap<Endpoint, u64>,
    /// The first calls, oldest first, at most [`super::CALLS_KEPT`].
    pub log: Vec<Call>,
}

impl OpeningRecord {
    /// The account request, which is the first one.
    #[must_use]
    pub fn request(&self) -> Option<&AccountRequest> {
        self.requests.first()
    }

    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.request().map(|request| request.account_opening_request_id.as_str())
    }

    /// When the bank decided.
    #[must_use]
    pub fn decided_at(&self) -> Option<Time> {
        self.request().and_then(|request| request.decided_at)
    }

    /// The IBAN, once there is one.
    #[must_use]
    pub fn iban(&self) -> Option<&str> {
        self.request().and_then(|request| request.iban.as_deref())
    }

    /// How often a call came.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls.get(&endpoint).copied().unwrap_or_default()
    }

    /// The number of effects beyond the first of each kind.
    #[must_use]
    pub fn double_effects(&self) -> usize {
        [self.profiles.len(), self.requests.len(), self.cards.len()].iter().map(|made| made.saturating_sub(1)).sum()
    }
}

/// The whole ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerSnapshot {
    #[serde(flatten)]
    pub counts: Counts,
    /// By the opening's id.
    pub openings: BTreeMap<String, OpeningRecord>,
    /// The ticket tracker's, oldest first.
    pub issues: Vec<IssueRecord>,
    /// The first calls to the tracker, oldest first, at most [`super::TRACKER_CALLS_KEPT`].
    pub tracker_calls: Vec<Call>,
}

impl LedgerSnapshot {
    /// The openings of one customer, oldest id first.
    pub fn of_customer(&self, customer_reference: &str) -> impl Iterator<Item = &OpeningRecord> {
        self.openings.values().filter(move |opening| opening.customer_reference.as_deref() == Some(customer_reference))
    }
}
