//! `/tickets`: openings that a person must look at, with the issue at the tracker.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use axum::routing::get;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::{overview, tickets};
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Look, Mark, Moment, span};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::tickets::{TicketStatus, filter};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "tickets.html")]
struct TicketsPage<'a> {
    layout: Layout,
    filters: Filters<'a>,
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
    /// The reason why it was closed, and when.
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
        let status = filter.status.map(TicketStatus::as_str);
        let tickets = tickets::list(connection, status, filter.opening, one_more(&page)).await?;
        let openings: Vec<Uuid> = tickets.iter().map(|it| it.opening_id).collect();
        Ok((tickets, overview::names(connection, &openings).await?))
    };
    let (tickets, names) = dashboard.read(work).await?;
    let names: HashMap<Uuid, String> = names.into_iter().collect();
    let (rows, cursor) = paged(tickets, page.limit, |row| row.id);
    let layout = dashboard.layout(Some(&visit)).at("/tickets");
    let filters = Filters::new(&params, layout.url("/tickets"), "Filter the tickets");
    html(&TicketsPage {
        filters: filters.choice("status", "Status", TicketStatus::ALL.iter().map(|it| it.as_str())).kept("opening_id"),
        rows: rows.into_iter().map(|it| row(&dashboard, &layout, &names, it)).collect(),
        next: Query::of(query.as_deref()).next(&layout.url("/tickets"), cursor),
        layout,
    })
}

/// `names`: the customers' by opening.
fn row(dashboard: &Dashboard, layout: &Layout, names: &HashMap<Uuid, String>, row: tickets::Row) -> Row {
    let privacy = layout.privacy(names.get(&row.opening_id).map(String::as_str));
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
