//! The lines as CSV, with the list's filters.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::fee_ledger::{self, Line};
use crate::domain::fee::shown;
use crate::http::dashboard::export::{Export, OwnSite, whole};
use crate::http::dashboard::parts::Privacy;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::fee_ledger::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

const COLUMNS: [&str; 14] = [
    "id",
    "at",
    "cause",
    "debit",
    "credit",
    "amount",
    "currency",
    "provider",
    "opening_id",
    "code",
    "report_id",
    "line",
    "settles",
    "reverses",
];

pub async fn csv(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    let (opening, account) = filter(&params)?;
    let work = async move |connection: &mut PgConnection| fee_ledger::list(connection, opening, account, whole()).await;
    let privacy = Privacy::new(dashboard.layout(Some(&visit)).is_operator(), None);
    let found = dashboard.read(work).await?;
    let (columns, dashboard, visit, params) = (COLUMNS, &*dashboard, &visit, &params);
    let export = Export { name: "fee_ledger", file: "ledger.csv", columns, dashboard, visit, params };
    export.of(found.iter().map(|it| cells(it, &privacy))).await
}

fn cells(line: &Line, privacy: &Privacy) -> [String; 14] {
    let id = |it: Option<Uuid>| it.map(|it| it.to_string()).unwrap_or_default();
    // Ids of ours stand in most causes; a provider's own in the others.
    let cause = if line.opening_id.is_some() { line.cause.clone() } else { privacy.text(&line.cause) };
    [
        line.id.to_string(),
        line.at.to_rfc3339(),
        cause,
        line.debit.clone(),
        line.credit.clone(),
        shown(line.amount, &line.currency),
        line.currency.clone(),
        line.provider.clone(),
        id(line.opening_id),
        privacy.text(line.code.as_deref().unwrap_or_default()),
        id(line.report_id),
        line.line.map(|it| it.to_string()).unwrap_or_default(),
        id(line.settles),
        id(line.reverses),
    ]
}
