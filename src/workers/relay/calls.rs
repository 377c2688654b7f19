//! The call of each topic, and the meaning of its answer for row and opening.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Relay;
use super::tickets::{self, Ticket};
use crate::clock::Time;
use crate::db::outbox::{Claimed, Settled};
use crate::db::tickets::tracked::{self, Tracked};
use crate::db::{database_starts, events, openings};
use crate::domain::retry::{Nature, Next};
use crate::domain::{Fact, Opening, Report, State, Topic};
use crate::outbound::CallError;
use crate::provider::{Idempotency, Provider, Submission};

/// The result of one attempt.
pub(super) struct Attempt {
    pub work: Claimed,
    pub settled: Settled,
    pub fact: Option<Fact>,
    /// The ticket's key at the tracker.
    pub ticket: Option<String>,
    /// The opening's provider.
    pub provider: String,
}

/// The data that a call needs beside its row, as of the claim.
pub(super) enum Prepared {
    Command {
        opening: Box<Opening>,
        customer: Value,
        /// A lost commit may have sent it already: the opening is older than the database server's start.
        may_be_known: bool,
    },
    Delivery(events::Event),
    Ticket(Ticket),
    /// A required row is missing.
    Gone,
}

impl Prepared {
    pub fn provider(&self) -> String {
        match self {
            Self::Command { opening, .. } | Self::Ticket(Ticket { opening, .. }) => opening.request.provider.clone(),
            Self::Delivery(_) | Self::Gone => String::new(),
        }
    }
}

/// The data for the calls of a batch, read at once.
#[derive(Default)]
pub(super) struct Known {
    openings: HashMap<Uuid, Opening>,
    customers: HashMap<Uuid, Value>,
    events: HashMap<Uuid, events::Event>,
    tickets: Vec<Tracked>,
    /// The time at which the database server's start was noticed.
    server_noticed_at: Option<Time>,
}

impl Known {
    pub async fn read(connection: &mut PgConnection, topic: Topic, claimed: &[Claimed]) -> sqlx::Result<Self> {
        let mut known = Self::default();
        if claimed.is_empty() {
            return Ok(known);
        }
        if topic == Topic::DeliverEvent {
            let ids: Vec<Uuid> = claimed.iter().filter_map(event_id).collect();
            known.events = events::get(connection, &ids).await?.into_iter().map(|it| (it.id, it)).collect();
            return Ok(known);
        }
        let ids: Vec<Uuid> = claimed.iter().map(|it| it.opening_id).collect();
        known.openings = openings::read(connection, &ids).await?.into_iter().map(|it| (it.id.0, it)).collect();
        if topic.is_for_tracker() {
            known.tickets = tracked::read(connection, &ids).await?;
        } else if topic != Topic::IssueCard {
            let customers = openings::customers(connection, &ids).await?;
            known.customers = customers.into_iter().map(|(id, customer)| (id, customer.unwrap_or_default())).collect();
            if topic == Topic::SubmitRequest {
                known.server_noticed_at = database_starts::noticed_at(connection).await?;
            }
        }
        Ok(known)
    }

    pub fn take(&mut self, work: &Claimed) -> Prepared {
        if let Some(event) = event_id(work).and_then(|id| self.events.get(&id)) {
            return Prepared::Delivery(event.clone());
        }
        if tickets::kind(work).is_some() {
            let opening = self.openings.get(&work.opening_id);
            let ticket = opening.and_then(|opening| Ticket::of(work, opening, &self.tickets));
            return ticket.map_or(Prepared::Gone, Prepared::Ticket);
        }
        let customer = self.customers.get(&work.opening_id).cloned().unwrap_or_default();
        match self.openings.get(&work.opening_id) {
            Some(opening) => {
                let may_be_known = self.server_noticed_at.is_none_or(|at| opening.created_at < at);
                Prepared::Command { opening: Box::new(opening.clone()), customer, may_be_known }
            }
            None => Prepared::Gone,
        }
    }
}

