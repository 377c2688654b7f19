//! What a decision wants done. The shell writes all of it in the commit of the state change.

use serde_json::Value;

use super::event::Source;
use super::ids::InboxId;
use super::opening::{Opening, StateName};
use super::request::Flow;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// What an outbox row is for.
    Topic {
        /// Create the user's profile.
        CreateProfile = "create_profile",
        /// Ask the provider for an account, and wait for its answer later.
        SubmitRequest = "submit_request",
        /// Ask the provider for an account with the legacy call that blocks until it is decided.
        OpenAccount = "open_account",
        /// Issue the virtual card.
        IssueCard = "issue_card",
        /// Send an event to a subscriber.
        DeliverEvent = "deliver_event",
        /// Open a ticket at the tracker.
        OpenTicket = "open_ticket",
        /// Comment on a ticket at the tracker and close it.
        CloseTicket = "close_ticket",
    }
);

string_enum!(
    /// What subscribers are told.
    EventType {
        /// The anchor exists.
        Started = "account_opening.started",
        /// The provider took the request.
        AwaitingProvider = "account_opening.awaiting_provider",
        /// The deadline passed without an answer.
        Escalated = "account_opening.escalated",
        /// The account is open.
        Succeeded = "account_opening.succeeded",
        /// The card is issued too.
        Completed = "account_opening.completed",
        /// The provider said no.
        Rejected = "account_opening.rejected",
        /// It was ended without an answer.
        Failed = "account_opening.failed",
        /// Two sides disagree: a case is open.
        Contradiction = "account_opening.contradiction",
    }
);

string_enum!(
    /// Why a person is asked to look.
    TicketKind {
        /// The provider never answered.
        WebhookNotReceived = "AccountOpeningWebhookNotReceived",
        /// A step before or after the wait is stuck.
        StepFailed = "AccountOpeningStepFailed",
    }
);

string_enum!(
    /// What two sides disagree about.
    CaseKind {
        /// A second, different final answer.
        ConflictingAnswer = "conflicting_answer",
        /// An IBAN that is none.
        InvalidIban = "invalid_iban",
        /// A BIC that is none.
        InvalidBic = "invalid_bic",
        /// The IBAN belongs to another opening.
        IbanHeldElsewhere = "iban_held_elsewhere",
        /// The tracking id belongs to another opening.
        ReferenceHeldElsewhere = "reference_held_elsewhere",
        /// Tracking id and our reference name different openings.
        CorrelationMismatch = "correlation_mismatch",
        /// A second profile for one opening.
        SecondProfile = "second_profile",
        /// A second tracking id for one opening: two accounts may be under way.
        SecondReference = "second_reference",
        /// A second card for one opening.
        SecondCard = "second_card",
    }
);

string_enum!(
    /// What a fact turned out to be; the inbox row keeps it.
    Outcome {
        /// It moved the opening.
        Applied = "applied",
        /// It was taken note of; nothing moved.
        Recorded = "recorded",
        /// The same terminal answer again.
        Duplicate = "duplicate",
        /// Too late to matter.
        Superseded = "superseded",
        /// Not understood, never guessed at.
        Unknown = "unknown",
        /// Disagrees with what we hold: a case is open.
        Conflict = "conflict",
        /// Matches nothing yet: it waits.
        Parked = "parked",
    }
);

impl Topic {
    /// The state in which a command is of use. None: in any.
    #[must_use]
    pub const fn state(self) -> Option<StateName> {
        match self {
            Self::CreateProfile => Some(StateName::CreatingProfile),
            Self::SubmitRequest | Self::OpenAccount => Some(StateName::RequestingAccount),
            Self::IssueCard => Some(StateName::IssuingCard),
            Self::DeliverEvent | Self::OpenTicket | Self::CloseTicket => None,
        }
    }

    /// Whether it is work for the ticket tracker.
    #[must_use]
    pub const fn is_for_tracker(self) -> bool {
        matches!(self, Self::OpenTicket | Self::CloseTicket)
    }

    /// The command that a state has made, which depends on the flow where the provider is asked.
    #[must_use]
    pub const fn of(state: StateName, flow: Flow) -> Option<Self> {
        match (state, flow) {
            (StateName::CreatingProfile, _) => Some(Self::CreateProfile),
            (StateName::RequestingAccount, Flow::Async) => Some(Self::SubmitRequest),
            (StateName::RequestingAccount, Flow::Sync) => Some(Self::OpenAccount),
            (StateName::IssuingCard, _) => Some(Self::IssueCard),
            _ => None,
        }
    }
}

impl EventType {
    /// What subscribers hear when a state is entered.
    #[must_use]
    pub const fn of(state: StateName) -> Option<Self> {
        match state {
            StateName::CreatingProfile => Some(Self::Started),
            StateName::RequestingAccount => None,
            StateName::AwaitingProvider => Some(Self::AwaitingProvider),
            StateName::Escalated => Some(Self::Escalated),
            StateName::IssuingCard => Some(Self::Succeeded),
            StateName::Completed => Some(Self::Completed),
            StateName::Rejected => Some(Self::Rejected),
            StateName::Failed => Some(Self::Failed),
        }
    }
}

/// A call to another system, made by the relay after the commit. What it sends is read from the anchor at that time, so
/// that personal data stands in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub Topic);

/// A disagreement for a person to judge, with both sides' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub kind: CaseKind,
    /// What makes it one case and not two: the same cause again opens nothing.
    pub cause: String,
    /// What we hold.
    pub ours: Value,
    /// What was said.
    pub theirs: Value,
    /// The fact that said it.
    pub evidence: InboxId,
}

/// Something to be written beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this call.
    Send(Command),
    /// Do not make it any more, if it was not made.
    Cancel(Topic),
    /// Tell the subscribers, with the opening as it was at that step.
    Emit(EventType, Box<Opening>),
    /// Ask a person to look; once per opening and kind.
    OpenTicket {
        /// Which kind.
        kind: TicketKind,
        /// What happened.
        summary: String,
    },
    /// No need to look any more.
    CloseTicket {
        /// Which kind.
        kind: TicketKind,
        /// What happened.
        reason: String,
    },
    /// Put a disagreement before a person; once per cause.
    OpenCase(Case),
}

/// One transition, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The version that it makes.
    pub version: i64,
    /// None: the start.
    pub from: Option<StateName>,
    /// The new state.
    pub to: StateName,
    /// The fact's name.
    pub event: &'static str,
    /// Where the fact came from.
    pub source: Source,
    /// The fact itself. None: the start.
    pub inbox_id: Option<InboxId>,
    /// When it was decided.
    pub at: Time,
    /// For people, without personal data.
    pub detail: Option<String>,
}

/// What one fact means for one opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the fact turned out to be.
    pub outcome: Outcome,
    /// The opening afterwards, its timer included.
    pub opening: Opening,
    /// The transitions, in order.
    pub steps: Vec<Step>,
    /// What else is to be written.
    pub effects: Vec<Effect>,
}
