//! Pulls a provider's list as a register, which is compared with our openings like a file.
//!
//! A pull is a row first, and a worker reads the list: neither a crash nor an outage of the provider loses it.

use chrono::SubsecRound as _;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::clock::Time;
use crate::db::operator_actions::Action;
use crate::db::reports::{self, NewPull};
use crate::db::{self, operator_actions};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub provider: String,
    /// Requests that changed in [from, until); later changes are in the list too.
    pub from: Time,
    pub until: Time,
    pub reason: String,
}

/// The id of the report, and whether it is new: the list of the same period may be read already.
///
/// # Errors
/// When the provider has no list, the period is empty or ends in the future, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, request: PullRequest) -> Result<(Uuid, bool), ActError> {
    let id = acts.shell.ids.next();
    let action = acts.record(&operator.name(), "pull_report", &id, request.reason.clone());
    let new = asked(acts, operator, &request, id, action.at)?;
    let detail = json!({"provider": new.provider, "from": new.from, "until": new.until});
    let action = Action { detail, ..action };
    let work = async move |connection: &mut PgConnection| {
        if reports::insert_pull(connection, &new).await?.is_some() {
            operator_actions::insert(connection, &action).await?;
            return Ok((new.id, true));
        }
        let pending = reports::pending_pull(connection, &new.provider, new.from, new.until).await?;
        let ended = || ActError::Unavailable("the pull of the same period has just ended".to_owned());
        let found = pending.ok_or_else(ended)?;
        operator_actions::remember_form(connection, &Action { subject: found.to_string(), ..action.clone() }).await?;
        Ok::<_, ActError>((found, false))
    };
    let (id, is_new) = db::in_one_commit(&acts.cell.pool, work).await?;
    acts.cell.wakers.reconciliation.notify_one();
    tracing::info!(report.id = %id, is_new, "an operator requested a pull");
    Ok((id, is_new))
}

/// A pull as it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preview {
    pub from: Time,
    pub until: Time,
    /// The pull of the same period that would serve the request.
    pub served_by: Option<Uuid>,
}

/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, operator: &Operator, request: PullRequest) -> Result<Preview, ActError> {
    let new = asked(acts, operator, &request, Uuid::nil(), acts.shell.clock.now())?;
    let work = async move |connection: &mut PgConnection| {
        let served_by = reports::pending_pull(connection, &new.provider, new.from, new.until).await?;
        Ok::<_, ActError>(Preview { from: new.from, until: new.until, served_by })
    };
    db::with_retries(&acts.cell.pool, work).await
}

fn asked(acts: &Acts, operator: &Operator, request: &PullRequest, id: Uuid, now: Time) -> Result<NewPull, ActError> {
    let providers = &acts.outside.providers;
    let Some(provider) = providers.with_list(&request.provider).map(|it| it.name()) else {
        let known: Vec<&str> = providers.names_with_list().collect();
        return Err(ActError::field("/provider", format!("must be a provider with a list: {}", known.join(", "))));
    };
    let (from, until) = (kept(request.from), kept(request.until));
    if until > now {
        return Err(ActError::field("/until", "must not be in the future"));
    }
    if from >= until {
        return Err(ActError::field("/from", "must be before until"));
    }
    let (provider, received_by) = (provider.to_owned(), operator.name().to_string());
    Ok(NewPull { id, provider, from, until, scheduled_n: None, received_by, received_at: now })
}

/// In the microseconds that the database keeps, and not before 1970.
fn kept(time: Time) -> Time {
    time.max(Time::UNIX_EPOCH).trunc_subsecs(6)
}
