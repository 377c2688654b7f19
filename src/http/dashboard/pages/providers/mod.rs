//! `/providers`: how the other systems do, and the acts on breakers and lists.

mod backfill;
mod force_breaker;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

/// The path of the page, below the prefix.
const PAGE: &str = "/providers";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route(PAGE, get(show::show))
        .route("/providers/{provider}/backfill", get(backfill::form).post(backfill::backfill))
        .route("/providers/{system}/breakers/{operation}", get(force_breaker::form).post(force_breaker::force))
}
