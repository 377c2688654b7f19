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

/// A refused request with all that was kept of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeRefusedWebhook {
    /// As it is listed.
    #[serde(flatten)]
    listed: RefusedWebhook,
    /// As they came, cut, without credentials. A header that came on several lines is a list of them.
    #[schema(value_type = Object)]
    headers: Value,
    /// Its body as text. Nothing vouches for it.
    body: Option<String>,
    /// The same, byte for byte.
    body_base64: Option<String>,
}

impl From<Whole> for WholeRefusedWebhook {
    fn from(whole: Whole) -> Self {
        let Whole { row, headers, body } = whole;
        Self {
            listed: row.into(),
            headers,
            body_base64: body.as_ref().map(|it| STANDARD.encode(it)),
            // Not parsed, not even to show it.
            body: body.map(|it| String::from_utf8_lossy(&it).into_owned()),
        }
    }
}

/// Reads a request that was refused.
#[utoipa::path(
    get,
    path = "/v1/rejected-requests/{id}",
    operation_id = "get_rejected_request",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "With headers and body", body = WholeRefusedWebhook),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<WholeRefusedWebhook>, ApiError> {
    let work = async move |connection: &mut PgConnection| refused_webhooks::get(connection, id).await;
    let whole = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(whole.into()))
}
