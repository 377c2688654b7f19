//! `GET /v1/rejected-requests/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::RefusedWebhook;
use crate::db::refused_webhooks::{self, Whole};
use crate::http::AppState;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

/// A refused request with all kept data.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeRefusedWebhook {
    /// The request as in the list.
    #[serde(flatten)]
    listed: RefusedWebhook,
    /// The received headers, truncated and without credentials. A header on several lines is a list.
    #[schema(value_type = Object)]
    headers: Value,
    /// The body as text. It is not authenticated.
    body: Option<String>,
    /// The body byte for byte, in base64.
    body_base64: Option<String>,
}

impl From<Whole> for WholeRefusedWebhook {
    fn from(whole: Whole) -> Self {
        let Whole { row, headers, body } = whole;
        Self {
            listed: row.into(),
            headers,
            body_base64: body.as_ref().map(|it| STANDARD.encode(it)),
            // The body is never parsed, not even for display.
            body: body.map(|it| String::from_utf8_lossy(&it).into_owned()),
        }
    }
}

/// Reads a refused request by its id.
#[utoipa::path(
    get,
    path = "/v1/rejected-requests/{id}",
    operation_id = "get_rejected_request",
    tag = "People",
    params(("id" = Uuid, Path, description = "The refused request's id")),
    responses(
        (status = 200, description = "With headers and body", body = WholeRefusedWebhook),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<WholeRefusedWebhook>, ApiError> {
    let work = async move |connection: &mut PgConnection| refused_webhooks::get(connection, id).await;
    let whole = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(whole.into()))
}