fn event_id(work: &Claimed) -> Option<Uuid> {
    work.payload["event_id"].as_str().and_then(|it| Uuid::parse_str(it).ok())
}

/// A good answer: the result for the row and for the opening.
pub(super) enum Answered {
    Fact(&'static str, Fact),
    Taken(&'static str),
    /// The ticket's key at the tracker.
    Ticket(&'static str, String),
    /// No call was necessary.
    Obsolete,
}

impl Relay {
    pub(super) async fn call(&self, work: &Claimed, token: Uuid, prepared: Prepared) -> Result<Answered, CallError> {
        match prepared {
            Prepared::Ticket(ticket) => Box::pin(self.ticket(work, token, &ticket)).await,
            Prepared::Delivery(event) => self.deliver(work, &event).await,
            // The opening has left the command's state since the claim.
            Prepared::Command { opening, .. } if self.topic.state() != Some(opening.state_name()) => {
                Ok(Answered::Obsolete)
            }
            Prepared::Command { opening, customer, may_be_known } => {
                self.command(work, &opening, &customer, may_be_known).await
            }
            Prepared::Gone => Err(CallError::unusable("the row that it needs cannot be read")),
        }
    }

    /// The meaning of an answer for the row and the opening.
    pub(super) fn attempted(&self, work: Claimed, provider: String, result: Result<Answered, CallError>) -> Attempt {
        let ticket = if let Ok(Answered::Ticket(_, key)) = &result { Some(key.clone()) } else { None };
        let (settled, fact) = match result {
            Ok(Answered::Fact(outcome, fact)) => (Settled::Delivered { outcome }, Some(fact)),
            Ok(Answered::Taken(outcome) | Answered::Ticket(outcome, _)) => (Settled::Delivered { outcome }, None),
            Ok(Answered::Obsolete) => (Settled::Cancelled { cause: "obsolete" }, None),
            Err(error) => self.failed(&work, error),
        };
        Attempt { work, settled, fact, ticket, provider }
    }

    async fn command(
        &self,
        work: &Claimed,
        opening: &Opening,
        customer: &Value,
        may_be_known: bool,
    ) -> Result<Answered, CallError> {
        match (self.topic, &opening.state) {
            (Topic::CreateProfile, _) => {
                let profile = self.context.profiles.create(work.id, opening, customer).await?;
                Ok(Answered::Fact("profile_created", Fact::ProfileCreated { profile }))
            }
            (Topic::SubmitRequest | Topic::OpenAccount, State::RequestingAccount { profile, .. }) => {
                let provider = self.context.providers.get(&opening.request.provider);
                let provider = provider.ok_or_else(|| CallError::unusable("unknown_provider"))?;
                let submission = Submission {
                    idempotency_key: work.id,
                    opening_id: opening.id,
                    request: opening.request.clone(),
                    profile: profile.clone(),
                    customer: customer.clone(),
                };
                let report = match self.topic {
                    Topic::OpenAccount => open(provider.as_ref(), work, &submission).await?,
                    _ => submit(provider.as_ref(), work, &submission, may_be_known).await?,
                };
                Ok(Answered::Fact("accepted", Fact::SubmissionAccepted { report }))
            }
            (Topic::IssueCard, State::IssuingCard(account)) => {
                let card = self.context.cards.issue(work.id, opening.id, account).await?;
                Ok(Answered::Fact("card_issued", Fact::CardIssued { card }))
            }
            (topic, _) => Err(CallError::unusable(format!("{topic} does not fit the opening's state"))),
        }
    }

    async fn deliver(&self, work: &Claimed, event: &events::Event) -> Result<Answered, CallError> {
        let url = work.payload["subscriber"].as_str().unwrap_or_default();
        // The subscriber was removed from the configuration.
        let Some(subscriber) = self.context.subscribers.get(url) else {
            return Ok(Answered::Taken("no_longer_subscribed"));
        };
        self.context.subscribers.deliver(subscriber, event, self.context.clock.now()).await?;
        Ok(Answered::Taken("sent"))
    }

    /// The meaning of a failure. A final refusal is the provider's answer, or makes another system's command dead; an
    /// outage is retried; an unusable answer counts.
    fn failed(&self, work: &Claimed, error: CallError) -> (Settled, Option<Fact>) {
        let retry = &self.context.retry;
        let (now, jitter) = (self.context.clock.now(), self.context.ids.jitter());
        let (class, cause) = (error.class(), error.to_string());
        let submits = matches!(self.topic, Topic::SubmitRequest | Topic::OpenAccount);
        let nature = error.nature();
        let fact =
            (submits && nature == Nature::Indeterminate).then(|| Fact::SubmissionUnknown { class: class.to_owned() });
        let after = |next: Next, counts: bool| match next {
            Next::RetryAt(at) => Settled::Retry { at, class, cause: cause.clone(), counts, nature },
            Next::Dead => Settled::Dead { class, nature, cause: cause.clone() },
        };
        let (settled, fact) = match error {
            // The next process makes the call again: the other side did not fail.
            CallError::Outage { class: "shutdown", .. } => (after(Next::RetryAt(now), false), fact),
            CallError::Deferred { class, after } => (Settled::Held { at: now + after.min(retry.cap), class }, None),
            CallError::Rejected { code, message } if submits => {
                (Settled::Delivered { outcome: "rejected" }, Some(Fact::SubmissionRejected { code, message }))
            }
            // A subscriber's refusal may be temporary: it counts and is retried.
            CallError::Rejected { .. } if self.topic == Topic::DeliverEvent => {
                (after(retry.after_failure(work.attempts + 1, now, jitter), true), None)
            }
            CallError::Rejected { .. } => (Settled::Dead { class, nature, cause: cause.clone() }, None),
            CallError::Outage { after: wait, .. } => {
                (after(retry.after_outage(work.retry_from, work.claims - 1, wait, now, jitter), false), fact)
            }
            CallError::Unusable { .. } => (after(retry.after_failure(work.attempts + 1, now, jitter), true), fact),
        };
        if !matches!(settled, Settled::Held { .. }) {
            log(work, self.topic, class, &cause, &settled);
        }
        (settled, fact)
    }
}

/// Submits. From the second claim on, or if the record of an earlier claim may be lost, first checks whether a
/// submission was accepted. If the provider cannot repeat submissions safely, only that check may answer.
async fn submit(
    provider: &dyn Provider,
    work: &Claimed,
    submission: &Submission,
    may_be_known: bool,
) -> Result<Report, CallError> {
    if work.claims > 1 || may_be_known {
        // A failed lookup sent nothing, so the submission's outcome stays as it was.
        let found = provider.recover(submission.opening_id).await;
        let mut found = found.map_err(CallError::without_effect)?;
        // The oldest one was first; more than one is a double effect in the other side's ledger.
        if !found.is_empty() {
            return Ok(found.swap_remove(0));
        }
        if provider.capabilities().idempotency == Idempotency::None && work.may_have_taken_effect() {
            return Err(not_again());
        }
    }
    provider.submit(submission).await
}

/// Makes the legacy call. It has no lookup, so only the same key makes a repeat safe.
async fn open(provider: &dyn Provider, work: &Claimed, submission: &Submission) -> Result<Report, CallError> {
    if provider.capabilities().idempotency == Idempotency::None && work.may_have_taken_effect() {
        return Err(not_again());
    }
    provider.open(submission).await
}

fn not_again() -> CallError {
    CallError::unusable("outcome unknown, and this provider takes a repeat as a second request")
}

fn log(work: &Claimed, topic: Topic, class: &str, cause: &str, settled: &Settled) {
    let (opening, outbox) = (work.opening_id, work.id);
    match settled {
        Settled::Dead { .. } => {
            tracing::error!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "call given up; it is a dead letter");
        }
        // A misconfiguration of ours: waiting does not help, so an operator must see it.
        _ if class == "misconfigured" => {
            tracing::error!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "call refused because of our configuration; retrying");
        }
        _ => tracing::info!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "call failed; retrying"),
    }
}
