//! Makes the evidence of a report and records that it was handed out.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::db::operator_actions::Action;
use crate::db::{self, operator_actions};
use crate::reconciliation::evidence::bundle::Finished;
use crate::reconciliation::evidence::collect::{CollectError, collect};

/// The bundle, in a temporary file without a name.
///
/// # Errors
/// When there is no such report, it is not read yet, or database or disk are away: an unrecorded export is not handed out.
pub async fn run(acts: &Acts, operator: &Operator, id: Uuid) -> Result<Finished, ActError> {
    let key =
        acts.settings.evidence_key.clone().ok_or_else(|| ActError::Internal("there is no EVIDENCE_KEY".to_owned()))?;
    let public = key.public().fingerprint();
    let action = acts.record(&operator.name(), "export", &id, String::new());
    let bundle = collect(&acts.cell.pool, id, action.at, key).await?;
    let detail = json!({"what": "evidence", "manifest_sha256": bundle.manifest_sha256, "public_key_sha256": public});
    let action = Action { detail, ..action };
    let work = async move |connection: &mut PgConnection| operator_actions::insert(connection, &action).await;
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(report.id = %id, bytes = bundle.bytes, "evidence was exported");
    Ok(bundle)
}

impl From<CollectError> for ActError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::NotFound => Self::NotFound,
            CollectError::Unfinished => Self::WrongState("the report is not read to its end yet"),
            CollectError::Database(error) => Self::Database(error),
            CollectError::Disk(_) => Self::Unavailable(error.to_string()),
        }
    }
}
