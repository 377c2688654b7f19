//! The list as CSV, with the list's filters.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;

use crate::acts::export;
use crate::clock::Time;
use crate::db::Page;
use crate::db::reports::{self, Report};
use crate::http::dashboard::export::{Csv, MAX_ROWS, OwnSite};
use crate::http::dashboard::parts::Privacy;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::reports::read::filter;
use crate::http::problem::ApiError;

const COLUMNS: [&str; 16] = [
    "id",
    "provider",
    "kind",
    "format",
    "state",
    "file_name",
    "bytes",
    "rows",
    "bad_rows",
    "complete",
    "dry_run",
    "period_from",
    "period_until",
    "received_by",
    "received_at",
    "finished_at",
];

pub async fn csv(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    let filter = filter(&params)?;
    let page = Page { limit: i64::try_from(MAX_ROWS).unwrap_or_default(), after: None };
    let work = async move |connection: &mut PgConnection| reports::list(connection, &filter, page).await;
    let privacy = Privacy::new(dashboard.layout(Some(&visit)).is_operator(), None);
    let found = dashboard.read(work).await?;
    export::run(&dashboard.acts, &visit.principal, "reports", params.filters()).await?;
    let mut csv = Csv::new(&COLUMNS);
    for report in found {
        csv.row(&cells(&report, &privacy));
    }
    Ok(csv.answer("reports.csv"))
}

fn cells(report: &Report, privacy: &Privacy) -> [String; 16] {
    let time = |it: Option<Time>| it.map(|it| it.to_rfc3339()).unwrap_or_default();
    [
        report.id.to_string(),
        report.provider.clone(),
        report.kind.clone(),
        report.format.clone(),
        report.state.clone(),
        privacy.text(report.file_name.as_deref().unwrap_or_default()),
        report.bytes.to_string(),
        report.rows.to_string(),
        report.bad_rows.to_string(),
        report.complete.to_string(),
        report.dry_run.to_string(),
        time(report.period_from),
        time(report.period_until),
        report.received_by.clone(),
        report.received_at.to_rfc3339(),
        time(report.finished_at),
    ]
}
