//! Commands: the steps of an opening at other systems, and what their answers mean for it.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::kind::{Answer, Attempt, Failure, Kind};
use crate::clock::Time;
use crate::context::Context;
use crate::db::inbox::NewFact;
use crate::db::outbox::{Claimed, Settled};
use crate::db::{database_starts, openings};
use crate::domain::retry::Nature;
use crate::domain::{Fact, Opening, Report, Source, State, Topic};
use crate::inbox::fact;
use crate::outbound::CallError;
use crate::provider::{Idempotency, Provider, Submission};

pub(super) struct Commands {
    pub context: Context,
    pub topic: Topic,
}

/// The opening of a command, as it was when the row was claimed.
pub(super) struct Command {
    opening: Opening,
    customer: Value,
    /// The opening is older than the start of the database server, so an earlier claim may be lost with the last commits.
    may_have_been_submitted: bool,
}

#[async_trait]
impl Kind for Commands {
    type Prepared = Command;
    type Found = Fact;

    fn topic(&self) -> Topic {
        self.topic
    }

    async fn prepare(&self, connection: &mut PgConnection, claimed: &[Claimed]) -> sqlx::Result<Vec<Option<Command>>> {
        let ids: Vec<Uuid> = claimed.iter().filter_map(|it| it.opening_id).collect();
        let found = openings::read(connection, &ids).await?;
        let found: HashMap<Uuid, Opening> = found.into_iter().map(|it| (it.id.0, it)).collect();
        let mut customers: HashMap<Uuid, Option<Value>> = HashMap::new();
        if self.topic != Topic::IssueCard {
            customers.extend(openings::customers(connection, &ids).await?);
        }
        let started_at =
            if self.topic == Topic::SubmitRequest { database_starts::noticed_at(connection).await? } else { None };
        let command = |work: &Claimed| {
            let opening = found.get(&work.opening_id?)?.clone();
            let customer = customers.get(&opening.id.0).cloned().flatten().unwrap_or_default();
            let may_have_been_submitted = started_at.is_none_or(|at| opening.created_at < at);
            Some(Command { opening, customer, may_have_been_submitted })
        };
        Ok(claimed.iter().map(command).collect())
    }

    fn provider(&self, command: &Command) -> String {
        command.opening.request.provider.clone()
    }

    async fn call(&self, work: &Claimed, _token: Uuid, command: Command) -> Result<Answer<Fact>, CallError> {
        let Command { opening, customer, may_have_been_submitted } = command;
        match (self.topic, &opening.state) {
            // The opening has left the state that the command serves.
            (topic, _) if topic.state() != Some(opening.state_name()) => Ok(Answer::Obsolete),
            (Topic::CreateProfile, _) => {
                let profile = self.context.outside.profiles.create(work.id, &opening, &customer).await?;
                Ok(Answer::Taken("profile_created", Some(Fact::ProfileCreated { profile })))
            }
            (Topic::SubmitRequest | Topic::OpenAccount, State::RequestingAccount { profile, .. }) => {
                let provider = self.context.outside.providers.get(&opening.request.provider);
                let provider = provider.ok_or_else(|| CallError::unusable("unknown_provider"))?;
                let within = self.context.policies.call_timeout.to_std().unwrap_or_default();
                let submission = Submission {
                    idempotency_key: work.id,
                    opening_id: opening.id,
                    request: opening.request.clone(),
                    profile: profile.clone(),
                    customer,
                };
                let report = match self.topic {
                    Topic::OpenAccount => open(provider.as_ref(), work, &submission).await?,
                    _ => submit(provider.as_ref(), work, &submission, may_have_been_submitted, within).await?,
                };
                Ok(Answer::Taken("accepted", Some(Fact::SubmissionAccepted { report })))
            }
            (Topic::IssueCard, State::IssuingCard(account)) => {
                let card = self.context.outside.cards.issue(work.id, opening.id, account).await?;
                Ok(Answer::Taken("card_issued", Some(Fact::CardIssued { card })))
            }
            (topic, _) => Err(CallError::unusable(format!("{topic} does not fit the opening's state"))),
        }
    }

    /// A provider's final no is the answer to a submission. A submission whose outcome is unknown is told, too.
    fn on_failure(&self, error: &CallError) -> Failure<Fact> {
        if !matches!(self.topic, Topic::SubmitRequest | Topic::OpenAccount) {
            return Failure::ByTheRules(None);
        }
        if let CallError::Rejected { code, message } = error {
            let fact = Fact::SubmissionRejected { code: code.clone(), message: message.clone() };
            return Failure::Answered("rejected", fact);
        }
        let is_unknown = error.nature() == Nature::Indeterminate;
        Failure::ByTheRules(is_unknown.then(|| Fact::SubmissionUnknown { class: error.class().to_owned() }))
    }

    /// The result is a fact whether or not the lease still was ours; that the command is dead only if it was.
    fn facts(&self, attempt: &Attempt<Fact>, kept: bool, now: Time) -> Vec<NewFact> {
        let Attempt { work, provider, settled, found } = attempt;
        let Some(opening) = work.opening_id else { return Vec::new() };
        let new = |suffix: &str, fact: &Fact| {
            let event_id = format!("cmd:{}:{}{suffix}", work.id, work.claims);
            fact::ours(&self.context.shell.ids, Source::Command, provider, event_id, opening, fact, now)
        };
        let dead = match settled {
            Settled::Dead { class, cause, .. } if kept => {
                Some(Fact::CommandDead { topic: self.topic, cause: format!("{class}: {cause}") })
            }
            _ => None,
        };
        found.iter().map(|fact| new("", fact)).chain(dead.iter().map(|fact| new(":dead", fact))).collect()
    }
}

/// Submits. From the second claim on, or if the record of an earlier claim may be lost, first checks whether a
/// submission was accepted. If the provider cannot repeat submissions safely, only that check may answer.
async fn submit(
    provider: &dyn Provider,
    work: &Claimed,
    submission: &Submission,
    may_have_been_submitted: bool,
    within: Duration,
) -> Result<Report, CallError> {
    if work.claims > 1 || may_have_been_submitted {
        // A failed lookup sent nothing, so the submission's outcome stays as it was. It ends before the relay's own time limit, which
        // cannot know that nothing was sent.
        let found = timeout(within * 9 / 10, provider.recover(submission)).await;
        let found = found.unwrap_or_else(|_elapsed| Err(CallError::timeout()));
        let mut found = found.map_err(CallError::without_effect)?;
        // More than one is a double effect in the other side's ledger; the adapter puts the one to go on with first.
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
