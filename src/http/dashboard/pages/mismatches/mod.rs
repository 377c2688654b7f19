//! `/mismatches`: the findings of reconciliation, as a list and one by one.

mod csv;
mod list;
mod raw;
mod show;
mod sides;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::parts::Mark;
use crate::http::dashboard::{Dashboard, Layout};
use crate::reconciliation::classify::MismatchState;

/// The name of the page in the header.
const SECTION: &str = "/mismatches";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/mismatches", get(list::list))
        .route("/mismatches.csv", get(csv::csv))
        .route("/mismatches/{id}", get(show::show))
}

/// The state of a mismatch as icon, word and colour.
fn mark(layout: &Layout, state: &str) -> Mark {
    let (tone, icon) = match state.parse::<MismatchState>() {
        Ok(MismatchState::Waiting) => ("waiting", "clock"),
        Ok(MismatchState::Applied) => ("under-way", "step"),
        Ok(MismatchState::Case) => ("urgent", "alarm"),
        Ok(MismatchState::Settled | MismatchState::Resolved) => ("good", "done"),
        Err(_) => ("ended", "unknown"),
    };
    Mark::state(state, tone, icon, layout.icons())
}
