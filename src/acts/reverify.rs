//! Verifies a refused webhook again, with the secrets of today and its time judged as at receipt, and takes it in.
//!
//! The webhook is taken in first, then marked and recorded in one commit. A crash in between leaves it unmarked; a repeat finds it in the
//! inbox.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::db::operator_actions::Action;
use crate::db::refused_webhooks::{self, Believed, Candidate, Row, StillRefused, Whole};
use crate::db::{self, operator_actions};
use crate::inbox::Unavailable;
use crate::provider::VerifyError;
use crate::refused_webhooks::{Again, Believable, look_again};

/// The longest that taking requests in may take.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(4);

/// # Errors
/// When there is no such request, it was verified already or is still refused, it cannot be taken in now, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, reason: String) -> Result<(), ActError> {
    let believable = look(acts, id).await?;
    let taking = timeout(TAKEN_WITHIN, believable.take_in(&acts.ingest, &acts.secret_uses));
    let taken = taking.await.unwrap_or(Err(Unavailable("storing the webhook took too long")));
    let believed = taken.map_err(|error| ActError::Unavailable(error.to_string()))?;
    let detail = json!({"event_id": believed.event_id, "outcome": believed.outcome});
    mark(acts, vec![believed], Vec::new(), record(acts, operator, &id.to_string(), reason, detail)).await?;
    tracing::info!(refused_webhook.id = %id, "a refused webhook verified; its reports are now in the inbox");
    Ok(())
}

/// Whether it would be taken in.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: Uuid) -> Result<(), ActError> {
    look(acts, id).await.map(drop)
}

async fn look(acts: &Acts, id: Uuid) -> Result<Believable<'_>, ActError> {
    let get = async move |connection: &mut PgConnection| refused_webhooks::get(connection, id).await;
    let whole = db::with_retries(&acts.cell.pool, get).await?.ok_or(ActError::NotFound)?;
    match look_again(&candidate(whole)?, &acts.outside.providers) {
        Again::Believed(believable) => Ok(believable),
        Again::UnknownProvider => Err(ActError::WrongState("no provider has this name")),
        Again::Refused(error, _) => Err(ActError::WrongState(still_refused(error))),
    }
}

fn candidate(Whole { row, headers, body }: Whole) -> Result<Candidate, ActError> {
    if row.verified_at.is_some() {
        return Err(ActError::WrongState("the request was verified already"));
    }
    let body = body.ok_or(ActError::WrongState("the request's body was not kept"))?;
    let Row { id, provider, received_at, method, path, .. } = row;
    Ok(Candidate { id, provider, received_at, method, path, headers, body })
}

const fn still_refused(error: VerifyError) -> &'static str {
    match error {
        VerifyError::Missing => "still refused: the signature is missing",
        VerifyError::Wrong => "still refused: the signature does not match",
        VerifyError::Stale => "still refused: the signed time was out of tolerance at receipt",
    }
}

pub(super) fn record(acts: &Acts, operator: &Operator, subject: &str, reason: String, detail: Value) -> Action {
    Action { detail, ..acts.record(&operator.name(), "reverify", &subject, reason) }
}

/// Marks what looking again said, and records the act, in one commit.
pub(super) async fn mark(
    acts: &Acts,
    believed: Vec<Believed>,
    still: Vec<StillRefused>,
    action: Action,
) -> sqlx::Result<()> {
    let work = async move |connection: &mut PgConnection| {
        refused_webhooks::mark(connection, &believed, &still, action.id, action.at).await?;
        operator_actions::insert(connection, &action).await
    };
    db::in_one_commit(&acts.cell.pool, work).await
}
