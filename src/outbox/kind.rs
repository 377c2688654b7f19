//! The interface between the relay and a kind of work. There are three: commands, deliveries, tickets.

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::inbox::NewFact;
use crate::db::outbox::{self, Claimed, Settled};
use crate::domain::Topic;
use crate::outbound::CallError;

/// A kind of outbox work: what is claimed and called, and what an answer means.
#[async_trait]
pub(super) trait Kind: Send + Sync + 'static {
    /// The data that a call needs beside its row, as it was when the row was claimed.
    type Prepared: Send + 'static;
    /// The data that an answer brings beside the row's outcome.
    type Found: Send + Sync + 'static;

    fn topic(&self) -> Topic;

    /// Whether there is a system to call. Without one, rows wait: another replica's configuration wrote them.
    fn has_target(&self) -> bool {
        true
    }

    async fn claim(&self, connection: &mut PgConnection, claim: Claim<'_>) -> sqlx::Result<Vec<Claimed>> {
        let Claim { topic, token, now, until, shut, limit } = claim;
        outbox::claim(connection, topic, token, now, until, shut, limit).await
    }

    /// Reads the data for the calls, at once for the batch. None: a row that a call needs is not there.
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        claimed: &[Claimed],
    ) -> sqlx::Result<Vec<Option<Self::Prepared>>>;

    /// The provider that the facts of a call are about.
    fn provider(&self, _prepared: &Self::Prepared) -> String {
        String::new()
    }

    async fn call(
        &self,
        work: &Claimed,
        token: Uuid,
        prepared: Self::Prepared,
    ) -> Result<Answer<Self::Found>, CallError>;

    /// The consequence of a failed call for this kind.
    fn on_failure(&self, _error: &CallError) -> Failure<Self::Found> {
        Failure::ByTheRules(None)
    }

    /// Writes what was found, in the commit that settles the rows, whether or not the lease still was ours.
    async fn keep(&self, _connection: &mut PgConnection, _attempt: &Attempt<Self::Found>) -> sqlx::Result<()> {
        Ok(())
    }

    /// The facts of an attempt. `kept`: whether the lease still was ours.
    fn facts(&self, _attempt: &Attempt<Self::Found>, _kept: bool, _now: Time) -> Vec<NewFact> {
        Vec::new()
    }

    /// After the commit that settled some rows.
    fn settled(&self) {}
}

/// The work to claim, and the lease to claim it under.
pub(super) struct Claim<'a> {
    pub topic: Topic,
    pub token: Uuid,
    pub now: Time,
    pub until: Time,
    /// Lanes that are passed over: their calls would be deferred.
    pub shut: &'a [String],
    pub limit: i64,
}

/// A call's good answer.
pub(super) enum Answer<F> {
    Taken(&'static str, Option<F>),
    /// There was no need to call.
    Obsolete,
}

/// The consequence of a failed call beside the usual rules.
pub(super) enum Failure<F> {
    /// A final no ends the row as a dead letter, an outage is waited out, an unusable answer counts.
    ByTheRules(Option<F>),
    /// A final no is an answer.
    Answered(&'static str, F),
    /// A final no counts like an unusable answer, and the call is repeated.
    Counts,
}

/// The result of one attempt.
pub(super) struct Attempt<F> {
    pub work: Claimed,
    /// The provider that the facts are about.
    pub provider: String,
    pub settled: Settled,
    pub found: Option<F>,
}
