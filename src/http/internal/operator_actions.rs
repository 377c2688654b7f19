//! `GET /v1/operator-actions`: what people did, to what, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::operator_actions::{self, Action};
use crate::http::AppState;
use crate::http::problem::ApiError;

/// Something that a person did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OperatorAction {
    /// Its id.
    id: Uuid,
    /// When.
    at: DateTime<Utc>,
    /// The name of the token.
    #[schema(example = "desk")]
    who: String,
    /// What.
    #[schema(example = "resolve_opening")]
    action: String,
    /// What it was done to: an id, or a name.
    subject: String,
    /// The opening that it is about, where there is one.
    opening_id: Option<Uuid>,
    /// Why; empty where nobody was asked, or where it was erased.
    reason: String,
    /// What else was said, evidence for one.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Action> for OperatorAction {
    fn from(row: Action) -> Self {
        let Action { id, at, who, action, subject, opening_id, reason, detail } = row;
        Self { id, at, who, action, subject, opening_id, reason, detail }
    }
}

/// Lists what people did, newest first.
#[utoipa::path(
    get,
    path = "/v1/operator-actions",
    operation_id = "list_operator_actions",
    tag = "People",
    params(("opening_id" = Option<Uuid>, Query, description = "About this opening"), PageQuery<Uuid>),
    responses(
        (status = 200, description = "A page", body = Listing<OperatorAction>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Json<Listing<OperatorAction>>, ApiError> {
    params.only(&["opening_id"])?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    let page = params.page()?;
    let work =
        async move |connection: &mut PgConnection| operator_actions::list(connection, opening, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, OperatorAction::from)))
}
