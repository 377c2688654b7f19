//! An opening: eight states, each with the data that only this state has.

use super::bank::{Bic, Iban};
use super::ids::{CardId, OpeningId, ProfileId, ProviderRef};
use super::request::Request;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The name of a state in the database and in the API.
    StateName {
        /// The anchor exists; the user profile is being created.
        CreatingProfile = "creating_profile",
        /// The submission is being sent or retried; its outcome may be unknown.
        RequestingAccount = "requesting_account",
        /// The wait state: the tracking id is known, polls are scheduled, the deadline is running.
        AwaitingProvider = "awaiting_provider",
        /// The deadline passed: a ticket is open, polling has stopped, a late answer still counts.
        Escalated = "escalated",
        /// IBAN and BIC are saved; the card is being issued.
        IssuingCard = "issuing_card",
        /// The card is issued. Terminal.
        Completed = "completed",
        /// The provider refused for good. Terminal.
        Rejected = "rejected",
        /// Ended by an operator without an account. Terminal.
        Failed = "failed",
    }
);

string_enum!(
    /// The status that callers see.
    Status {
        /// No final answer yet.
        InProgress = "in_progress",
        /// The account is open.
        Succeeded = "succeeded",
        /// The provider refused the account.
        Rejected = "rejected",
        /// The opening ended without an answer of the provider.
        Failed = "failed",
    }
);

impl StateName {
    /// The status that callers see in this state.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::CreatingProfile | Self::RequestingAccount | Self::AwaitingProvider | Self::Escalated => {
                Status::InProgress
            }
            Self::IssuingCard | Self::Completed => Status::Succeeded,
            Self::Rejected => Status::Rejected,
            Self::Failed => Status::Failed,
        }
    }

    /// Whether the state is final.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected | Self::Failed)
    }

    /// The allowed next states; the trigger on `opening_history` enforces the same table.
    #[must_use]
    pub const fn may_become(self) -> &'static [Self] {
        match self {
            Self::CreatingProfile => &[Self::RequestingAccount, Self::Failed],
            Self::RequestingAccount => &[Self::AwaitingProvider, Self::Rejected, Self::Failed],
            Self::AwaitingProvider => &[Self::Escalated, Self::IssuingCard, Self::Rejected, Self::Failed],
            Self::Escalated => &[Self::IssuingCard, Self::Rejected, Self::Failed],
            Self::IssuingCard => &[Self::Completed],
            Self::Completed | Self::Rejected | Self::Failed => &[],
        }
    }
}

/// The data of the wait for the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The user's profile.
    pub profile: ProfileId,
    /// The provider's tracking id.
    pub reference: ProviderRef,
}

/// An open account with its tracking data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The wait that the account ended.
    pub wait: Wait,
    /// The account's IBAN, checked.
    pub iban: Iban,
    /// The account's BIC, checked.
    pub bic: Bic,
}

/// The end of an opening without an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The profile, if it was created.
    pub profile: Option<ProfileId>,
    /// The tracking id, if the provider gave one.
    pub reference: Option<ProviderRef>,
    /// The reason, for callers.
    pub reason: String,
}

/// The rest of an ended opening after its personal data was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The terminal state that it ended in.
    pub state: StateName,
    /// The profile, if it was created.
    pub profile: Option<ProfileId>,
    /// The tracking id, if the provider gave one.
    pub reference: Option<ProviderRef>,
    /// The card, if one was issued.
    pub card: Option<CardId>,
    /// The time of the erasure.
    pub at: Time,
}

/// Replaces a reason that was erased.
pub const ERASED: &str = "erased";

/// A state together with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "StateName documents each")]
pub enum State {
    CreatingProfile,
    RequestingAccount {
        profile: ProfileId,
        /// Since when the outcome of a submission is unknown: it may have opened an account.
        unknown_since: Option<Time>,
    },
    AwaitingProvider(Wait),
    Escalated(Wait),
    IssuingCard(Account),
    Completed(Account, CardId),
    Rejected(Ending),
    Failed(Ending),
    /// A terminal state after erasure of personal data: no account is left to compare answers with.
    Erased(Remains),
}

