//! The work that waits in the outbox: read, and ended by an operator.

mod discard;
mod list;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Edge;

/// The routes.
pub fn router() -> OpenApiRouter<Arc<Edge>> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(discard::discard))
}
