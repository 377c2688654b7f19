//! Placeholder
use super::Edge;
use axum::Router;
/// x
pub fn router(edge: Edge) -> Router {
    super::health::router(edge)
}
