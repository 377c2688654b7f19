//! `GET /v1/reports/{id}/evidence`.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::acts::{Operator, export_evidence};
use crate::http::AppState;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;
use crate::reconciliation::evidence::bundle::Finished;

/// How much is sent at once.
const PIECE: usize = 256 * 1024;

/// Returns the evidence of a report: a zip that an auditor verifies without us. The export is recorded.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/evidence",
    operation_id = "get_report_evidence",
    tag = "Reconciliation",
    params(("id" = uuid::Uuid, Path, description = "The report's id")),
    responses(
        (status = 200, description = "A BagIt folder with a signed manifest", body = Vec<u8>, content_type = "application/zip"),
        (status = 409, description = "`wrong-state`: the report is not read to its end yet"),
    ),
)]
pub async fn evidence(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
) -> Result<Response, ApiError> {
    Ok(answer(id, export_evidence::run(&state.acts, &operator, id).await?))
}

/// The bundle as a file.
#[must_use]
pub fn answer(id: Uuid, bundle: Finished) -> Response {
    file(bundle, "application/zip", &format!("evidence-{id}.zip"))
}

/// Evidence as a file of this name, which is made of words of ours.
#[must_use]
pub fn file(bundle: Finished, media_type: &'static str, name: &str) -> Response {
    let (pieces, sent) = mpsc::channel::<io::Result<Bytes>>(2);
    let body = futures::stream::unfold(sent, |mut sent| async move { sent.recv().await.map(|piece| (piece, sent)) });
    tokio::task::spawn_blocking(move || send(bundle.file, &pieces));
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_LENGTH, bundle.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Sends the file piece by piece, until its end or until the receiver goes away.
fn send(mut file: File, pieces: &mpsc::Sender<io::Result<Bytes>>) {
    let mut read = || {
        let mut piece = vec![0; PIECE];
        let length = file.read(&mut piece)?;
        piece.truncate(length);
        Ok(piece)
    };
    loop {
        let piece = read().map(Bytes::from);
        let is_last = piece.as_ref().map_or(true, Bytes::is_empty);
        if pieces.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}
