//! `/dead-letters`: work that was given up, and the acts that try it again or end it.

mod act;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/dead-letters/{id}/redrive", get(act::redrive_form).post(act::redrive))
        .route("/dead-letters/{id}/discard", get(act::discard_form).post(act::discard))
}
