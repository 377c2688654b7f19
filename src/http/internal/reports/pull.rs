//! `POST /v1/reports/pull`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Report, answer};
use crate::acts::Operator;
use crate::acts::pull_report::{self, PullRequest};
use crate::acts::reason::ReasonText;
use crate::http::AppState;
use crate::http::internal::fields::body;
use crate::http::internal::forms::{Name, Timestamp};
use crate::http::internal::json::Body;
use crate::http::problem::ApiError;

body!(
    /// The list that is read, and the period that the report is about.
    PullBody {
        /// A provider with a list.
        provider: Name,
        /// Requests that changed at this time or later; a time before 1970 counts as 1970.
        from: Timestamp,
        /// The end of the period. Requests that changed later are in the list too.
        until: Timestamp,
        /// The reason, for the record.
        reason: ReasonText,
    }
);

/// Reads a provider's list as a register, for a provider that sends no files.
///
/// The worker reads it page by page, and compares it with our openings like a file. It is never `complete`: nothing is concluded from
/// what is absent. While the same period is being read, a repeat returns the same report.
#[utoipa::path(
    post,
    path = "/v1/reports/pull",
    operation_id = "pull_report",
    tag = "Reconciliation",
    request_body = PullBody,
    responses(
        (status = 202, description = "The list will be read", body = Report),
    ),
)]
pub async fn pull(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Body(PullBody { provider, from, until, reason }): Body<PullBody>,
) -> Result<Response, ApiError> {
    let request = PullRequest { provider, from, until, reason };
    let (id, _) = pull_report::run(&state.acts, &operator, request).await?;
    answer(&state, id, StatusCode::ACCEPTED).await
}
