//! What each topic calls, and what its answer means for the row and for the opening.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Relay;
use crate::db::outbox::{Claimed, Settled};
use crate::db::{events, openings};
use crate::domain::retry::Next;
use crate::domain::{Fact, Opening, Report, State, Topic};
use crate::provider::{CallError, Idempotency, Provider, Submission};

/// What one attempt came to.
pub(super) struct Attempt {
    pub work: Claimed,
    pub settled: Settled,
    pub fact: Option<Fact>,
    /// The provider of the opening.
    pub provider: String,
}

/// What a call needs beside its row, as it was when it was claimed.
pub(super) enum Prepared {
    Command {
        opening: Box<Opening>,
        customer: Value,
    },
    Delivery(events::Event),
    /// The row that it needs is not there.
    Gone,
}

/// What the calls of a batch need, read at once.
pub(super) struct Known {
    openings: HashMap<Uuid, Opening>,
    customers: HashMap<Uuid, Value>,
    events: HashMap<Uuid, events::Event>,
}

impl Known {
    pub async fn read(connection: &mut PgConnection, topic: Topic, claimed: &[Claimed]) -> sqlx::Result<Self> {
        let mut known = Self { openings: HashMap::new(), customers: HashMap::new(), events: HashMap::new() };
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
        if topic != Topic::IssueCard {
            let customers = openings::customers(connection, &ids).await?;
            known.customers = customers.into_iter().map(|(id, customer)| (id, customer.unwrap_or_default())).collect();
        }
        Ok(known)
    }

    pub fn take(&mut self, work: &Claimed) -> Prepared {
        if let Some(event) = event_id(work).and_then(|id| self.events.get(&id)) {
            return Prepared::Delivery(event.clone());
        }
        let customer = self.customers.get(&work.opening_id).cloned().unwrap_or_default();
        match self.openings.get(&work.opening_id) {
            Some(opening) => Prepared::Command { opening: Box::new(opening.clone()), customer },
            None => Prepared::Gone,
        }
    }
}

fn event_id(work: &Claimed) -> Option<Uuid> {
    work.payload["event_id"].as_str().and_then(|it| Uuid::parse_str(it).ok())
}

