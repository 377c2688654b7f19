//! Makes the evidence of an opening and records that it was handed out.

use serde_json::json;
use sqlx::PgConnection;

use super::{ActError, Acts, Principal, about_opening};
use crate::db::{self, operator_actions};
use crate::domain::OpeningId;
use crate::reconciliation::evidence::bundle::Finished;
use crate::reconciliation::evidence::opening::Mask;
use crate::reconciliation::evidence::opening::collect::{Request, collect};

/// The document, in a temporary file without a name. Readers get it through a mask.
///
/// # Errors
/// When there is no such opening, or database or disk are away: an unrecorded export is not handed out.
pub async fn run(acts: &Acts, principal: &Principal, id: OpeningId, mask: Option<Mask>) -> Result<Finished, ActError> {
    let key =
        acts.settings.evidence_key.clone().ok_or_else(|| ActError::Internal("there is no EVIDENCE_KEY".to_owned()))?;
    let (public, masked) = (key.public().fingerprint(), mask.is_some());
    let action = acts.record(principal.name(), "export", &id, String::new());
    let document = collect(&acts.cell.pool, Request { opening: id.0, now: action.at, key, mask }).await?;
    let detail = json!({"what": "evidence", "masked": masked, "manifest_sha256": document.manifest_sha256,
                        "public_key_sha256": public});
    let action = about_opening(action, id.0, detail);
    let work = async move |connection: &mut PgConnection| operator_actions::insert(connection, &action).await;
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(opening.id = %id, bytes = document.bytes, masked, "evidence was exported");
    Ok(document)
}
