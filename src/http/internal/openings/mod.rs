//! Account openings: start, read, list, follow, ask the provider now; end one, and erase what has ended.

pub mod erase;
mod get;
mod history;
pub mod list;
pub mod poll;
mod request;
pub mod resolve;
mod start;
mod timeline;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(list::list, start::start))
        .routes(routes!(get::get))
        .routes(routes!(history::history))
        .routes(routes!(timeline::timeline))
        .routes(routes!(poll::poll))
        .routes(routes!(resolve::resolve))
        .routes(routes!(erase::erase))
}
