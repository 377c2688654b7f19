//! `GET /v1/providers/{provider}/backfills`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Backfill, Named};
use crate::db::backfills;
use crate::http::AppState;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;

/// Lists a provider's backfills, newest first.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/backfills",
    operation_id = "list_backfills",
    tag = "People",
    params(("provider" = String, Path, description = "The provider's name"), PageQuery<Uuid>),
    responses(
        (status = 200, description = "A page", body = Listing<Backfill>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    Named(provider): Named,
    params: Params,
) -> Result<Json<Listing<Backfill>>, ApiError> {
    params.only(&[])?;
    let (page, provider) = (params.page()?, provider.to_owned());
    let work =
        async move |connection: &mut PgConnection| backfills::list(connection, Some(&provider), one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, Backfill::from)))
}
