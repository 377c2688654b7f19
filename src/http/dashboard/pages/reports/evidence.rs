//! `/reports/{id}/evidence.zip`: the report's evidence, recorded as an export.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::acts::{Operator, export_evidence};
use crate::http::dashboard::Dashboard;
use crate::http::dashboard::export::OwnSite;
use crate::http::internal::path::Id;
use crate::http::internal::reports::evidence::answer;
use crate::http::problem::ApiError;

pub async fn evidence(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    operator: Operator,
    Id(id): Id,
) -> Result<Response, ApiError> {
    Ok(answer(id, export_evidence::run(&dashboard.acts, &operator, id).await?))
}
