//! `/cases`: disagreements that a person judges.

mod advice;
mod list;
mod resolve;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use uuid::Uuid;

use crate::http::dashboard::Dashboard;

/// The name of the page in the header.
const SECTION: &str = "/cases";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/cases", get(list::list))
        .route("/cases/{id}", get(show::show))
        .route("/cases/{id}/resolve", get(resolve::form).post(resolve::resolve))
}

/// The path of the page of a case, below the prefix.
pub fn page_of(id: Uuid) -> String {
    format!("/cases/{id}")
}
