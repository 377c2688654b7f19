//! `GET /v1/events`: all events for subscribers, without gaps.
//!
//! A reader continues with its last `next_cursor`, which is never null: it is the position of the last event that was
//! read, so an empty page returns the reader's own cursor. A position ([`events::place`]) stays valid when the database moves.

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
use crate::sinks::cloud_event;

/// A page of events.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Events {
    /// CloudEvents 1.0; `data` is the account opening, report or case at that time.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    /// The cursor for the next request, now or later.
    next_cursor: String,
}

/// Lists events in the order in which they became visible; within an opening, `data.version` gives the order. A saved
/// cursor stays valid when the database is moved, upgraded or restored. After lost commits an event may be repeated
/// with the same id.
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
