//! `GET /v1/feature-flags/{flag}/changes`: who set it to what, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::{Flag, FlagRule};
use crate::db::feature_flags;
use crate::http::Edge;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Problem};

/// Lists the changes of a flag, newest first.
#[utoipa::path(
    get,
    path = "/v1/feature-flags/{flag}/changes",
    operation_id = "list_feature_flag_changes",
    tag = "Feature flags",
    params(("flag" = String, Path, description = "`async-account-opening`"), PageQuery),
    responses(
        (status = 200, description = "A page", body = Listing<FlagRule>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist", body = Problem),
        (status = 404, description = "`not-found`", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn changes(
    State(edge): State<Arc<Edge>>,
    Flag(flag): Flag,
    params: Params,
) -> Result<Json<Listing<FlagRule>>, ApiError> {
    params.only(&[])?;
    let page = params.page()?;
    let work = move |mut connection: Connection| async move {
        feature_flags::changes(&mut connection, flag, one_more(page)).await
    };
    let rows = database(&edge.pool, work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.number, FlagRule::from)))
}
