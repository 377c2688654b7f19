//! `/ledger`: the lines of the fee ledger, the balances, and the settlements as a tree.

mod csv;
mod list;
mod tree;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::http::dashboard::Dashboard;

/// The name of the page in the header.
const SECTION: &str = "/ledger";

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/ledger", get(list::list)).route("/ledger.csv", get(csv::csv))
}
