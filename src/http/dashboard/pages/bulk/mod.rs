//! `/bulk/{id}`: one act on a frozen list of dead letters: the list, its start, its progress, and what became of each letter.

mod act;
mod prepare;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use uuid::Uuid;

use super::dead_letters::SECTION;
use crate::db::bulk_runs::Run;
use crate::http::dashboard::Dashboard;
use crate::http::dashboard::parts::words;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/bulk", get(prepare::back).post(prepare::prepare))
        .route("/bulk/{id}", get(show::show))
        .route("/bulk/{id}/start", get(act::back).post(act::start))
        .route("/bulk/{id}/stop", get(act::back).post(act::stop))
}

/// The path of the page of a run, below the prefix.
pub fn page_of(id: Uuid) -> String {
    format!("/bulk/{id}")
}

/// Names a run by its act, letters, cause and queue.
pub fn title(run: &Run) -> String {
    let cause = run.cause.as_deref().map_or_else(|| "every cause".to_owned(), |it| format!("cause {}", words(it)));
    let queue = run.queue.as_deref().unwrap_or("both queues");
    let letters = if run.items == 1 { "dead letter" } else { "dead letters" };
    format!("{} {} {letters}, {cause}, {queue}", run.act, run.items)
}
