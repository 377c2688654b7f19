//! `GET /v1/rejected-requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::{ProviderName, RejectedRequest, cause, provider};
use crate::db::rejected::{self, Cause};
use crate::http::Edge;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::ApiError;

/// Lists webhook requests that were refused, newest first, without their bodies.
#[utoipa::path(
    get,
    path = "/v1/rejected-requests",
    operation_id = "list_rejected_requests",
    tag = "People",
    params(
        ("provider" = Option<ProviderName>, Query, description = "Whose path they were sent to"),
        ("cause" = Option<Cause>, Query, description = "Why they were refused"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<RejectedRequest>),
    ),
)]
pub async fn list(State(edge): State<Arc<Edge>>, params: Params) -> Result<Json<Listing<RejectedRequest>>, ApiError> {
    params.only(&["provider", "cause"])?;
    let (provider, cause) = (params.read("provider", provider)?, params.read("cause", cause)?);
    let page = params.page()?;
    let work = move |mut connection: Connection| {
        let provider = provider.clone();
        async move { rejected::list(&mut connection, provider.as_deref(), cause, one_more(page)).await }
    };
    let rows = database(&edge.pool, work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, RejectedRequest::from)))
}
