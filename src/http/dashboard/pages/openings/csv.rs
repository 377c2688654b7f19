//! The list as CSV, with the list's filters. It holds nothing personal but the customer reference.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;

use crate::db::openings::{self, Filter};
use crate::db::{self, Page};
use crate::domain::Opening;
use crate::http::dashboard::export::{Export, MAX_ROWS, OwnSite};
use crate::http::dashboard::parts::Privacy;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::openings::list::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

/// Openings of one read. With a narrow filter a read may find fewer among those that it looks at, or none.
const SLICE: i64 = 1_000;

const COLUMNS: [&str; 12] = [
    "id",
    "customer_reference",
    "status",
    "state",
    "market",
    "customer_type",
    "currency",
    "provider",
    "provider_reference",
    "provider_status",
    "created_at",
    "deadline_at",
];

pub async fn csv(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    let openings = read(&dashboard, filter(&params)?).await?;
    let privacy = Privacy::new(dashboard.layout(Some(&visit)).is_operator(), None);
    let (columns, dashboard, visit, params) = (COLUMNS, &*dashboard, &visit, &params);
    let export = Export { name: "openings", file: "openings.csv", columns, dashboard, visit, params };
    export.of(openings.iter().map(|it| cells(it, &privacy))).await
}

async fn read(dashboard: &Dashboard, filter: Filter) -> Result<Vec<Opening>, ApiError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, filter) = (Page { limit: SLICE, after }, filter.clone());
        let work = async move |connection: &mut PgConnection| openings::list(connection, &filter, page).await;
        let listed = db::with_retries(&dashboard.cell.pool, work).await?;
        found.extend(listed.openings);
        after = listed.next;
        if after.is_none() || found.len() >= MAX_ROWS {
            break;
        }
    }
    found.truncate(MAX_ROWS);
    Ok(found)
}

fn cells(opening: &Opening, privacy: &Privacy) -> [String; 12] {
    let (request, state) = (&opening.request, opening.state_name());
    [
        opening.id.to_string(),
        privacy.text(&request.customer_reference),
        state.status().to_string(),
        state.to_string(),
        request.market.clone(),
        request.customer_type.to_string(),
        request.currency.clone(),
        request.provider.clone(),
        opening.state.reference().map(|it| privacy.text(it.as_str())).unwrap_or_default(),
        opening.provider_status.as_deref().map(|it| privacy.text(it)).unwrap_or_default(),
        opening.created_at.to_rfc3339(),
        opening.deadline_at.to_rfc3339(),
    ]
}
