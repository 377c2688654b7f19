//! The pages behind the sign-in: a file or folder per page, each with its `router`.

mod account;
mod cases;
mod dead_letters;
mod home;
mod ledger;
mod mismatches;
mod opening;
mod openings;
mod reports;
mod search;

use std::sync::Arc;

use axum::Router;

use super::Dashboard;

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new()
        .merge(home::router())
        .merge(search::router())
        .merge(openings::router())
        .merge(opening::router())
        .merge(cases::router())
        .merge(dead_letters::router())
        .merge(reports::router())
        .merge(mismatches::router())
        .merge(ledger::router())
        .merge(account::router())
}
