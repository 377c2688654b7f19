//! An opening as we hold it to be true: eight states, each with the data that only it can have.

use super::bank::{Bic, Iban};
use super::ids::{CardId, OpeningId, ProfileId, ProviderRef};
use super::request::Request;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The name of a state, as it stands in the database and in the API.
    StateName {
        /// The anchor exists, the user profile is being created.
        CreatingProfile = "creating_profile",
        /// The submission is under way or being retried; its outcome may be unknown.
        RequestingAccount = "requesting_account",
        /// The wait state: the tracking id is known, polls are scheduled, the deadline is running.
        AwaitingProvider = "awaiting_provider",
        /// The deadline passed: people know, polling has stopped, a late answer still counts.
        Escalated = "escalated",
        /// IBAN and BIC are saved, the card is being issued.
        IssuingCard = "issuing_card",
        /// The card is issued. Terminal.
        Completed = "completed",
        /// The provider's final no. Terminal.
        Rejected = "rejected",
        /// Ended by us or by an operator. Terminal.
        Failed = "failed",
    }
);

string_enum!(
    /// What a caller is told.
    Status {
        /// No answer yet.
        InProgress = "in_progress",
        /// The account is open.
        Succeeded = "succeeded",
        /// The provider said no.
        Rejected = "rejected",
        /// It was ended without an answer of the provider.
        Failed = "failed",
    }
);

impl StateName {
    /// What a caller is told in this state.
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

    /// Whether it is never left.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected | Self::Failed)
    }

    /// The states that may follow; the trigger on `opening_history` holds the same table.
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

/// What is known while we wait for the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The user's profile.
    pub profile: ProfileId,
    /// The provider's tracking id.
    pub reference: ProviderRef,
}

/// An account that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The wait that it ended.
    pub wait: Wait,
    /// Where money goes.
    pub iban: Iban,
    /// At which bank.
    pub bic: Bic,
}

/// An opening that ended without an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The profile, when it had been created.
    pub profile: Option<ProfileId>,
    /// The tracking id, when there was one.
    pub reference: Option<ProviderRef>,
    /// Why.
    pub reason: String,
}

/// What is left of an opening that has ended and whose personal data was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// How it ended: a terminal state.
    pub state: StateName,
    /// The profile, when it had been created.
    pub profile: Option<ProfileId>,
    /// The tracking id, when there was one.
    pub reference: Option<ProviderRef>,
    /// The card, when one was issued.
    pub card: Option<CardId>,
    /// When it was erased.
    pub at: Time,
}

/// What stands for a reason that was erased.
pub const ERASED: &str = "erased";

/// A state with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "StateName documents each")]
pub enum State {
    CreatingProfile,
    RequestingAccount {
        profile: ProfileId,
        /// Since when a submission's outcome is unknown: it may have opened an account, or not.
        unknown_since: Option<Time>,
    },
    AwaitingProvider(Wait),
    Escalated(Wait),
    IssuingCard(Account),
    Completed(Account, CardId),
    Rejected(Ending),
    Failed(Ending),
    /// One of the last three, without what was personal: there is no account left to compare anything with.
    Erased(Remains),
}

impl State {
    /// Its name.
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

    /// The account, once it is open and unless it was erased.
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

    /// Why it ended without an account.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected(ending) | Self::Failed(ending) => Some(&ending.reason),
            Self::Erased(remains) if remains.state != StateName::Completed => Some(ERASED),
            _ => None,
        }
    }

    /// When its personal data was erased.
    #[must_use]
    pub const fn erased_at(&self) -> Option<Time> {
        match self {
            Self::Erased(remains) => Some(remains.at),
            _ => None,
        }
    }

    /// Since when a submission's outcome is unknown.
    #[must_use]
    pub const fn unknown_since(&self) -> Option<Time> {
        match self {
            Self::RequestingAccount { unknown_since, .. } => *unknown_since,
            _ => None,
        }
    }
}

/// One account opening: the anchor with its timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Ours; the provider knows it as `reference`.
    pub id: OpeningId,
    /// What was asked for.
    pub request: Request,
    /// What we hold to be true.
    pub state: State,
    /// The provider's last word, beside our own state.
    pub provider_status: Option<String>,
    /// When people are told, unless there is an answer before.
    pub deadline_at: Time,
    /// When they were.
    pub escalated_at: Option<Time>,
    /// When the poller looks at it next: the next poll while waiting, else the deadline. None: not at all.
    pub due_at: Option<Time>,
    /// How often the poller has claimed it.
    pub polls: i32,
    /// How often it had when the wait began: a deadline that passed before is no poll.
    pub polls_before_wait: i32,
    /// Number of transitions so far, the start included.
    pub version: i64,
    /// When it was started.
    pub created_at: Time,
    /// When anything that a caller can see last changed.
    pub updated_at: Time,
}

impl Opening {
    /// The name of the state that it is in.
    #[must_use]
    pub const fn state_name(&self) -> StateName {
        self.state.name()
    }

    /// The next poll, where there is one.
    #[must_use]
    pub fn next_poll_at(&self) -> Option<Time> {
        matches!(self.state, State::AwaitingProvider(_) | State::Escalated(_)).then_some(self.due_at).flatten()
    }
}
