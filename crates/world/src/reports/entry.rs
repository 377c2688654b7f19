//! A request in the bank's books, at any moment since it was made.

use clock::Time;

use crate::mint;
use crate::plan::{Decision, HALF_A_CHARACTER, Plan};
use crate::snapshot::{AccountRequest, Status};

/// A request, and what a reader of the files needs to know of its plan.
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a plan")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub request: AccountRequest,
    /// The service cannot know the decision: its webhook is dropped, and the status API is silent about it.
    pub unheard: bool,
    /// Both sides agree about it before a divergence is dealt: no contradiction, no second request.
    pub fit: bool,
    /// The service learnt each step within a moment, so that its own times are close to the bank's.
    pub prompt: bool,
    /// The bank never decides by itself.
    pub waits: bool,
}

impl Entry {
    pub(crate) fn new(request: AccountRequest, plan: &Plan, is_only: bool) -> Self {
        let (told, blocking) = (&plan.webhooks, request.blocking);
        let heard = !plan.silent || blocking;
        Self {
            request,
            unheard: !heard,
            fit: heard && is_only && !blocking && told.contradiction_after.is_none(),
            prompt: heard && plan.submit.is_empty() && plan.card.is_empty() && told.delay.is_zero() && !told.dropped,
            waits: !matches!(plan.decision, Decision::By(_)),
        }
    }

    /// The status at a moment.
    pub(super) fn status(&self, at: Time) -> Status {
        match self.request.decided_at {
            Some(decided) if decided <= at => self.request.status,
            Some(_) => Status::InProgress,
            None if self.request.updated_at <= at => self.request.status,
            None => Status::Initiated,
        }
    }

    /// When the bank decided, if it had by this moment.
    pub(super) fn decided_at(&self, at: Time) -> Option<Time> {
        self.request.decided_at.filter(|decided| *decided <= at)
    }

    /// Whether it was made or changed in a period, as known at `as_of`.
    pub(super) fn is_in(&self, from: Time, until: Time, as_of: Time) -> bool {
        let changed = self.decided_at(as_of).unwrap_or(self.request.updated_at.min(as_of));
        let within = |time: Time| from <= time && time < until;
        self.request.created_at < until && (within(self.request.created_at) || within(changed))
    }

    pub(super) fn id(&self) -> &str {
        &self.request.account_opening_request_id
    }

    /// The reason of the refusal as a file can carry it: half a character becomes U+FFFD.
    pub(super) fn reason(&self) -> String {
        self.request.rejection_reason.as_deref().unwrap_or_default().replace(HALF_A_CHARACTER, "\u{fffd}")
    }

    /// A valid IBAN of its market that no account has.
    pub(super) fn other_iban(&self, seed: u64) -> String {
        mint::iban(&self.request.market, seed, &["other", self.id()])
    }
}
