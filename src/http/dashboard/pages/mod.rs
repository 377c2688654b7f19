//! The pages behind the sign-in: a file or folder per page, each with its `router`.

mod account;
mod bulk;
mod cases;
mod dead_letters;
mod home;
mod opening;
mod openings;
mod refused;
mod search;
mod tickets;
mod unmatched;

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
        .merge(tickets::router())
        .merge(dead_letters::router())
        .merge(bulk::router())
        .merge(refused::router())
        .merge(unmatched::router())
        .merge(account::router())
}
