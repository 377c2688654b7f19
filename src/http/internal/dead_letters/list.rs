//! `GET /v1/dead-letters`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DeadLetter, Queue};
use crate::db::dead_letters::{self, Filter};
use crate::http::AppState;
use crate::http::internal::forms;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;

/// Lists dead letters, newest first: facts by their receipt, outbox work by the start of its opening.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    operation_id = "list_dead_letters",
    tag = "People",
    params(
        ("queue" = Option<Queue>, Query, description = "Dead letters of this queue"),
        ("cause" = Option<forms::Name>, Query, description = "Dead letters with this cause"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<DeadLetter>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<DeadLetter>>, ApiError> {
    let (filter, page) = (filter(&params)?, params.page()?);
    let work =
        async move |connection: &mut PgConnection| dead_letters::list(connection, &filter, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, DeadLetter::from)))
}

/// The filter of a list's parameters.
///
/// # Errors
/// Unknown or wrong parameters.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["queue", "cause"])?;
    let queue: Option<Queue> = params.read("queue", forms::word)?;
    Ok(Filter { queue: queue.map(|it| it.as_str().to_owned()), cause: params.read("cause", forms::name)? })
}
