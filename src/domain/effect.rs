//! The effects of a decision. The shell writes them in the same commit as the state change.

use serde_json::Value;

use super::event::Source;
use super::ids::InboxId;
use super::opening::{Opening, StateName};
use super::request::Flow;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The kind of work of an outbox row.
    Topic {
        /// Create the user's profile.
        CreateProfile = "create_profile",
        /// Ask the provider for an account, and wait for its answer later.
        SubmitRequest = "submit_request",
        /// Ask the provider for an account with the legacy call that blocks until it is decided.
        OpenAccount = "open_account",
        /// Issue the virtual card.
        IssueCard = "issue_card",
        /// Send an event to a sink.
        DeliverEvent = "deliver_event",
        /// Open a ticket at the tracker.
        OpenTicket = "open_ticket",
        /// Comment on a ticket at the tracker and close it.
        CloseTicket = "close_ticket",
    }
);

string_enum!(
    /// The type of an event for subscribers.
    EventType {
        /// The opening was created.
        Started = "account_opening.started",
        /// The provider accepted the request.
        AwaitingProvider = "account_opening.awaiting_provider",
        /// The deadline passed without an answer.
        Escalated = "account_opening.escalated",
        /// The account is open.
        Succeeded = "account_opening.succeeded",
        /// The card is issued too.
        Completed = "account_opening.completed",
        /// The provider said no.
        Rejected = "account_opening.rejected",
        /// The opening was ended without an answer.
        Failed = "account_opening.failed",
        /// Two sides disagree; a case is open.
        Contradiction = "account_opening.contradiction",
        /// A report was read and applied.
        ReportFinished = "reconciliation.report_finished",
        /// A report differs from what the service holds; a person decides.
        CaseOpened = "reconciliation.case_opened",
    }
);

string_enum!(
    /// The reason for a ticket.
    TicketKind {
        /// The provider never answered.
        WebhookNotReceived = "AccountOpeningWebhookNotReceived",
        /// A step before or after the wait is stuck.
        StepFailed = "AccountOpeningStepFailed",
    }
);

string_enum!(
    /// The subject of a disagreement.
    CaseKind {
        /// A second, different final answer.
        ConflictingAnswer = "conflicting_answer",
        /// An IBAN that is not valid.
        InvalidIban = "invalid_iban",
        /// A BIC that is not valid.
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
    /// How a fact was judged; stored in its inbox row.
    Outcome {
        /// The fact moved the opening.
        Applied = "applied",
        /// The fact was recorded; the state did not change.
        Recorded = "recorded",
        /// The same terminal answer again.
        Duplicate = "duplicate",
        /// The fact came too late to matter.
        Superseded = "superseded",
        /// The status word is unknown; it is never guessed at.
        Unknown = "unknown",
        /// The fact contradicts our state: a case is open.
        Conflict = "conflict",
        /// The fact matches nothing yet and waits.
        Parked = "parked",
    }
);

impl Topic {
    /// The only state in which a command is useful. None: any state.
    #[must_use]
    pub const fn state(self) -> Option<StateName> {
        match self {
            Self::CreateProfile => Some(StateName::CreatingProfile),
            Self::SubmitRequest | Self::OpenAccount => Some(StateName::RequestingAccount),
            Self::IssueCard => Some(StateName::IssuingCard),
            Self::DeliverEvent | Self::OpenTicket | Self::CloseTicket => None,
        }
    }

    /// Whether the opening's provider is called: then the lane of the work begins with the provider's name.
    #[must_use]
    pub const fn is_for_provider(self) -> bool {
        matches!(self, Self::SubmitRequest | Self::OpenAccount)
    }

    /// Whether the relay sends it to the ticket tracker.
    #[must_use]
    pub const fn is_for_tracker(self) -> bool {
        matches!(self, Self::OpenTicket | Self::CloseTicket)
    }

    /// The command that is sent on entering a state. The flow decides how the provider is asked.
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
    /// The event that is emitted on entering a state.
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

/// A call to another system, made by the relay after the commit. The relay reads the payload from the anchor at that
/// time, so personal data is stored in one place only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub Topic);

/// A disagreement for an operator to judge, with both sides' values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The subject of the disagreement.
    pub kind: CaseKind,
    /// Identifies the disagreement: the same cause again opens no second case.
    pub cause: String,
    /// The values that we hold.
    pub ours: Value,
    /// The values of the other side.
    pub theirs: Value,
    /// The inbox row of the contradicting fact.
    pub evidence: InboxId,
}

/// A change to be written beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this call.
    Send(Command),
    /// Cancel the command if it was not sent yet.
    Cancel(Topic),
    /// Send an event to the subscribers, with the opening as of that step.
    Emit(EventType, Box<Opening>),
    /// Open a ticket; at most one per opening and kind.
    OpenTicket {
        /// The kind of ticket.
        kind: TicketKind,
        /// The summary that the ticket shows.
        summary: String,
    },
    /// Close the ticket of that kind, if any.
    CloseTicket {
        /// The kind of ticket.
        kind: TicketKind,
        /// The reason for closing it.
        reason: String,
    },
    /// Open a case; at most one per cause.
    OpenCase(Case),
}

/// A transition as stored in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The version after this step.
    pub version: i64,
    /// The state before. None: the start.
    pub from: Option<StateName>,
    /// The state after.
    pub to: StateName,
    /// The name of the fact that caused it.
    pub event: &'static str,
    /// The source of the fact.
    pub source: Source,
    /// The inbox row of the fact. None: the start.
    pub inbox_id: Option<InboxId>,
    /// The time of the decision.
    pub at: Time,
    /// A note for people, without personal data.
    pub detail: Option<String>,
}

/// The decision about one fact of one opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The fact's outcome.
    pub outcome: Outcome,
    /// The opening afterwards, including its timer.
    pub opening: Opening,
    /// The transitions, in order of version.
    pub steps: Vec<Step>,
    /// Further changes to write in the same commit.
    pub effects: Vec<Effect>,
}
