//! The list as CSV, with the list's filters.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;
use uuid::Uuid;

use super::list::{detail, names, privacy};
use crate::db::Page;
use crate::db::operator_actions::{self, Action, Filter};
use crate::http::dashboard::export::{Export, MAX_ROWS, OwnSite};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::operator_actions::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

/// Acts of one read.
const SLICE: i64 = 1_000;

const COLUMNS: [&str; 8] = ["id", "at", "who", "action", "subject", "opening_id", "reason", "detail"];

pub async fn csv(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    let acts = read(&dashboard, &filter(&params)?).await?;
    let sees_all = dashboard.layout(Some(&visit)).is_operator();
    let (columns, dashboard, visit, params) = (COLUMNS, &*dashboard, &visit, &params);
    let export = Export { name: "acts", file: "acts.csv", columns, dashboard, visit, params };
    let of_slice = |(slice, names): &Slice| slice.iter().map(|it| cells(it, names, sees_all)).collect::<Vec<_>>();
    let rows: Vec<_> = acts.iter().flat_map(of_slice).collect();
    export.of(rows.into_iter()).await
}

/// Acts, and the names of the customers that they are about.
type Slice = (Vec<Action>, HashMap<Uuid, String>);

async fn read(dashboard: &Dashboard, filter: &Filter) -> Result<Vec<Slice>, ApiError> {
    let (mut slices, mut found, mut after) = (Vec::new(), 0, None);
    loop {
        let (page, filter) = (Page { limit: SLICE, after }, filter.clone());
        let work = async move |connection: &mut PgConnection| {
            let acts = operator_actions::list(connection, &filter, page).await?;
            let names = names(connection, &acts).await?;
            Ok((acts, names))
        };
        let (acts, names) = dashboard.read(work).await?;
        found += acts.len();
        after = acts.last().map(|it| it.id);
        slices.push((acts, names));
        if after.is_none() || found >= MAX_ROWS {
            return Ok(slices);
        }
    }
}

fn cells(act: &Action, names: &HashMap<Uuid, String>, sees_all: bool) -> [String; 8] {
    let privacy = privacy(act, names, sees_all);
    [
        act.id.to_string(),
        act.at.to_rfc3339(),
        act.who.clone(),
        act.action.clone(),
        privacy.text(&act.subject),
        act.opening_id.map(|it| it.to_string()).unwrap_or_default(),
        privacy.text(&act.reason),
        privacy.text(&detail(&act.detail)),
    ]
}
