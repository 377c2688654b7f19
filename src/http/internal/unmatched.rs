//! `GET /v1/unmatched-facts`: facts about unknown openings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{Listing, PageQuery, Params, listing, one_more};
use crate::db::inbox::{self, Unmatched};
use crate::http::AppState;
use crate::http::problem::ApiError;

/// A fact that matches no opening.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnmatchedFact {
    /// The fact's id in the inbox.
    id: Uuid,
    /// The source of the fact.
    #[schema(example = "webhook")]
    source: String,
    /// The provider's name.
    provider: String,
    /// The tracking id in the fact.
    #[schema(example = "aor_1")]
    provider_reference: Option<String>,
    /// Our id in the fact; no such opening exists.
    opening_id: Option<Uuid>,
    /// The time of receipt.
    received_at: DateTime<Utc>,
    /// `pending`: waits for its opening. `dead`: waited for `PARKED_TTL` and is a dead letter.
    #[schema(example = "pending")]
    status: String,
    /// The time of the next try. Null: dead.
    next_attempt_at: Option<DateTime<Utc>>,
    /// The time at which it becomes a dead letter, if nothing matches it before. Null: dead.
    waits_until: Option<DateTime<Utc>>,
}

impl UnmatchedFact {
    fn new(row: Unmatched, parked_ttl: TimeDelta) -> Self {
        let waits_until = waits_until(&row, parked_ttl);
        let Unmatched { id, source, provider, provider_ref, opening_id, received_at, status, due_at, .. } = row;
        Self {
            id,
            source,
            provider,
            provider_reference: provider_ref,
            opening_id,
            received_at,
            status,
            next_attempt_at: due_at,
            waits_until,
        }
    }
}

/// When a fact that waits becomes a dead letter. None: it is one.
#[must_use]
pub fn waits_until(row: &Unmatched, parked_ttl: TimeDelta) -> Option<DateTime<Utc>> {
    (row.status == "pending").then(|| row.retry_from + parked_ttl)
}

/// Lists facts that match no opening, newest first, without their bodies.
#[utoipa::path(
    get,
    path = "/v1/unmatched-facts",
    operation_id = "list_unmatched_facts",
    tag = "People",
    params(PageQuery<Uuid>),
    responses(
        (status = 200, description = "A page", body = Listing<UnmatchedFact>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Json<Listing<UnmatchedFact>>, ApiError> {
    params.only(&[])?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| inbox::unmatched(connection, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, |row| UnmatchedFact::new(row, state.settings.parked_ttl))))
}
