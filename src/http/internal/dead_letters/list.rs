//! `GET /v1/dead-letters`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::DeadLetter;
use crate::db::dead_letters;
use crate::http::Edge;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Problem};

/// Lists dead letters, newest first: facts by when they came, work by when its opening started.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    operation_id = "list_dead_letters",
    tag = "People",
    params(("queue" = Option<String>, Query, description = "`inbox` or `outbox`"), PageQuery),
    responses(
        (status = 200, description = "A page", body = Listing<DeadLetter>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn list(State(edge): State<Arc<Edge>>, params: Params) -> Result<Json<Listing<DeadLetter>>, ApiError> {
    params.only(&["queue"])?;
    let queue = params.one_of("queue", &["inbox", "outbox"])?;
    let page = params.page()?;
    let work = move |mut connection: Connection| async move {
        dead_letters::list(&mut connection, queue, one_more(page)).await
    };
    let rows = database(&edge.pool, work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, DeadLetter::from)))
}
