//! Runs each request in its own task.
//!
//! The server drops a handler's future when its client hangs up. Work dropped during `begin` or COMMIT would leave an
//! open transaction on its connection, so the task continues and only its answer is lost.

use std::panic::resume_unwind;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::problem::ApiError;

/// The layer; add it inside the layer that catches panics.
pub async fn own_task(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => ApiError::internal("the request's task was aborted").into_response(),
    }
}
