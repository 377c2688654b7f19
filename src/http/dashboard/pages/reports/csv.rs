//! The list as CSV, with the list's filters.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;

use crate::clock::Time;
use crate::db::reports::{self, Report};
use crate::http::dashboard::export::{Export, OwnSite, whole};
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
    let work = async move |connection: &mut PgConnection| reports::list(connection, &filter, whole()).await;
    let privacy = Privacy::new(dashboard.layout(Some(&visit)).is_operator(), None);
    let found = dashboard.read(work).await?;
    let (columns, dashboard, visit, params) = (COLUMNS, &*dashboard, &visit, &params);
    let export = Export { name: "reports", file: "reports.csv", columns, dashboard, visit, params };
    export.of(found.iter().map(|it| cells(it, &privacy))).await
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
