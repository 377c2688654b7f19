//! `GET /v1/tickets`: openings that an operator must look at.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::forms;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::tickets;
use crate::domain::TicketKind;
use crate::domain::text::string_enum;
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::services::tracker::TrackerSettings;

string_enum!(
    /// Whether an operator must still act.
    TicketStatus {
        /// An operator must look at the opening.
        Open = "open",
        /// The opening moved on, or an operator ended it.
        Closed = "closed",
    }
);

/// A ticket; one per opening and kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// The ticket's id.
    id: Uuid,
    /// The opening to look at.
    opening_id: Uuid,
    /// The kind of problem.
    #[schema(value_type = TicketKind)]
    kind: String,
    /// The summary of the problem.
    summary: String,
    /// The opening's page on the dashboard.
    link: String,
    /// Whether the ticket is open.
    #[schema(value_type = TicketStatus)]
    status: String,
    /// The reason for closing it.
    reason: Option<String>,
    /// The time at which it was first opened.
    created_at: DateTime<Utc>,
    /// The time at which it was last opened or closed.
    updated_at: DateTime<Utc>,
    /// The key at the ticket tracker, if one is configured.
    #[schema(example = "OPS-17")]
    tracker_key: Option<String>,
    /// The URL at the ticket tracker.
    tracker_url: Option<String>,
}

impl Ticket {
    fn new(row: tickets::Row, tracker: Option<&TrackerSettings>) -> Self {
        let tickets::Row { id, opening_id, kind, summary, link, status, reason, created_at, updated_at, tracker_key } =
            row;
        let tracker_url = tracker.zip(tracker_key.as_ref()).map(|(tracker, key)| tracker.browse(key));
        Self { id, opening_id, kind, summary, link, status, reason, created_at, updated_at, tracker_key, tracker_url }
    }
}

/// Lists tickets, newest first.
#[utoipa::path(
    get,
    path = "/v1/tickets",
    operation_id = "list_tickets",
    tag = "People",
    params(
        ("status" = Option<TicketStatus>, Query, description = "Tickets in this status"),
        ("opening_id" = Option<Uuid>, Query, description = "Tickets of this opening"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Ticket>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Ticket>>, ApiError> {
    let (filter, page) = (filter(&params)?, params.page()?);
    let work = async move |connection: &mut PgConnection| {
        tickets::list(connection, filter.status.map(TicketStatus::as_str), filter.opening, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, |row| Ticket::new(row, state.settings.tracker.as_ref()))))
}

/// Which tickets are listed.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    pub status: Option<TicketStatus>,
    pub opening: Option<Uuid>,
}

/// The filter of a list's parameters.
///
/// # Errors
/// Unknown or wrong parameters.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["status", "opening_id"])?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    Ok(Filter { status: params.read("status", forms::word)?, opening })
}