/// A call's good answer: what the row keeps, and what the opening learns.
type Answered = (&'static str, Option<Fact>);

impl Relay {
    pub(super) async fn call(&self, work: Claimed, prepared: Prepared) -> Attempt {
        let (provider, result) = match &prepared {
            Prepared::Delivery(event) => (String::new(), self.deliver(&work, event).await),
            Prepared::Command { opening, customer } => {
                let provider = opening.request.provider.clone();
                if self.topic.state() != Some(opening.state_name()) {
                    let settled = Settled::Cancelled { cause: "obsolete" };
                    return Attempt { work, settled, fact: None, provider };
                }
                (provider, self.command(&work, opening, customer).await)
            }
            Prepared::Gone => {
                let settled = Settled::Dead { class: "gone", cause: "the row that it needs is gone".to_owned() };
                return Attempt { work, settled, fact: None, provider: String::new() };
            }
        };
        match result {
            Ok((outcome, fact)) => Attempt { work, settled: Settled::Delivered { outcome }, fact, provider },
            Err(error) => self.failed(work, error, provider),
        }
    }

    async fn command(&self, work: &Claimed, opening: &Opening, customer: &Value) -> Result<Answered, CallError> {
        match (self.topic, &opening.state) {
            (Topic::CreateProfile, _) => {
                let profile = self.context.profiles.create(work.id, opening, customer).await?;
                Ok(("profile_created", Some(Fact::ProfileCreated { profile })))
            }
            (Topic::SubmitRequest, State::RequestingAccount { profile, .. }) => {
                let provider = self.context.providers.get(&opening.request.provider);
                let provider = provider.ok_or_else(|| CallError::Unusable { cause: "unknown_provider".to_owned() })?;
                let submission = Submission {
                    idempotency_key: work.id,
                    opening_id: opening.id,
                    request: opening.request.clone(),
                    profile: profile.clone(),
                    customer: customer.clone(),
                };
                let report = submit(provider.as_ref(), work, &submission).await?;
                Ok(("accepted", Some(Fact::SubmissionAccepted { report })))
            }
            (Topic::IssueCard, State::IssuingCard(account)) => {
                let card = self.context.cards.issue(work.id, opening.id, account).await?;
                Ok(("card_issued", Some(Fact::CardIssued { card })))
            }
            (topic, _) => Err(CallError::Unusable { cause: format!("{topic} does not fit the opening's state") }),
        }
    }

    async fn deliver(&self, work: &Claimed, event: &events::Event) -> Result<Answered, CallError> {
        let url = work.payload["subscriber"].as_str().unwrap_or_default();
        // Taken off the list since: there is nobody to tell.
        let Some(subscriber) = self.context.subscribers.get(url) else { return Ok(("no_longer_subscribed", None)) };
        self.context.subscribers.deliver(subscriber, event, self.context.clock.now()).await?;
        Ok(("sent", None))
    }

    /// What a failure means: a final no of the provider is an answer, of another system a dead command; an outage is waited
    /// out; an answer that is none counts.
    fn failed(&self, work: Claimed, error: CallError, provider: String) -> Attempt {
        let retry = &self.context.retry;
        let (now, jitter) = (self.context.clock.now(), self.context.ids.jitter());
        let (class, cause) = (error.class(), error.to_string());
        let (submits, indeterminate) = (self.topic == Topic::SubmitRequest, error.is_indeterminate());
        let fact = (submits && indeterminate).then(|| Fact::SubmissionUnknown { class: class.to_owned() });
        let after = |next: Next, counts: bool| match next {
            Next::RetryAt(at) => Settled::Retry { at, class, cause: cause.clone(), counts, indeterminate },
            Next::Dead => Settled::Dead { class, cause: cause.clone() },
        };
        let (settled, fact) = match error {
            CallError::Rejected { code, message } if submits => {
                (Settled::Delivered { outcome: "rejected" }, Some(Fact::SubmissionRejected { code, message }))
            }
            // A subscriber's no may be a moment's mistake of theirs: it counts, and is tried again.
            CallError::Rejected { .. } if self.topic == Topic::DeliverEvent => {
                (after(retry.after_failure(work.attempts + 1, now, jitter), true), None)
            }
            CallError::Rejected { .. } => (Settled::Dead { class, cause: cause.clone() }, None),
            CallError::Outage { after: wait, .. } => {
                (after(retry.after_outage(work.retry_from, work.claims - 1, wait, now, jitter), false), fact)
            }
            CallError::Unusable { .. } => (after(retry.after_failure(work.attempts + 1, now, jitter), true), fact),
        };
        log(&work, self.topic, class, &cause, &settled);
        Attempt { work, settled, fact, provider }
    }
}

/// Submits; from the second claim on, looks first whether an earlier submission was taken. Where a provider cannot be
/// asked twice safely, only that look may answer.
async fn submit(provider: &dyn Provider, work: &Claimed, submission: &Submission) -> Result<Report, CallError> {
    if work.claims > 1 {
        let mut found = provider.recover(submission.opening_id).await?;
        // The oldest is the one that was first; were there more, the ledger of the other side shows a double effect.
        if !found.is_empty() {
            return Ok(found.swap_remove(0));
        }
        if provider.capabilities().idempotency == Idempotency::None && work.may_have_taken_effect() {
            let cause = "outcome unknown, and this provider takes a repeat as a second request".to_owned();
            return Err(CallError::Unusable { cause });
        }
    }
    provider.submit(submission).await
}

fn log(work: &Claimed, topic: Topic, class: &str, cause: &str, settled: &Settled) {
    let (opening, outbox) = (work.opening_id, work.id);
    match settled {
        Settled::Dead { .. } => {
            tracing::error!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "given up: a dead letter");
        }
        // Our own mistake: nothing gets better by waiting, so somebody must see it.
        _ if class == "misconfigured" => {
            tracing::error!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "refused for a misconfiguration of ours; retrying");
        }
        _ => tracing::info!(opening.id = %opening, outbox.id = %outbox, %topic, class, cause, "call failed; retrying"),
    }
}
