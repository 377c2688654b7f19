//! Releases or discards a report that differs too much to be applied by itself.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Once, Operator};
use crate::db::operator_actions::Action;
use crate::db::reports::{self, Decided};
use crate::db::{self, mismatches, operator_actions};
use crate::domain::text::string_enum;

string_enum!(
    /// An operator's decision about a report.
    Verdict {
        /// The right file: it has its effects.
        Release = "release_report",
        /// The wrong file: it never has an effect.
        Discard = "discard_report",
    }
);

/// # Errors
/// When there is no such report, its state does not allow it, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid, verdict: Verdict, reason: String) -> Result<(), ActError> {
    let action = acts.record(&operator.name(), verdict.as_str(), &id, reason);
    let own = action.clone();
    let work = async move |connection: &mut PgConnection| {
        let decided = match verdict {
            Verdict::Release => reports::release(connection, id, own.at).await?,
            Verdict::Discard => reports::discard(connection, id, own.at).await?,
        };
        match decided {
            Decided::Now => {
                mismatches::resolve_of_report(connection, id, &own.who, &own.reason, own.at).await?;
                operator_actions::insert(connection, &Action { detail: json!({}), ..own.clone() }).await?;
            }
            Decided::Already => operator_actions::remember_form(connection, &own).await?,
            Decided::Otherwise | Decided::NotFound => {}
        }
        Ok::<_, sqlx::Error>(decided)
    };
    match once(db::in_one_commit(&acts.cell.pool, work).await?, ())? {
        Once::Now(()) => tracing::info!(report.id = %id, action = action.action, "an operator decided about a report"),
        Once::Already => {}
    }
    acts.cell.wakers.reconciliation.notify_one();
    Ok(())
}

/// Checks the report as [`run`] does, and writes nothing; returns its number of rows.
///
/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: Uuid, verdict: Verdict) -> Result<Once<i64>, ActError> {
    let work = async move |connection: &mut PgConnection| reports::check(connection, id).await;
    let checked = db::with_retries(&acts.cell.pool, work).await?.ok_or(ActError::NotFound)?;
    let decided = match verdict {
        Verdict::Release => checked.release,
        Verdict::Discard => checked.discard,
    };
    once(decided, checked.rows)
}

const fn once<T: Copy>(decided: Decided, now: T) -> Result<Once<T>, ActError> {
    match decided {
        Decided::Now => Ok(Once::Now(now)),
        Decided::Already => Ok(Once::Already),
        Decided::Otherwise => Err(ActError::WrongState("the report is not held, or it has had its effects")),
        Decided::NotFound => Err(ActError::NotFound),
    }
}