impl State {
    /// The name of this state.
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::CreatingProfile => StateName::CreatingProfile,
            Self::RequestingAccount { .. } => StateName::RequestingAccount,
            Self::AwaitingProvider(_) => StateName::AwaitingProvider,
            Self::Escalated(_) => StateName::Escalated,
            Self::IssuingCard(_) => StateName::IssuingCard,
            Self::Completed(..) => StateName::Completed,
            Self::Rejected(_) => StateName::Rejected,
            Self::Failed(_) => StateName::Failed,
            Self::Erased(remains) => remains.state,
        }
    }

    /// The profile, once it is known.
    #[must_use]
    pub fn profile(&self) -> Option<&ProfileId> {
        match self {
            Self::CreatingProfile => None,
            Self::RequestingAccount { profile, .. } => Some(profile),
            Self::AwaitingProvider(wait) | Self::Escalated(wait) => Some(&wait.profile),
            Self::IssuingCard(account) | Self::Completed(account, _) => Some(&account.wait.profile),
            Self::Rejected(ending) | Self::Failed(ending) => ending.profile.as_ref(),
            Self::Erased(remains) => remains.profile.as_ref(),
        }
    }

    /// The tracking id, once it is known.
    #[must_use]
    pub fn reference(&self) -> Option<&ProviderRef> {
        match self {
            Self::CreatingProfile | Self::RequestingAccount { .. } => None,
            Self::AwaitingProvider(wait) | Self::Escalated(wait) => Some(&wait.reference),
            Self::IssuingCard(account) | Self::Completed(account, _) => Some(&account.wait.reference),
            Self::Rejected(ending) | Self::Failed(ending) => ending.reference.as_ref(),
            Self::Erased(remains) => remains.reference.as_ref(),
        }
    }

    /// The account, if one is open and not erased.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        match self {
            Self::IssuingCard(account) | Self::Completed(account, _) => Some(account),
            _ => None,
        }
    }

    /// The card, once it is issued.
    #[must_use]
    pub const fn card(&self) -> Option<&CardId> {
        match self {
            Self::Completed(_, card) => Some(card),
            Self::Erased(remains) => remains.card.as_ref(),
            _ => None,
        }
    }

    /// The reason for an end without an account.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected(ending) | Self::Failed(ending) => Some(&ending.reason),
            Self::Erased(remains) if remains.state != StateName::Completed => Some(ERASED),
            _ => None,
        }
    }

    /// The time of the erasure, if any.
    #[must_use]
    pub const fn erased_at(&self) -> Option<Time> {
        match self {
            Self::Erased(remains) => Some(remains.at),
            _ => None,
        }
    }

    /// Since when the outcome of a submission is unknown.
    #[must_use]
    pub const fn unknown_since(&self) -> Option<Time> {
        match self {
            Self::RequestingAccount { unknown_since, .. } => *unknown_since,
            _ => None,
        }
    }
}

/// An account opening: the anchor and its timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Our id; the provider receives it as `reference`.
    pub id: OpeningId,
    /// The caller's request, without personal data.
    pub request: Request,
    /// Our own state, never the provider's word.
    pub state: State,
    /// The provider's latest status word.
    pub provider_status: Option<String>,
    /// The deadline: without an answer by then, the opening escalates.
    pub deadline_at: Time,
    /// The time of the escalation, if any.
    pub escalated_at: Option<Time>,
    /// The next time at which the poller claims it: a poll in the wait state, else the deadline. None: never.
    pub due_at: Option<Time>,
    /// The number of the poller's claims.
    pub polls: i32,
    /// The value of `polls` when the wait began: earlier claims were for deadlines, not polls.
    pub polls_before_wait: i32,
    /// Since when the provider says that the account is open, while its IBAN and BIC are missing.
    pub account_due_since: Option<Time>,
    /// The number of transitions, including the start.
    pub version: i64,
    /// The time of the start.
    pub created_at: Time,
    /// The time of the last change that callers can see.
    pub updated_at: Time,
}

impl Opening {
    /// The name of its current state.
    #[must_use]
    pub const fn state_name(&self) -> StateName {
        self.state.name()
    }

    /// Whether the anchors of both are the same. The timer has a table of its own: its columns do not count.
    #[must_use]
    pub fn is_anchored_like(&self, other: &Self) -> bool {
        #[rustfmt::skip]
        let Self {
            id, request, state, provider_status, deadline_at, escalated_at, version, created_at, updated_at,
            due_at: _, polls: _, polls_before_wait: _, account_due_since: _,
        } = self;
        (id, request, state, provider_status) == (&other.id, &other.request, &other.state, &other.provider_status)
            && (deadline_at, escalated_at) == (&other.deadline_at, &other.escalated_at)
            && (version, created_at, updated_at) == (&other.version, &other.created_at, &other.updated_at)
    }

    /// The time of the next poll, if one is scheduled.
    #[must_use]
    pub fn next_poll_at(&self) -> Option<Time> {
        matches!(self.state, State::AwaitingProvider(_) | State::Escalated(_)).then_some(self.due_at).flatten()
    }
}
