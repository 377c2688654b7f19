//! Each request in a task of its own.
//!
//! The server drops a handler's future when its client hangs up. Work dropped in the middle of `begin` or COMMIT would leave a
//! connection with an open transaction, so the task goes on, and only its answer is lost.

use std::panic::resume_unwind;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::problem::ApiError;

/// The layer. Add it inside the one that catches panics.
pub async fn own_task(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request).in_current_span()).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => ApiError::internal("the request's task was aborted").into_response(),
    }
}
