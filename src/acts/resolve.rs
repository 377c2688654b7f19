//! Ends an opening that no worker brings further: as rejected, as failed, or with the account that is open.
//!
//! The decision is a fact: it goes through the inbox, and `decide` has the last word, because an answer of the provider may come
//! first.

use serde_json::Value;
use sqlx::PgConnection;

use super::{ActError, Acts, Operator, about_opening, as_expected, locked, seen};
use crate::db::{self, inbox, openings, operator_actions};
use crate::domain::ids::{ActId, InboxId};
use crate::domain::{Decision, Event, Fact, Knowledge, Opening, OpeningId, ProviderRef, Resolution, Source, decide};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveRequest {
    pub resolution: Resolution,
    pub reason: String,
    pub evidence: String,
    pub expected_version: Option<i64>,
}

/// # Errors
/// When there is no such opening, it has moved or cannot end so, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: OpeningId, request: ResolveRequest) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), "resolve", &id, request.reason.clone());
    let action = about_opening(action, id.0, request.detail());
    let (act, outcome) = (ActId(action.id), request.resolution.state());
    let own = acts.clone();
    let work = async move |connection: &mut PgConnection| {
        let opening = locked(connection, id).await?;
        if operator_actions::is_recorded(connection, action.id).await? {
            return Ok(());
        }
        let opening = as_expected(opening, request.expected_version)?;
        request.check(&opening)?;
        let fact = own.fact(&opening, "resolve", &action, &request.fact(act));
        inbox::insert(connection, &[fact]).await?;
        operator_actions::insert(connection, &action).await?;
        Ok::<_, ActError>(())
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    acts.cell.wakers.inbox.notify_one();
    tracing::info!(opening.id = %id, act.id = %act.0, to = %outcome, "an operator's resolution was stored; it is decided next");
    Ok(())
}

/// The decision that `decide` would make now: the transitions, and what would be sent, cancelled and put before people.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: OpeningId, request: ResolveRequest) -> Result<Decision, ActError> {
    let (act, now, own) = (acts.shell.ids.next(), acts.shell.clock.now(), acts.clone());
    let work = async move |connection: &mut PgConnection| {
        let opening = seen(connection, id, request.expected_version).await?;
        request.check(&opening)?;
        let knowledge = request.knowledge(connection, &opening).await?;
        let (inbox_id, source, fact) = (InboxId(act), Source::Operator, request.fact(ActId(act)));
        let policy = own.policy_of(&opening.request.provider);
        Ok::<_, ActError>(decide(&opening, &Event { inbox_id, source, fact, knowledge }, policy, now))
    };
    db::with_retries(&acts.cell.pool, work).await
}

impl ResolveRequest {
    /// Checks what can be seen at once; `decide` looks again, under the lock.
    fn check(&self, opening: &Opening) -> Result<(), ActError> {
        let held = opening.state.reference();
        let refused = match &self.resolution {
            Resolution::Completed { provider_reference: Some(said), .. }
                if !opening.state_name().is_terminal() && held.is_some_and(|held| held != said) =>
            {
                Some("the opening waits under another provider_reference")
            }
            resolution => resolution.refused_by(&opening.state),
        };
        refused.map_or(Ok(()), |why| Err(ActError::WrongState(why)))
    }

    fn fact(&self, act: ActId) -> Fact {
        let Self { resolution, reason, evidence, .. } = self.clone();
        Fact::Resolved { act, resolution, reason, evidence }
    }

    fn detail(&self) -> Value {
        let mut detail = serde_json::to_value(&self.resolution).unwrap_or_default();
        detail["evidence"] = self.evidence.as_str().into();
        detail
    }

    /// Which other openings hold the account and the tracking id that it names.
    async fn knowledge(&self, connection: &mut PgConnection, opening: &Opening) -> sqlx::Result<Knowledge> {
        let Resolution::Completed { iban, provider_reference, .. } = &self.resolution else {
            return Ok(Knowledge::default());
        };
        let other = |holder: Option<uuid::Uuid>| holder.filter(|it| *it != opening.id.0).map(OpeningId);
        let ibans = openings::by_iban(connection, &[iban.as_str()]).await?;
        let references: Vec<&str> = provider_reference.iter().map(ProviderRef::as_str).collect();
        let held = openings::by_reference(connection, &[&opening.request.provider], &references).await?;
        Ok(Knowledge {
            iban_holder: other(ibans.first().map(|(_, id)| *id)),
            reference_holder: other(held.first().map(|(.., id)| *id)),
            ..Knowledge::default()
        })
    }
}
