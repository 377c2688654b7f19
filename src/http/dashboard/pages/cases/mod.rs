//! `/cases`: disagreements that a person judges.

mod resolve;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/cases/{id}/resolve", get(resolve::form).post(resolve::resolve))
}
