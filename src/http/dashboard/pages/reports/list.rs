//! The calendar of days and kinds, and the list: newest first, with REST's filters.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, day_mark, mark};
use crate::clock::Time;
use crate::db::reports::{self, Report};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Mark, Moment, Privacy};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::reports::read::filter;
use crate::http::problem::ApiError;
use crate::reconciliation::calendar::{Calendar, Cell};
use crate::reconciliation::resource::ReportState;
use crate::report_files::row::Kind;

/// The days of the calendar.
const DAYS: u64 = 14;

#[derive(Template)]
#[template(path = "reports/reports.html")]
struct ReportsPage<'a> {
    layout: Layout,
    /// Provider and kind.
    columns: Vec<(String, String)>,
    days: Vec<Day>,
    filters: Filters<'a>,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

struct Day {
    date: String,
    cells: Vec<Option<Said>>,
}

/// A cell of the calendar.
struct Said {
    mark: Mark,
    href: Option<String>,
}

struct Row {
    href: String,
    received: Moment,
    provider: String,
    kind: String,
    state: Mark,
    file_name: String,
    from: Option<Moment>,
    until: Option<Moment>,
    rows: i64,
    bad_rows: i64,
    complete: bool,
    /// Until it is read to its end, the service does not know whether it is complete.
    unread: bool,
    dry_run: bool,
}

pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let (filter, page) = (filter(&params)?, params.page::<Uuid>()?);
    let now = dashboard.shell.clock.now();
    let since = now - chrono::Days::new(DAYS);
    let work = async move |connection: &mut PgConnection| {
        let listed = reports::list(connection, &filter, one_more(&page)).await?;
        Ok((listed, reports::covering(connection, since, now + chrono::Days::new(1)).await?))
    };
    let (listed, covering) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let calendar = Calendar::new(&covering, now, DAYS, dashboard.settings.reconciliation.window);
    let query = Query::of(query.as_deref());
    let privacy = Privacy::new(layout.is_operator(), None);
    let (shown, cursor) = paged(listed, page.limit, |it| it.id);
    html(&ReportsPage {
        days: days(&layout, &calendar),
        columns: calendar.columns,
        filters: filters(&dashboard, &layout, &params),
        rows: shown.iter().map(|it| row(&layout, &privacy, it)).collect(),
        next: query.next(&layout.url(SECTION), cursor),
        csv: query.csv(&layout.url("/reports.csv")),
        layout: layout.clone(),
    })
}

fn days(layout: &Layout, calendar: &Calendar) -> Vec<Day> {
    let said = |it: &Cell| Said {
        mark: day_mark(layout, it.state),
        href: it.report.map(|id| layout.url(&format!("/reports/{id}"))),
    };
    let day = |day: &crate::reconciliation::calendar::Day| Day {
        date: day.date.to_string(),
        cells: day.cells.iter().map(|it| it.as_ref().map(said)).collect(),
    };
    calendar.days.iter().map(day).collect()
}

fn filters<'a>(dashboard: &Dashboard, layout: &Layout, params: &'a Params) -> Filters<'a> {
    Filters::new(params, layout.url(SECTION), "Filter the reports")
        .choice("provider", "Provider", dashboard.outside.providers.names())
        .choice("kind", "Kind", Kind::ALL.iter().map(|it| it.as_str()))
        .choice("state", "State", ReportState::ALL.iter().map(|it| it.as_str()))
}

fn row(layout: &Layout, privacy: &Privacy, report: &Report) -> Row {
    let moment = |it: Option<Time>| it.map(Moment::from);
    Row {
        href: layout.url(&format!("/reports/{}", report.id)),
        received: report.received_at.into(),
        provider: report.provider.clone(),
        kind: report.kind.clone(),
        state: mark(layout, &report.state),
        file_name: privacy.text(report.file_name.as_deref().unwrap_or_default()),
        from: moment(report.period_from),
        until: moment(report.period_until),
        rows: report.rows,
        bad_rows: report.bad_rows,
        complete: report.complete,
        unread: matches!(report.state.as_str(), "received" | "reading"),
        dry_run: report.dry_run,
    }
}
