//! The list as CSV, with the list's filters.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use sqlx::PgConnection;

use super::sides::{shown, text_of};
use crate::clock::Time;
use crate::db::mismatches::{self, Listed};
use crate::http::dashboard::export::{Export, OwnSite, whole};
use crate::http::dashboard::parts::Privacy;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::mismatches::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;
use crate::reconciliation::masking::masked_differences;

const COLUMNS: [&str; 14] = [
    "id",
    "class",
    "state",
    "provider",
    "kind",
    "market",
    "opening_id",
    "subject",
    "aspect",
    "differences",
    "case_id",
    "due_at",
    "created_at",
    "updated_at",
];

pub async fn csv(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.given();
    let filter = filter(&params)?;
    let work = async move |connection: &mut PgConnection| mismatches::list(connection, &filter, whole()).await;
    let sees_all = dashboard.layout(Some(&visit)).is_operator();
    let found = dashboard.read(work).await?;
    let (columns, dashboard, visit, params) = (COLUMNS, &*dashboard, &visit, &params);
    let export = Export { name: "mismatches", file: "mismatches.csv", columns, dashboard, visit, params };
    export.of(found.into_iter().map(|it| cells(it, sees_all))).await
}

fn cells(it: Listed, sees_all: bool) -> [String; 14] {
    let privacy = Privacy::new(sees_all, None);
    let time = |it: Option<Time>| it.map(|it| it.to_rfc3339()).unwrap_or_default();
    let id = |it: Option<uuid::Uuid>| it.map(|it| it.to_string()).unwrap_or_default();
    let differences = if sees_all { it.differences } else { masked_differences(it.differences) };
    [
        it.id.to_string(),
        it.class,
        it.state,
        it.provider,
        it.kind,
        it.market.unwrap_or_default(),
        id(it.opening_id),
        if it.opening_id.is_some() { it.subject } else { privacy.text(&it.subject) },
        it.aspect,
        said(&differences, &privacy),
        id(it.case_id),
        time(it.due_at),
        it.created_at.to_rfc3339(),
        it.updated_at.to_rfc3339(),
    ]
}

/// `amount: 6.05 → 7.26 (1.21); currency: …`
fn said(differences: &Value, privacy: &Privacy) -> String {
    let one = |it: &Value| {
        let field = text_of(&it["field"]).unwrap_or_default();
        let side = |name: &str| text_of(&it[name]).map_or("not said".to_owned(), |it| shown(&field, &it, privacy));
        let delta = text_of(&it["delta"]).map_or_else(String::new, |it| format!(" ({it})"));
        format!("{field}: {} → {}{delta}", side("ours"), side("theirs"))
    };
    differences.as_array().map(|all| all.iter().map(one).collect::<Vec<_>>().join("; ")).unwrap_or_default()
}
