//! `GET /v1/feature-flags/{flag}/changes`: the changes of a flag with operator and reason.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::{Flag, FlagName, FlagRule};
use crate::db::feature_flags;
use crate::http::AppState;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;
use sqlx::PgConnection;

/// Lists the changes of a flag, newest first.
#[utoipa::path(
    get,
    path = "/v1/feature-flags/{flag}/changes",
    operation_id = "list_feature_flag_changes",
    tag = "Feature flags",
    params(("flag" = FlagName, Path, description = "The flag"), PageQuery<i64>),
    responses(
        (status = 200, description = "A page", body = Listing<FlagRule>),
    ),
)]
pub async fn changes(
    State(state): State<Arc<AppState>>,
    Flag(flag): Flag,
    params: Params,
) -> Result<Json<Listing<FlagRule>>, ApiError> {
    params.only(&[])?;
    let (page, flag) = (params.page()?, flag.to_owned());
    let work =
        async move |connection: &mut PgConnection| feature_flags::changes(connection, &flag, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.number, FlagRule::from)))
}
