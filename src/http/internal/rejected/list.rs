//! `GET /v1/rejected-requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::{RejectedRequest, cause, provider};
use crate::db::rejected;
use crate::http::Edge;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Problem};

/// Lists webhook requests that were refused, newest first, without their bodies.
#[utoipa::path(
    get,
    path = "/v1/rejected-requests",
    operation_id = "list_rejected_requests",
    tag = "People",
    params(
        ("provider" = Option<String>, Query, description = "Whose path they were sent to"),
        ("cause" = Option<String>, Query, description = "`signature_missing`, `signature_wrong`, `signature_stale`, \
            `too_large`, `unknown_provider` or `content_type`"),
        PageQuery,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<RejectedRequest>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
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
