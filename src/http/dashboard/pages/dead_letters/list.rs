//! Dead letters by cause with their counts, and the list.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::db::bulk_runs::{self, Run};
use crate::db::dead_letters::{self, Act, Letter};
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::{bulk, opening};
use crate::http::dashboard::parts::{MAX_COUNTED, Moment, at_least, filtered, words};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::dead_letters::Queue;
use crate::http::internal::dead_letters::list::filter;
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "dead_letters/list.html")]
struct DeadLettersPage<'a> {
    layout: Layout,
    groups: Vec<Group>,
    filters: Filters<'a>,
    rows: Vec<Row>,
    next: Option<String>,
    /// Bulk runs that are under way.
    runs: Vec<Started>,
    may_act: bool,
}

/// The letters of a cause, with a form for each act on all of them.
struct Group {
    queue: String,
    cause: String,
    cause_words: String,
    count: String,
    oldest: Moment,
    href: String,
    forms: Vec<Prepare>,
}

/// A form that prepares a bulk run.
struct Prepare {
    act: &'static str,
    label: &'static str,
    /// The form's token, under which the run is prepared one time.
    token: Uuid,
}

struct Row {
    href: String,
    kind: String,
    queue: String,
    cause: String,
    attempts: i32,
    at: Moment,
    opening: Option<String>,
}

struct Started {
    href: String,
    what: String,
    by: String,
    at: Option<Moment>,
}

pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let (filter, page) = (filter(&params)?, params.page()?);
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let is_operator = layout.is_operator();
    let work = async move |connection: &mut PgConnection| {
        let groups = dead_letters::groups(connection, MAX_COUNTED).await?;
        let runs = if is_operator { bulk_runs::under_way(connection).await? } else { Vec::new() };
        Ok((groups, runs, dead_letters::list(connection, &filter, one_more(&page)).await?))
    };
    let (groups, runs, letters) = dashboard.read(work).await?;
    let (rows, cursor) = paged(letters, page.limit, |row| row.id);
    let filters = Filters::new(&params, layout.url(SECTION), "Filter the dead letters");
    html(&DeadLettersPage {
        groups: groups.iter().map(|it| group(&dashboard, &layout, it, &groups)).collect(),
        filters: filters.choice("queue", "Queue", Queue::ALL.iter().map(|it| it.as_str())).text("cause", "Cause"),
        rows: rows.iter().map(|it| row(&layout, it)).collect(),
        next: Query::of(query.as_deref()).next(&layout.url(SECTION), cursor),
        runs: runs.iter().map(|it| started(&layout, it)).collect(),
        may_act: layout.may_act(),
        layout,
    })
}

fn group(dashboard: &Dashboard, layout: &Layout, group: &dead_letters::Group, all: &[dead_letters::Group]) -> Group {
    let of_queue: i64 = all.iter().filter(|it| it.queue == group.queue).map(|it| it.count).sum();
    let form = |act: Act, label| Prepare { act: act.as_str(), label, token: dashboard.shell.ids.next() };
    Group {
        queue: group.queue.clone(),
        cause: group.cause.clone(),
        cause_words: words(&group.cause),
        count: at_least(group.count, of_queue > MAX_COUNTED),
        oldest: group.oldest.into(),
        href: filtered(layout, SECTION, &[("queue", &group.queue), ("cause", &group.cause)]),
        forms: vec![form(Act::Redrive, "Redrive all"), form(Act::Discard, "Discard all")],
    }
}

fn row(layout: &Layout, letter: &Letter) -> Row {
    Row {
        href: layout.url(&page_of(letter.id)),
        kind: words(&letter.kind),
        queue: letter.queue.clone(),
        cause: letter.cause.as_deref().map(words).unwrap_or_default(),
        attempts: letter.attempts,
        at: letter.at.into(),
        opening: letter.opening_id.map(|it| layout.url(&opening::page_of(OpeningId(it)))),
    }
}

fn started(layout: &Layout, run: &Run) -> Started {
    Started {
        href: layout.url(&bulk::page_of(run.id)),
        what: bulk::title(run),
        by: run.started_by.clone().unwrap_or_default(),
        at: run.started_at.map(Moment::from),
    }
}
