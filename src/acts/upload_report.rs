//! Receives a report: the file is stored as it came, and the worker reads it afterwards.

use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator};
use crate::db::operator_actions::Action;
use crate::db::reports::NewReport;
use crate::db::{self, operator_actions, report_profiles};
use crate::reconciliation::ingest::Received;
use crate::report_files::profile::Profile;
use crate::report_files::row::{Header, Kind};

#[derive(Clone, Debug)]
pub struct UploadRequest {
    pub provider: String,
    pub kind: Kind,
    pub format: String,
    /// Where one reads the file.
    pub profile: Option<Arc<Profile>>,
    pub header: Header,
    pub file_name: Option<String>,
    pub dry_run: bool,
    pub supersedes: Option<Uuid>,
    /// Empty: none was given.
    pub reason: String,
}

/// The id of the report, and whether it is new.
///
/// # Errors
/// When the database is away, or the temporary file cannot be read.
pub async fn run(
    acts: &Acts,
    operator: &Operator,
    request: UploadRequest,
    received: Arc<Received>,
) -> Result<(Uuid, bool), ActError> {
    let id = acts.shell.ids.next();
    let action = acts.record(&operator.name(), "upload_report", &id, request.reason);
    let report = NewReport {
        id,
        provider: request.provider,
        kind: request.kind.to_string(),
        format: request.format,
        profile: request.profile.as_ref().and_then(|it| hex::decode(&it.sha256).ok()),
        file_name: request.file_name,
        bytes: i64::try_from(received.bytes).unwrap_or(i64::MAX),
        sha256: received.sha256,
        period_from: request.header.from,
        period_until: request.header.until,
        as_of: request.header.as_of,
        dry_run: request.dry_run,
        supersedes: request.supersedes,
        received_by: operator.name().to_string(),
        received_at: action.at,
    };
    let work = async move |connection: &mut PgConnection| {
        let (id, is_new) = received.store(connection, &report).await?;
        if let (true, Some(profile), Some(sha256)) = (is_new, &request.profile, &report.profile) {
            report_profiles::insert(connection, sha256, &profile.text, action.at).await?;
        }
        if is_new {
            let detail =
                serde_json::json!({"provider": report.provider, "kind": report.kind, "dry_run": report.dry_run});
            operator_actions::insert(connection, &Action { detail, ..action.clone() }).await?;
        } else {
            let found = Action { subject: id.to_string(), ..action.clone() };
            operator_actions::remember_form(connection, &found).await?;
        }
        Ok::<_, sqlx::Error>((id, is_new))
    };
    let stored = db::in_one_long_commit(&acts.cell.pool, work).await?;
    acts.cell.wakers.reconciliation.notify_one();
    tracing::info!(report.id = %stored.0, is_new = stored.1, "a report was uploaded");
    Ok(stored)
}
