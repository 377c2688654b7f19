//! `/refused`: webhooks that the listener refused, and their second verification.

mod list;
mod reverify;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use uuid::Uuid;

use crate::http::dashboard::Dashboard;

/// The name of the page in the header.
const SECTION: &str = "/refused";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/refused", get(list::list))
        .route("/refused/{id}", get(show::show))
        .route("/refused/{id}/reverify", get(reverify::form).post(reverify::reverify))
}

/// The path of the page of a refused webhook, below the prefix.
pub fn page_of(id: Uuid) -> String {
    format!("/refused/{id}")
}
