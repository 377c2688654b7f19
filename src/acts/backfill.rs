//! Pulls a provider's list and feeds it through the inbox: an item of it counts like a webhook.
//!
//! A backfill is a row first, and a worker pulls: neither a crash nor an outage of the provider loses it.

use chrono::SubsecRound as _;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::clock::Time;
use crate::db::backfills::{self, Cause};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};
use crate::workers::backfill;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    pub provider: &'static str,
    pub reason: String,
    /// None: from the provider's last webhook, less the overlap.
    pub since: Option<Time>,
}

/// The id of the backfill that does it, which may be one that was asked for before and has not begun.
///
/// # Errors
/// When the provider has no list, `since` is in the future, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, request: BackfillRequest) -> Result<Uuid, ActError> {
    let action = acts.record(&operator.name(), "backfill", &request.provider, request.reason.clone());
    let asked = asked(acts, operator, &request, action.at)?;
    let overlap = acts.settings.catch_up_overlap;
    let work = async move |connection: &mut PgConnection| {
        let id = backfill::request(connection, &asked, overlap, action.at).await?;
        let action = Action { detail: json!({"backfill_id": id, "since": asked.since}), ..action.clone() };
        operator_actions::insert(connection, &action).await?;
        Ok::<_, sqlx::Error>(id)
    };
    let id = db::in_one_commit(&acts.cell.pool, work).await?.ok_or_else(not_inserted)?;
    acts.cell.wakers.backfill.notify_one();
    tracing::info!(provider = request.provider, backfill.id = %id, "an operator requested a backfill");
    Ok(id)
}

/// A backfill as it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preview {
    /// From when on the list would be read.
    pub since: Time,
    /// The pending backfill that goes back as far and would serve the request.
    pub served_by: Option<Uuid>,
}

/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, operator: &Operator, request: BackfillRequest) -> Result<Preview, ActError> {
    let now = acts.shell.clock.now();
    let asked = asked(acts, operator, &request, now)?;
    let overlap = acts.settings.catch_up_overlap;
    let work = async move |connection: &mut PgConnection| {
        let new = backfill::to_insert(connection, &asked, overlap, now).await?.ok_or_else(not_inserted)?;
        Ok(Preview { since: new.since, served_by: backfills::serving(connection, &new).await? })
    };
    db::with_retries(&acts.cell.pool, work).await
}

fn asked(
    acts: &Acts,
    operator: &Operator,
    request: &BackfillRequest,
    now: Time,
) -> Result<backfill::BackfillRequest, ActError> {
    let since = request.since.map(|since| from(since, now)).transpose()?;
    if acts.outside.providers.with_list(request.provider).is_none() {
        return Err(ActError::WrongState("this provider has no list"));
    }
    let (id, provider) = (acts.shell.ids.next(), request.provider.to_owned());
    let by = Some((operator.name().to_string(), request.reason.clone()));
    Ok(backfill::BackfillRequest { id, provider, since, away_since: None, cause: Cause::Operator, by })
}

fn not_inserted() -> ActError {
    ActError::Internal("a requested backfill was not inserted".to_owned())
}

/// In the microseconds that the database keeps, and not before 1970. A time in the future is refused: a list from then on would
/// be empty, and hide that nothing was looked for.
fn from(since: Time, now: Time) -> Result<Time, ActError> {
    if since > now {
        return Err(ActError::WrongState("since is in the future"));
    }
    Ok(since.max(Time::UNIX_EPOCH).trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_has_not_come_is_refused_and_one_before_1970_is_1970() {
        let now: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        let from = |text: &str| from(chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc(), now);
        for since in ["2025-12-31T23:59:59Z", "2026-01-01T01:59:59.0000001+02:00", "2026-01-01T00:00:00Z"] {
            assert!(from(since).unwrap() <= now, "{since}");
        }
        for since in ["2026-01-01T00:00:01Z", "9999-12-31T23:59:59-23:59"] {
            assert!(matches!(from(since), Err(ActError::WrongState(_))), "{since}");
        }
        for since in ["1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(from(since).unwrap(), Time::UNIX_EPOCH, "{since}");
        }
    }
}
