//! `/acts`: the acts of people and their reasons, with sign-ins, reveals and exports; and the same as CSV.

mod csv;
mod list;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/acts", get(list::list)).route("/acts.csv", get(csv::csv))
}
