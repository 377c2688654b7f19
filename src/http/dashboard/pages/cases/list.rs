//! The list of cases, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::db::{cases, overview};
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening;
use crate::http::dashboard::parts::{Look, Mark, Moment, Privacy, words};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cases::filter;
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::problem::ApiError;
use crate::reconciliation::resource::CaseStatus;

#[derive(Template)]
#[template(path = "cases/list.html")]
struct CasesPage<'a> {
    layout: Layout,
    filters: Filters<'a>,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    href: String,
    kind: String,
    status: Mark,
    opening: Option<String>,
    opened: Moment,
    resolved: Option<Resolved>,
}

pub struct Resolved {
    pub by: String,
    pub at: Moment,
    pub reason: String,
}

impl Resolved {
    /// None: the case is open.
    pub fn of(row: &cases::Row, privacy: &Privacy) -> Option<Self> {
        let reason = privacy.text(row.reason.as_deref().unwrap_or_default());
        Some(Self { by: row.resolved_by.clone().unwrap_or_default(), at: row.resolved_at?.into(), reason })
    }
}

pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let (filter, page) = (filter(&params)?, params.page()?);
    let work = async move |connection: &mut PgConnection| {
        let rows = cases::list(connection, &filter, one_more(&page)).await?;
        let openings: Vec<Uuid> = rows.iter().filter_map(|it| it.opening_id).collect();
        let names: HashMap<Uuid, String> = overview::names(connection, &openings).await?.into_iter().collect();
        Ok((rows, names))
    };
    let (rows, names) = dashboard.read(work).await?;
    let (rows, cursor) = paged(rows, page.limit, |row| row.id);
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let privacy = |row: &cases::Row| layout.privacy(row.opening_id.and_then(|it| names.get(&it)).map(String::as_str));
    let filters = Filters::new(&params, layout.url(SECTION), "Filter the cases");
    html(&CasesPage {
        filters: filters
            .choice("status", "Status", CaseStatus::ALL.iter().map(|it| it.as_str()))
            .text("kind", "Kind")
            .kept("opening_id"),
        rows: rows.iter().map(|it| row(&layout, &privacy(it), it)).collect(),
        next: Query::of(query.as_deref()).next(&layout.url(SECTION), cursor),
        layout,
    })
}

fn row(layout: &Layout, privacy: &Privacy, row: &cases::Row) -> Row {
    Row {
        href: layout.url(&page_of(row.id)),
        kind: words(&row.kind),
        status: mark(layout, &row.status),
        opening: row.opening_id.map(|it| layout.url(&opening::page_of(OpeningId(it)))),
        opened: row.created_at.into(),
        resolved: Resolved::of(row, privacy),
    }
}

pub fn mark(layout: &Layout, status: &str) -> Mark {
    let is_open = status == CaseStatus::Open.as_str();
    layout.mark(status, if is_open { Look::Urgent } else { Look::Ended })
}
