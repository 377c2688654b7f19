//! `GET /v1/outbox`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::outbox::{self, Place, Waiting};
use crate::domain::Topic;
use crate::http::Edge;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Problem};

/// A call to another system that has not been made, or not been answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingWork {
    /// Its id, which is the Idempotency-Key of a command.
    id: Uuid,
    /// What it is for.
    #[schema(example = "open_ticket")]
    topic: String,
    /// The opening that it is for.
    opening_id: Uuid,
    /// What holds it back, or the class of its last failure; none: it has not been tried.
    #[schema(example = "breaker_open")]
    waits_for: Option<String>,
    /// How many unusable answers count towards `MAX_ATTEMPTS`.
    attempts: i32,
    /// How often a relay took it up.
    tries: i32,
    /// When it is due.
    next_attempt_at: DateTime<Utc>,
    /// When it was written.
    created_at: DateTime<Utc>,
}

impl From<Waiting> for WaitingWork {
    fn from(row: Waiting) -> Self {
        let Waiting { id, topic, opening_id, waits_for, attempts, claims: tries, next_attempt_at, created_at, .. } =
            row;
        Self { id, topic, opening_id, waits_for, attempts, tries, next_attempt_at, created_at }
    }
}

/// Lists the work that waits in the outbox, by topic, the next due first. It changes while it is read: what is put off between two
/// pages may be on both.
#[utoipa::path(
    get,
    path = "/v1/outbox",
    operation_id = "list_waiting_work",
    tag = "People",
    params(("topic" = Option<String>, Query, description = "Of this topic alone: `create_profile`, `submit_request`, `open_account`, \
        `issue_card`, `deliver_event`, `open_ticket`, `close_ticket`"), PageQuery),
    responses(
        (status = 200, description = "A page", body = Listing<WaitingWork>),
        (status = 400, description = "`unknown-field`: a parameter that does not exist", body = Problem),
        (status = 422, description = "`validation-failed`", body = Problem),
    ),
)]
pub async fn list(State(edge): State<Arc<Edge>>, params: Params) -> Result<Json<Listing<WaitingWork>>, ApiError> {
    params.only(&["topic"])?;
    let topics: Vec<&'static str> = Topic::ALL.iter().map(|it| it.as_str()).collect();
    let topic: Option<Topic> = params.one_of("topic", &topics)?.and_then(|it| it.parse().ok());
    let page = params.page::<Place>()?;
    let limit = page.limit;
    let work = move |mut connection: Connection| {
        let page = one_more(page.clone());
        async move { outbox::list(&mut connection, topic, page).await }
    };
    let rows = database(&edge.pool, work).await?;
    let place = |row: &Waiting| (row.topic.clone(), row.lane.clone(), row.next_attempt_at, row.id);
    Ok(Json(listing(rows, limit, place, WaitingWork::from)))
}
