//! `GET /v1/rejected-requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ProviderName, RefusedWebhook, provider};
use crate::db::refused_webhooks::{self, Cause};
use crate::http::AppState;
use crate::http::internal::forms;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;

/// Lists refused webhook requests, newest first, without their bodies.
#[utoipa::path(
    get,
    path = "/v1/rejected-requests",
    operation_id = "list_rejected_requests",
    tag = "People",
    params(
        ("provider" = Option<ProviderName>, Query, description = "Requests to this provider's path"),
        ("cause" = Option<Cause>, Query, description = "Requests with this cause"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<RefusedWebhook>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Json<Listing<RefusedWebhook>>, ApiError> {
    params.only(&["provider", "cause"])?;
    let provider = params.read("provider", provider)?;
    let cause: Option<Cause> = params.read("cause", forms::word)?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| {
        refused_webhooks::list(connection, provider.as_deref(), cause.map(Cause::as_str), one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, RefusedWebhook::from)))
}
