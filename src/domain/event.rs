//! The facts that can happen to an opening. A webhook, a poll answer, a sandbox message and a report row with the same
//! content become the same [`Report`] and go through the same `decide`.

use serde::{Deserialize, Serialize};

use super::bank::compact;
use super::effect::Topic;
use super::ids::{ActId, CardId, InboxId, OpeningId, ProfileId, ProviderRef};
use super::resolution::Resolution;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The source of a fact.
    Source {
        /// A caller of the REST API.
        Api = "api",
        /// A webhook of the provider.
        Webhook = "webhook",
        /// An answer of the provider's status API to a poll.
        Poll = "poll",
        /// An item of the provider's list.
        List = "list",
        /// A message to the sandbox endpoint.
        Sandbox = "sandbox",
        /// A row of a provider's report.
        Report = "report",
        /// The result of a command that the relay sent.
        Command = "command",
        /// A deadline that the poller saw pass.
        Timer = "timer",
        /// An operator's decision or request.
        Operator = "operator",
    }
);

string_enum!(
    /// The meaning of a provider's status word, as translated by its adapter.
    Verdict {
        /// Received, not worked on yet. Never overwrites a later status.
        Started = "started",
        /// The provider is working on it.
        Pending = "pending",
        /// The account is open, provided that IBAN and BIC come with it.
        Completed = "completed",
        /// The provider's final refusal.
        Rejected = "rejected",
        /// A word that the adapter does not know; it is never guessed at.
        Unknown = "unknown",
    }
);

/// A provider's statement about one request, from a webhook, a poll, a list or a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The provider's tracking id.
    pub reference: Option<ProviderRef>,
    /// Our reference, if the provider echoes it.
    pub our_reference: Option<String>,
    /// The meaning of the status word.
    pub verdict: Verdict,
    /// The provider's own status word.
    pub word: String,
    /// The IBAN as sent, unchecked.
    pub iban: Option<String>,
    /// The BIC as sent, unchecked.
    pub bic: Option<String>,
    /// The reason of a refusal. Only `verdict` says whether there was one.
    pub reason: Option<String>,
}

impl Report {
    /// The opening that our reference names.
    #[must_use]
    pub fn opening(&self) -> Option<OpeningId> {
        self.our_reference.as_deref().and_then(OpeningId::echoed)
    }

    /// The request that the report is about: the tracking id, else our reference.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.reference.as_ref().map(ToString::to_string).or_else(|| self.our_name())
    }

    /// The same report with references, IBAN and BIC normalised, so that reports with equal content compare equal.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self {
            our_reference: self.our_name(),
            iban: self.iban.as_deref().map(compact),
            bic: self.bic.as_deref().map(compact),
            ..self.clone()
        }
    }

    /// Our reference in our own form if it is a UUID, else as sent.
    #[must_use]
    pub fn our_name(&self) -> Option<String> {
        self.opening().map(|it| it.to_string()).or_else(|| self.our_reference.clone())
    }
}

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollOutcome {
    /// The provider answered with a report.
    Answered(Report),
    /// No usable answer: an error, a time-out or an open breaker.
    Failed {
        /// The class of the failure, for people and metrics.
        class: String,
    },
}

/// A fact about an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// The profile service made a profile.
    ProfileCreated {
        /// The profile's id at the profile service.
        profile: ProfileId,
    },
    /// The provider accepted the submission; some providers decide at once.
    SubmissionAccepted {
        /// Its first report, with the tracking id.
        report: Report,
    },
    /// The provider refused the submission for good.
    SubmissionRejected {
        /// The provider's code of the reason.
        code: String,
        /// The provider's text of the reason.
        message: String,
    },
    /// A submission was sent but not answered: an account may or may not be under way.
    SubmissionUnknown {
        /// The class of the failure.
        class: String,
    },
    /// The card issuer issued the card.
    CardIssued {
        /// The card's id at the issuer.
        card: CardId,
    },
    /// The relay gave up a command; an operator must act.
    CommandDead {
        /// The kind of command.
        topic: Topic,
        /// The cause of death.
        cause: String,
    },
    /// The provider reported something unasked (webhook, list, report, sandbox).
    Reported {
        /// The content of the report.
        report: Report,
    },
    /// The poller asked the provider.
    Polled {
        /// The time of the request.
        asked_at: Time,
        /// The answer, or the failure.
        outcome: PollOutcome,
    },
    /// The deadline passed in a state that does not wait for the provider.
    DeadlinePassed {
        /// The time at which the poller saw it.
        asked_at: Time,
    },
    /// An operator requests a poll now.
    PollRequested,
    /// An operator ends the opening.
    Resolved {
        /// The operator's act; its row in `operator_actions` has the operator, the time and the reason.
        act: ActId,
        /// The end that the operator chose.
        resolution: Resolution,
        /// The operator's reason. It becomes the opening's reason.
        reason: String,
        /// The operator's evidence, for people.
        evidence: String,
    },
}

/// Facts about other rows that the shell read under the same lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Another opening that holds the report's tracking id.
    pub reference_holder: Option<OpeningId>,
    /// Another opening that holds the report's IBAN.
    pub iban_holder: Option<OpeningId>,
    /// An older fact about this opening waits to be read.
    pub older_unread: bool,
}

/// A fact with its source and the shell's knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The fact's row in the inbox: the evidence.
    pub inbox_id: InboxId,
    /// The source of the fact.
    pub source: Source,
    /// The content of the fact.
    pub fact: Fact,
    /// The shell's knowledge at the time.
    pub knowledge: Knowledge,
}

impl Fact {
    /// The fact's name in history.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ProfileCreated { .. } => "profile_created",
            Self::SubmissionAccepted { .. } => "submission_accepted",
            Self::SubmissionRejected { .. } => "submission_rejected",
            Self::SubmissionUnknown { .. } => "submission_unknown",
            Self::CardIssued { .. } => "card_issued",
            Self::CommandDead { .. } => "command_dead",
            Self::Reported { .. } => "provider_reported",
            Self::Polled { .. } => "provider_polled",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::PollRequested => "poll_requested",
            Self::Resolved { .. } => "operator_resolved",
        }
    }

    /// The tracking id in the fact, from the provider or from an operator.
    #[must_use]
    pub fn reference(&self) -> Option<&ProviderRef> {
        match self {
            Self::Resolved { resolution: Resolution::Completed { provider_reference, .. }, .. } => {
                provider_reference.as_ref()
            }
            _ => self.report()?.reference.as_ref(),
        }
    }

    /// The IBAN in the fact, unchecked.
    #[must_use]
    pub fn iban(&self) -> Option<&str> {
        match self {
            Self::Resolved { resolution: Resolution::Completed { iban, .. }, .. } => Some(iban),
            _ => self.report()?.iban.as_deref(),
        }
    }

    /// The provider's report in the fact, if it has one.
    #[must_use]
    pub const fn report(&self) -> Option<&Report> {
        match self {
            Self::SubmissionAccepted { report }
            | Self::Reported { report }
            | Self::Polled { outcome: PollOutcome::Answered(report), .. } => Some(report),
            _ => None,
        }
    }
}
