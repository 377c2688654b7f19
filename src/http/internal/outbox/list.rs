//! `GET /v1/outbox`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::outbox::{self, Place, Waiting};
use crate::domain::Topic;
use crate::http::AppState;
use crate::http::internal::forms;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;

/// A call to another system that was not made or not answered yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingWork {
    /// The work's id, which is a command's Idempotency-Key.
    id: Uuid,
    /// The kind of work.
    #[schema(value_type = Topic)]
    topic: String,
    /// The market of a command's opening, or the name of a delivery's sink. Empty: work at the ticket tracker.
    #[schema(example = "BE")]
    lane: String,
    /// The opening that it belongs to; null of an event about a report, or about a case without an opening.
    opening_id: Option<Uuid>,
    /// The reason for waiting, or the class of the last failure. Null: not tried yet.
    #[schema(example = "breaker_open")]
    waits_for: Option<String>,
    /// The number of unusable answers that count towards `MAX_ATTEMPTS`.
    attempts: i32,
    /// How often the relay has claimed it.
    tries: i32,
    /// The time at which it is due; of claimed work, the end of the claim.
    next_attempt_at: DateTime<Utc>,
    /// The time of its creation.
    created_at: DateTime<Utc>,
}

impl From<Waiting> for WaitingWork {
    fn from(row: Waiting) -> Self {
        let Waiting { id, topic, lane, opening_id, waits_for, attempts, claims: tries, due_at, created_at } = row;
        Self { id, topic, lane, opening_id, waits_for, attempts, tries, next_attempt_at: due_at, created_at }
    }
}

/// Lists waiting work in the outbox, by topic, next due first. The list changes while it is read: work postponed
/// between two pages may appear on both.
#[utoipa::path(
    get,
    path = "/v1/outbox",
    operation_id = "list_waiting_work",
    tag = "People",
    params(("topic" = Option<Topic>, Query, description = "Work of this topic"), PageQuery<Place>),
    responses(
        (status = 200, description = "A page", body = Listing<WaitingWork>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<WaitingWork>>, ApiError> {
    params.only(&["topic"])?;
    let topic: Option<Topic> = params.read("topic", forms::word)?;
    let page = params.page::<Place>()?;
    let work = async move |connection: &mut PgConnection| outbox::list(connection, topic, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| (row.due_at, row.id), WaitingWork::from)))
}
