//! `/tickets`: openings that a person must look at, with the issue at the tracker.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use axum::routing::get;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::tickets;
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Choice, Look, Mark, Moment, Privacy, next_page, span};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::tickets::{TicketStatus, filter};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "tickets.html")]
struct TicketsPage {
    layout: Layout,
    filters: Vec<Choice>,
    /// Kept by the form of filters, where a link set it.
    opening_id: String,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: Uuid,
    kind: String,
    summary: String,
    status: Mark,
    opening: String,
    opened: Moment,
    /// How long it has been open. Empty: it is closed.
    age: String,
    /// What closed it, and when.
    closed: Option<(String, Moment)>,
    /// Key and address of the tracker's issue.
    issue: Option<(String, Option<String>)>,
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/tickets", get(list))
}

async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let (filter, page) = (filter(&params)?, params.page()?);
    let work = async move |connection: &mut PgConnection| {
        tickets::list(connection, filter.status.map(TicketStatus::as_str), filter.opening, one_more(&page)).await
    };
    let (rows, cursor) = paged(dashboard.read(work).await?, page.limit, |row| row.id);
    let layout = dashboard.layout(Some(&visit)).at("/tickets");
    let privacy = layout.privacy(None);
    let words = TicketStatus::ALL.iter().map(|it| it.as_str()).collect();
    html(&TicketsPage {
        filters: vec![Choice { name: "status", label: "Status", words, chosen: params.text("status").to_owned() }],
        opening_id: params.text("opening_id").to_owned(),
        rows: rows.into_iter().map(|it| row(&dashboard, &layout, &privacy, it)).collect(),
        next: next_page(&layout, "/tickets", query.as_deref(), cursor),
        layout,
    })
}

fn row(dashboard: &Dashboard, layout: &Layout, privacy: &Privacy, row: tickets::Row) -> Row {
    let is_open = row.status == TicketStatus::Open.as_str();
    let tracker = dashboard.settings.tracker.as_ref();
    let reason = row.reason.unwrap_or_default();
    Row {
        id: row.id,
        kind: row.kind,
        summary: privacy.text(&row.summary),
        status: layout.mark(&row.status, if is_open { Look::Urgent } else { Look::Ended }),
        opening: layout.url(&page_of(OpeningId(row.opening_id))),
        opened: row.created_at.into(),
        age: if is_open { span(dashboard.shell.clock.now() - row.created_at) } else { String::new() },
        closed: (!is_open).then(|| (privacy.text(&reason), row.updated_at.into())),
        issue: row.tracker_key.map(|key| {
            let url = tracker.map(|it| it.browse(&key));
            (key, url)
        }),
    }
}
