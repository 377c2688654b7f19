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
use crate::http::internal::fields;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::problem::ApiError;

/// A call to another system that has not been made, or not been answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingWork {
    /// Its id, which is the Idempotency-Key of a command.
    id: Uuid,
    /// What it is for.
    #[schema(value_type = Topic)]
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
    params(("topic" = Option<Topic>, Query, description = "What it is for"), PageQuery<Place>),
    responses(
        (status = 200, description = "A page", body = Listing<WaitingWork>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<WaitingWork>>, ApiError> {
    params.only(&["topic"])?;
    let topic: Option<Topic> = params.read("topic", fields::word)?;
    let page = params.page::<Place>()?;
    let work = async move |connection: &mut PgConnection| outbox::list(connection, topic, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| (row.next_attempt_at, row.id), WaitingWork::from)))
}
