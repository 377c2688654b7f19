//! `/v1/reports`: reports of providers, their rows, and what an operator decides about them.

mod decide;
pub mod evidence;
pub mod pull;
pub mod read;
pub mod upload;

use std::sync::Arc;

use axum::Json;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::reports;
use crate::http::AppState;
use crate::http::problem::ApiError;
pub use crate::reconciliation::resource::{Report, ReportKind, ReportState};

/// The report as it is now, with its address.
async fn answer(state: &AppState, id: Uuid, status: StatusCode) -> Result<Response, ApiError> {
    let report = state.read(async move |connection: &mut PgConnection| reports::get(connection, id).await).await?;
    let report = Report::from(report.ok_or(ApiError::internal("a stored report is gone"))?);
    let mut response = (status, Json(report)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/reports/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    let upload = OpenApiRouter::new().routes(routes!(upload::upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .merge(upload)
        .routes(routes!(pull::pull))
        .routes(routes!(read::list))
        .routes(routes!(read::get))
        .routes(routes!(read::rows))
        .routes(routes!(read::errors))
        .routes(routes!(read::raw))
        .routes(routes!(evidence::evidence))
        .routes(routes!(decide::release))
        .routes(routes!(decide::discard))
}
