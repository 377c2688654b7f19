//! `GET /v1/rejected-requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ProviderName, RefusedWebhook, provider};
use crate::db::refused_webhooks::{self, Cause, Filter};
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
        ("source" = Option<forms::Name>, Query, description = "Requests from this peer address"),
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
    let (filter, page) = (filter(&params)?, params.page()?);
    let work =
        async move |connection: &mut PgConnection| refused_webhooks::list(connection, &filter, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, RefusedWebhook::from)))
}

/// The filter of a list's parameters.
///
/// # Errors
/// Unknown or wrong parameters.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["provider", "cause", "source"])?;
    let cause: Option<Cause> = params.read("cause", forms::word)?;
    Ok(Filter {
        provider: params.read("provider", provider)?,
        cause: cause.map(|it| it.as_str().to_owned()),
        source: params.read("source", forms::name)?,
    })
}
