//! `/dead-letters`: work that was given up, and the acts that try it again or end it.

mod act;
mod list;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use uuid::Uuid;

pub use self::show::headers;
use crate::db::dead_letters::Act;
use crate::http::dashboard::Dashboard;

/// The name of the page in the header.
pub const SECTION: &str = "/dead-letters";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/dead-letters", get(list::list))
        .route("/dead-letters/{id}", get(show::show))
        .route("/dead-letters/{id}/redrive", act::route(Act::Redrive))
        .route("/dead-letters/{id}/discard", act::route(Act::Discard))
}

/// The path of the page of a dead letter, below the prefix.
pub fn page_of(id: Uuid) -> String {
    format!("/dead-letters/{id}")
}
