//! Refused webhooks by cause and source, and the list.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;

use super::{SECTION, page_of};
use crate::db::refused_webhooks::{self, Cause, Row as Refused};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Look, MAX_COUNTED, Mark, Moment, Privacy, at_least, filtered, words};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::refused_webhooks::list::filter;
use crate::http::problem::ApiError;

/// The most groups that are shown: a flood may come from very many sources.
const MAX_GROUPS: i64 = 50;

#[derive(Template)]
#[template(path = "refused/list.html")]
struct RefusedPage<'a> {
    layout: Layout,
    groups: Vec<Group>,
    /// There are more groups.
    is_cut: bool,
    filters: Filters<'a>,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Group {
    cause: String,
    cause_words: String,
    source: String,
    count: String,
    newest: Moment,
    href: String,
}

struct Row {
    href: String,
    cause: String,
    provider: String,
    source: String,
    request: String,
    size: String,
    at: Moment,
    verified: Option<(Mark, Moment)>,
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
        let groups = refused_webhooks::groups(connection, MAX_COUNTED, MAX_GROUPS + 1).await?;
        Ok((groups, refused_webhooks::list(connection, &filter, one_more(&page)).await?))
    };
    let (groups, rows) = dashboard.read(work).await?;
    let (rows, cursor) = paged(rows, page.limit, |row| row.id);
    let (groups, more) = paged(groups, MAX_GROUPS, |_| 0_i64);
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let privacy = layout.privacy(None);
    let filters = Filters::new(&params, layout.url(SECTION), "Filter the refused webhooks");
    let is_capped = groups.iter().map(|it| it.count).sum::<i64>() > MAX_COUNTED;
    html(&RefusedPage {
        groups: groups.iter().map(|it| group(&layout, it, is_capped)).collect(),
        is_cut: more.is_some(),
        filters: filters
            .choice("cause", "Cause", Cause::ALL.iter().map(|it| it.as_str()))
            .text("provider", "Provider")
            .text("source", "Source"),
        rows: rows.iter().map(|it| row(&layout, &privacy, it)).collect(),
        next: Query::of(query.as_deref()).next(&layout.url(SECTION), cursor),
        layout,
    })
}

fn group(layout: &Layout, group: &refused_webhooks::Group, is_capped: bool) -> Group {
    Group {
        cause: group.cause.clone(),
        cause_words: words(&group.cause),
        source: group.source.clone(),
        count: at_least(group.count, is_capped),
        newest: group.newest.into(),
        href: filtered(layout, SECTION, &[("cause", &group.cause), ("source", &group.source)]),
    }
}

fn row(layout: &Layout, privacy: &Privacy, row: &Refused) -> Row {
    let size = row.body_bytes.map_or_else(|| "unknown size".to_owned(), |it| format!("{it} bytes"));
    Row {
        href: layout.url(&page_of(row.id)),
        cause: words(&row.cause),
        provider: privacy.text(&row.provider),
        source: row.source.clone(),
        request: privacy.text(&format!("{} {}", row.method, row.path)),
        size: if row.body_kept { size } else { format!("{size}, not kept") },
        at: row.received_at.into(),
        verified: row.verified_at.map(|at| (layout.mark("verified", Look::Good), at.into())),
    }
}
