//! `GET /v1/account-openings/{id}/timeline`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::clock::Time;
use crate::db::openings;
use crate::db::timeline::Item as Row;
use crate::domain::OpeningId;
use crate::http::AppState;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};
use crate::inbox::timeline;

/// An item of the timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TimelineItem)]
pub struct Item {
    /// The time at which it happened.
    at: DateTime<Utc>,
    /// The kind: the source of a fact, `transition`, the topic of a command, `ticket` or `case`.
    #[schema(example = "webhook")]
    kind: String,
    /// The item's id in its own list; for a transition, its version.
    id: String,
    /// The item's data. For a provider's report `provider_status` is its status word; for an unanswered poll or
    /// submission `failure` is the class of the failure.
    #[schema(value_type = Object)]
    detail: Value,
}

/// Lists the timeline of an account opening, oldest first: webhooks, polls, transitions, commands with their attempts,
/// tickets, cases, operators' acts.
#[utoipa::path(
    get,
    path = "/v1/account-openings/{id}/timeline",
    operation_id = "list_timeline",
    tag = "Account openings",
    params(("id" = uuid::Uuid, Path, description = "The opening's id"), PageQuery<(Time, i32, String)>),
    responses(
        (status = 200, description = "A page", body = Listing<Item>),
    ),
)]
pub async fn timeline(
    State(state): State<Arc<AppState>>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Listing<Item>>, ApiError> {
    params.only(&[])?;
    let page = params.page::<(Time, i32, String)>()?;
    let limit = page.limit;
    let providers = state.outside.providers.clone();
    let work = async move |connection: &mut PgConnection| match openings::get(connection, OpeningId(id)).await? {
        Some(opening) => timeline::list(connection, &providers, &opening, one_more(&page)).await.map(Some),
        None => Ok(None),
    };
    let rows = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let item = |row: Row| Item { at: row.at, kind: row.kind, id: row.id, detail: row.detail };
    Ok(Json(listing(rows, limit, |row| (row.at, row.rank, row.id.clone()), item)))
}
