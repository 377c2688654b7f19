//! What can happen to an opening. A webhook, a poll answer, a sandbox message and a row of a report that say the same
//! become the same [`Report`] and go through the same `decide`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bank::compact;
use super::effect::Topic;
use super::ids::{ActId, CardId, InboxId, OpeningId, ProfileId, ProviderRef};
use super::resolution::Resolution;
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// Where a fact comes from.
    Source {
        /// A caller of the REST API.
        Api = "api",
        /// The provider, unasked.
        Webhook = "webhook",
        /// The provider's status API, asked by the poller.
        Poll = "poll",
        /// The provider's list.
        List = "list",
        /// The sandbox endpoint.
        Sandbox = "sandbox",
        /// A report of the provider.
        Report = "report",
        /// The result of a command that the relay carried out.
        Command = "command",
        /// The poller: a deadline.
        Timer = "timer",
        /// A person.
        Operator = "operator",
    }
);

string_enum!(
    /// What a provider's status word means; the adapter translates.
    Verdict {
        /// Taken note of, nothing done yet. Never overwrites a later word.
        Started = "started",
        /// Being worked on.
        Pending = "pending",
        /// The account is open, if IBAN and BIC come with it.
        Completed = "completed",
        /// The final no.
        Rejected = "rejected",
        /// A word that the adapter does not know: never guessed at.
        Unknown = "unknown",
    }
);

/// What the provider says about one request, whichever way it says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The tracking id it speaks of.
    pub reference: Option<ProviderRef>,
    /// Our reference, where the provider echoes it.
    pub our_reference: Option<String>,
    /// What it means.
    pub verdict: Verdict,
    /// The provider's own word for it.
    pub word: String,
    /// As it was sent: not yet checked.
    pub iban: Option<String>,
    /// As it was sent: not yet checked.
    pub bic: Option<String>,
    /// Why it was rejected. Only `verdict` says whether it was.
    pub reason: Option<String>,
}

impl Report {
    /// The opening that our reference names. Providers give it back in any form of a UUID: in capitals, without hyphens, in braces.
    #[must_use]
    pub fn opening(&self) -> Option<OpeningId> {
        self.our_reference.as_deref().and_then(|it| Uuid::parse_str(it.trim()).ok()).map(OpeningId)
    }

    /// The request that it speaks of: the tracking id, else our reference.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.reference.as_ref().map(ToString::to_string).or_else(|| self.our_name())
    }

    /// The same report with references, IBAN and BIC in their usual form: two reports that say the same are equal in it.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self {
            our_reference: self.our_name(),
            iban: self.iban.as_deref().map(compact),
            bic: self.bic.as_deref().map(compact),
            ..self.clone()
        }
    }

    /// Our reference as we wrote it when it is a UUID, else as it was sent.
    #[must_use]
    pub fn our_name(&self) -> Option<String> {
        self.opening().map(|it| it.to_string()).or_else(|| self.our_reference.clone())
    }
}

/// What came of asking the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollOutcome {
    /// An answer.
    Answered(Report),
    /// None that can be used: an error, a time-out, an open breaker.
    Failed {
        /// The class of the failure, for people and metrics.
        class: String,
    },
}

/// One fact about one opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// The profile service made a profile.
    ProfileCreated {
        /// Its id.
        profile: ProfileId,
    },
    /// The provider took the submission; some decide at once.
    SubmissionAccepted {
        /// Its first report, with the tracking id.
        report: Report,
    },
    /// The provider refused the submission for good.
    SubmissionRejected {
        /// Its code for why.
        code: String,
        /// Its words for why.
        message: String,
    },
    /// A submission was sent and not answered: an account may or may not be under way.
    SubmissionUnknown {
        /// The class of the failure.
        class: String,
    },
    /// The issuer made the card.
    CardIssued {
        /// Its id.
        card: CardId,
    },
    /// A command was given up: only a person can bring it further.
    CommandDead {
        /// Which one.
        topic: Topic,
        /// Why.
        cause: String,
    },
    /// The provider said something unasked (webhook, list, report, sandbox).
    Reported {
        /// What it said.
        report: Report,
    },
    /// The provider was asked.
    Polled {
        /// When.
        asked_at: Time,
        /// What came of it.
        outcome: PollOutcome,
    },
    /// The timer of an opening that does not wait for the provider ran out.
    DeadlinePassed {
        /// When that was seen.
        asked_at: Time,
    },
    /// An operator wants the provider asked now.
    PollRequested,
    /// An operator ends it.
    Resolved {
        /// The act: its record says who, when and why.
        act: ActId,
        /// How.
        resolution: Resolution,
        /// Why. It becomes the opening's own reason, so it stands here too.
        reason: String,
        /// What it rests on, for people.
        evidence: String,
    },
}

/// What the shell looked up for the decision, under the same lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Another opening that holds the report's tracking id.
    pub reference_holder: Option<OpeningId>,
    /// Another opening that holds the report's IBAN.
    pub iban_holder: Option<OpeningId>,
    /// An older fact about this opening waits to be read.
    pub older_unread: bool,
}

/// A fact with where it came from and what is known around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The row in the inbox: the evidence.
    pub inbox_id: InboxId,
    /// Where it came from.
    pub source: Source,
    /// The fact.
    pub fact: Fact,
    /// What is known around it.
    pub knowledge: Knowledge,
}

impl Fact {
    /// The name that history carries.
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

    /// The tracking id that it names, by whomever it is said.
    #[must_use]
    pub fn reference(&self) -> Option<&ProviderRef> {
        match self {
            Self::Resolved { resolution: Resolution::Completed { provider_reference, .. }, .. } => {
                provider_reference.as_ref()
            }
            _ => self.report()?.reference.as_ref(),
        }
    }

    /// The IBAN that it names, not yet checked.
    #[must_use]
    pub fn iban(&self) -> Option<&str> {
        match self {
            Self::Resolved { resolution: Resolution::Completed { iban, .. }, .. } => Some(iban),
            _ => self.report()?.iban.as_deref(),
        }
    }

    /// What the provider says in it, if anything.
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
