//! `GET /v1/events`: the events that subscribers are sent, none skipped.
//!
//! Whoever asks again with the last `next_cursor` goes on where they were, so it is never null: after the last event it
//! is the place where the next one will be. It is a position ([`events::place`]), which outlives a move of the database.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::cursor::Key;
use super::page::{PageQuery, Params};
use crate::db::events;
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::services::cloud_event;

/// A page of events.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Events {
    /// CloudEvents 1.0; `data` is the account opening as it was then.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    /// Where to go on, now or later.
    next_cursor: String,
}

/// Lists events in the order in which they became visible; by opening, `data.version` gives the order. A kept cursor stays good when
/// the database is moved, upgraded or restored. After commits were lost, an event may come again under the same id.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "list_events",
    tag = "Events",
    params(PageQuery<i64>),
    responses(
        (status = 200, description = "A page, empty when there is nothing new", body = Events),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Events>, ApiError> {
    params.only(&[])?;
    let page = params.page::<i64>()?;
    let now = state.shell.clock.now();
    let work = async move |connection: &mut PgConnection| {
        events::place(connection, now).await?;
        events::list(connection, page).await
    };
    let rows = state.read(work).await?;
    let last = rows.last().map(|(position, _)| *position).or(page.after).unwrap_or_default();
    Ok(Json(Events { items: rows.iter().map(|(_, event)| cloud_event(event)).collect(), next_cursor: last.write() }))
}
