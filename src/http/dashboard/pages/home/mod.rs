//! `/`: the work that waits for a person now, worst first, and how the day went.

mod lines;
mod read;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/", get(show::show))
}
