//! `GET /v1/account-openings/{id}/history`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::db::history::{self, Transition};
use crate::db::openings;
use crate::domain::{OpeningId, Source, StateName};
use crate::http::AppState;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

/// A transition of an opening.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Transition)]
pub struct Item {
    /// The opening's version after the transition, from 1.
    version: i64,
    /// The state before. Null: the start.
    #[schema(value_type = Option<StateName>)]
    from: Option<String>,
    /// The state after the transition.
    #[schema(value_type = StateName)]
    to: String,
    /// The kind of fact that caused it.
    #[schema(example = "submission_accepted")]
    event: String,
    /// The source of the fact.
    #[schema(value_type = Source)]
    source: String,
    /// The time of the transition.
    at: DateTime<Utc>,
    /// A note for people.
    detail: Option<String>,
    /// The hash of this row and all rows before it, in hexadecimal.
    hash: String,
}

impl From<Transition> for Item {
    fn from(row: Transition) -> Self {
        let Transition { version, from_state, to_state, event, source, at, detail, hash, .. } = row;
        Self { version, from: from_state, to: to_state, event, source, at, detail, hash: hex::encode(hash) }
    }
}

/// Lists the transitions of an account opening, oldest first.
#[utoipa::path(
    get,
    path = "/v1/account-openings/{id}/history",
    operation_id = "list_transitions",
    tag = "Account openings",
    params(("id" = uuid::Uuid, Path, description = "The opening's id"), PageQuery<i64>),
    responses(
        (status = 200, description = "A page", body = Listing<Item>),
    ),
)]
pub async fn history(
    State(state): State<Arc<AppState>>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Listing<Item>>, ApiError> {
    params.only(&[])?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| match openings::get(connection, OpeningId(id)).await? {
        Some(opening) => history::list(connection, opening.id, one_more(&page)).await.map(Some),
        None => Ok(None),
    };
    let rows = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(listing(rows, page.limit, |row| row.version, Item::from)))
}
