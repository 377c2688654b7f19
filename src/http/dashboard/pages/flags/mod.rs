//! `/flags`: which flow openings start on, by market and customer type, and the act that changes it.

mod set;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

/// The path of the page, below the prefix.
const PAGE: &str = "/flags";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route(PAGE, get(show::show)).route("/flags/set", get(set::form).post(set::set))
}
