//! `/openings/{id}`: where an opening is, what comes next, what the provider says, and the acts on it.

mod answer;
mod check_iban;
mod comparison;
mod erase;
mod evidence;
mod fact;
mod poll;
mod read;
mod rehearsal;
mod resolve;
mod reveal;
mod show;
mod timeline;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use self::answer::page_of;
use crate::http::dashboard::Dashboard;

/// The name of the page in the header.
const SECTION: &str = "/openings";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/openings/{id}", get(show::show))
        .route("/openings/{id}/evidence.json", get(evidence::evidence))
        .route("/openings/{id}/poll", get(show::back).post(poll::poll))
        .route("/openings/{id}/resolve", get(resolve::form).post(resolve::resolve))
        .route("/openings/{id}/erase", get(erase::form).post(erase::erase))
        .route("/openings/{id}/reveal", get(reveal::form).post(reveal::reveal))
        .route("/openings/{id}/revealed/{act}", get(reveal::revealed))
        .route("/openings/{id}/facts/{fact}", get(fact::show))
        .route("/openings/{id}/check-iban", get(show::back).post(check_iban::check))
}
