//! `GET /v1/operator-actions`: recorded acts of operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::forms;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::operator_actions::{self, Action, Filter};
use crate::http::AppState;
use crate::http::problem::ApiError;

/// A recorded act of an operator.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OperatorAction {
    /// The act's id.
    id: Uuid,
    /// The time of the act.
    at: DateTime<Utc>,
    /// The name of the operator's token.
    #[schema(example = "desk")]
    who: String,
    /// The kind of act.
    #[schema(example = "resolve")]
    action: String,
    /// The id or name of the changed object.
    subject: String,
    /// The opening that it is about, if any.
    opening_id: Option<Uuid>,
    /// The operator's reason; empty if none was required or it was erased.
    reason: String,
    /// Further data, such as evidence.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Action> for OperatorAction {
    fn from(row: Action) -> Self {
        let Action { id, at, who, action, subject, opening_id, reason, detail, form: _ } = row;
        Self { id, at, who, action, subject, opening_id, reason, detail }
    }
}

/// Lists operators' acts, newest first.
#[utoipa::path(
    get,
    path = "/v1/operator-actions",
    operation_id = "list_operator_actions",
    tag = "People",
    params(
        ("opening_id" = Option<Uuid>, Query, description = "Acts on this opening"),
        ("who" = Option<forms::Name>, Query, description = "Acts of the token of this name"),
        ("action" = Option<forms::Name>, Query, description = "Acts of this kind"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<OperatorAction>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Json<Listing<OperatorAction>>, ApiError> {
    let (filter, page) = (filter(&params)?, params.page()?);
    let work =
        async move |connection: &mut PgConnection| operator_actions::list(connection, &filter, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, OperatorAction::from)))
}

/// The filters of the list.
///
/// # Errors
/// As those of [`Params`].
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["opening_id", "who", "action"])?;
    Ok(Filter {
        opening: params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?,
        who: params.read("who", forms::name)?,
        action: params.read("action", forms::name)?,
    })
}
