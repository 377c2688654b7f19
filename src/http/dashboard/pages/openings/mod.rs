//! `/openings`: the list with its filters, and the same as CSV.

mod csv;
mod list;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/openings", get(list::list)).route("/openings.csv", get(csv::csv))
}
