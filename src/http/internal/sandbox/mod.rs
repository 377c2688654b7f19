//! `POST /company/account-opening/set-status-sandbox`: simulates a message of the provider.
//!
//! The message takes the production path from burst dedup on. It contains no time, so a repeated call has the same
//! bytes: a burst duplicate.

mod request;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use self::request::SetStatus;
use super::json::Body;
use super::path::uuid;
use crate::acts::Operator;
use crate::db::openings;
use crate::domain::{Opening, OpeningId, ProviderRef, Source};
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};
use crate::inbox::Message;
use crate::provider::Headers;

/// The simulated message.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Sent {
    /// The message's id.
    message_id: Uuid,
}

/// Sends a simulated webhook message. Absent in production.
#[utoipa::path(
    post,
    path = "/company/account-opening/set-status-sandbox",
    operation_id = "set_status_sandbox",
    tag = "Sandbox",
    request_body = SetStatus,
    responses(
        (status = 202, description = "The message was sent", body = Sent),
        (status = 404, description = "`not-found`: no opening has this id"),
    ),
)]
pub async fn set_status(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Body(asked): Body<SetStatus>,
) -> Result<(StatusCode, Json<Sent>), ApiError> {
    let opening = find(&state, asked.account_opening_request_id.clone()).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let name = opening.request.provider.clone();
    let provider =
        state.outside.providers.get(&name).ok_or_else(|| ApiError::internal("the opening's provider is unknown"))?;
    let body = provider.simulate(&asked.report(&opening));
    let message_id = state.shell.ids.next();
    let headers = Headers::of([("by", &*operator.name())]);
    let message = Message {
        source: Source::Sandbox,
        provider: name,
        event_id: Some(message_id.to_string()),
        parsed: provider.parse(&headers, &body),
        body,
        headers,
        received_at: state.shell.clock.now(),
    };
    state.ingest.receive(message).await.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok((StatusCode::ACCEPTED, Json(Sent { message_id })))
}

/// Finds the opening by tracking id, else by our id.
async fn find(state: &AppState, reference: ProviderRef) -> Result<Option<Opening>, ApiError> {
    let providers: Vec<String> = state.outside.providers.names().map(str::to_owned).collect();
    let work = async move |connection: &mut PgConnection| {
        let reference = reference.to_string();
        let ours = uuid(&reference);
        // One pair of provider and tracking id for each provider.
        let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
        let references = vec![reference.as_str(); providers.len()];
        let held = openings::by_reference(connection, &providers, &references).await?;
        match held.first().map(|(.., id)| *id).or(ours) {
            Some(id) => openings::get(connection, OpeningId(id)).await,
            None => Ok(None),
        }
    };
    state.read(work).await
}
