//! `/`: leads to the openings, the first of the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/", get(first))
}

async fn first(State(dashboard): State<Arc<Dashboard>>) -> Redirect {
    Redirect::to(&dashboard.site.url("/openings"))
}
