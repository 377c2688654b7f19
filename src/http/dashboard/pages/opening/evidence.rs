//! `/openings/{id}/evidence.json`: the opening's evidence, recorded as an export. Readers get it masked, and it says so.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use sqlx::PgConnection;

use crate::acts::export_opening;
use crate::db::openings;
use crate::domain::OpeningId;
use crate::http::dashboard::export::OwnSite;
use crate::http::dashboard::parts::Privacy;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::path::Id;
use crate::http::internal::reports::evidence::file;
use crate::http::problem::ApiError;
use crate::reconciliation::evidence::opening::Mask;

pub async fn evidence(
    _: OwnSite,
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let mask = if dashboard.layout(Some(&visit)).is_operator() { None } else { Some(mask(&dashboard, id).await?) };
    let document = export_opening::run(&dashboard.acts, &visit.principal, OpeningId(id), mask).await?;
    Ok(file(document, "application/json", &format!("evidence-{id}.json")))
}

async fn mask(dashboard: &Dashboard, id: uuid::Uuid) -> Result<Mask, ApiError> {
    let work = async move |connection: &mut PgConnection| openings::customer_name(connection, OpeningId(id)).await;
    let name = dashboard.read(work).await?;
    let privacy = Privacy::new(false, name.as_deref());
    Ok(Arc::new(move |text: &str| privacy.free_text(text)))
}
