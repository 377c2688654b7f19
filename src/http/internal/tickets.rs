//! `GET /v1/tickets`: where somebody has to look.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::tickets;
use crate::domain::TicketKind;
use crate::domain::text::string_enum;
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::services::tracker::TrackerSettings;

string_enum!(
    /// Whether a person still has to look.
    TicketStatus {
        /// A person has to look.
        Open = "open",
        /// The opening went on, or a person ended it.
        Closed = "closed",
    }
);

/// A ticket; there is one per opening and kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// Its id.
    id: Uuid,
    /// The opening to look at.
    opening_id: Uuid,
    /// Why.
    #[schema(value_type = TicketKind)]
    kind: String,
    /// What happened.
    summary: String,
    /// Where to look.
    link: String,
    /// Whether a person still has to look.
    #[schema(value_type = TicketStatus)]
    status: String,
    /// Why it was closed.
    reason: Option<String>,
    /// When it was opened first.
    created_at: DateTime<Utc>,
    /// When it was opened or closed last.
    updated_at: DateTime<Utc>,
    /// What the tracker calls it, where one is configured and has it.
    #[schema(example = "OPS-17")]
    tracker_key: Option<String>,
    /// Where it is at the tracker.
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
        ("status" = Option<TicketStatus>, Query, description = "Open, or closed"),
        ("opening_id" = Option<Uuid>, Query, description = "Of this opening"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Ticket>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Ticket>>, ApiError> {
    params.only(&["status", "opening_id"])?;
    let status: Option<TicketStatus> = params.read("status", fields::word)?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| {
        tickets::list(connection, status.map(TicketStatus::as_str), opening, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, |row| Ticket::new(row, state.settings.tracker.as_ref()))))
}
