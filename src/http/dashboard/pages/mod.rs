//! The pages behind the sign-in: a file or folder per page, each with its `router`.

mod account;
mod acts;
mod cases;
mod dead_letters;
mod flags;
mod help;
mod home;
mod ledger;
mod mismatches;
mod opening;
mod openings;
mod providers;
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
        .merge(providers::router())
        .merge(flags::router())
        .merge(acts::router())
        .merge(help::router())
        .merge(reports::router())
        .merge(mismatches::router())
        .merge(ledger::router())
        .merge(account::router())
}
