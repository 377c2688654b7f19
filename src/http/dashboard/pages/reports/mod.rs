//! `/reports`: which days have their reports, the list, a report, and the acts on it.

mod csv;
mod decide;
mod evidence;
mod list;
mod pull;
mod show;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

use crate::acts::decide_report::Verdict;
use crate::http::dashboard::parts::Mark;
use crate::http::dashboard::{Dashboard, Layout};
use crate::reconciliation::calendar::DayState;
use crate::reconciliation::resource::ReportState;

/// The name of the page in the header.
pub const SECTION: &str = "/reports";

pub fn router() -> Router<Arc<Dashboard>> {
    let upload = Router::new()
        .route("/reports/upload", get(upload::form).post(upload::upload))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .merge(upload)
        .route("/reports", get(list::list))
        .route("/reports.csv", get(csv::csv))
        .route("/reports/pull", get(pull::form).post(pull::pull))
        .route("/reports/{id}", get(show::show))
        .route("/reports/{id}/evidence.zip", get(evidence::evidence))
        .route("/reports/{id}/release", decide::route(Verdict::Release))
        .route("/reports/{id}/discard", decide::route(Verdict::Discard))
}

/// The state of a report as icon, word and colour.
fn mark(layout: &Layout, state: &str) -> Mark {
    let (tone, icon) = match state.parse::<ReportState>() {
        Ok(ReportState::Received) => ("waiting", "clock"),
        Ok(ReportState::Reading) => ("under-way", "step"),
        Ok(ReportState::Held) => ("urgent", "alarm"),
        Ok(ReportState::Finished) => ("good", "done"),
        Ok(ReportState::Failed) => ("urgent", "ended"),
        Ok(ReportState::Discarded) | Err(_) => ("ended", "refused"),
    };
    Mark::state(state, tone, icon, layout.icons())
}

/// The state of a day in the calendar.
fn day_mark(layout: &Layout, state: DayState) -> Mark {
    let (tone, icon) = match state {
        DayState::Held => ("urgent", "alarm"),
        DayState::Failed => ("urgent", "ended"),
        DayState::Missing => ("urgent", "unknown"),
        DayState::Reading => ("under-way", "step"),
        DayState::Incomplete => ("waiting", "clock"),
        DayState::Finished => ("good", "done"),
    };
    Mark::state(state.as_str(), tone, icon, layout.icons())
}
