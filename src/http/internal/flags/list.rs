//! `GET /v1/feature-flags`: the rules in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::FlagRule;
use crate::db::feature_flags::{self, Change, ScopeKey};
use crate::domain::flag::ASYNC_ACCOUNT_OPENING;
use crate::http::AppState;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;
use sqlx::PgConnection;

/// Lists the rules in force; rules for all come first. The narrowest matching rule decides; without one the flag is on.
#[utoipa::path(
    get,
    path = "/v1/feature-flags",
    operation_id = "list_feature_flags",
    tag = "Feature flags",
    params(PageQuery<ScopeKey>),
    responses(
        (status = 200, description = "A page", body = Listing<FlagRule>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<FlagRule>>, ApiError> {
    params.only(&[])?;
    let page = params.page()?;
    let limit = page.limit;
    let work = async move |connection: &mut PgConnection| {
        feature_flags::list(connection, ASYNC_ACCOUNT_OPENING, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, limit, Change::scope_key, FlagRule::from)))
}
