//! `GET /v1/webhook-secrets`: which secrets providers sign with, so that an old one is retired on evidence.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::page::{Listing, PageQuery, Params, listing, one_more};
use crate::db::webhook_secrets::{self, Active, Row};
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::provider::Providers;

/// A secret that a provider signs webhooks with, or did. Never the secret itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookSecretUse {
    /// Whose.
    #[schema(example = "nexusbank")]
    provider: String,
    /// The first 12 hex digits of the SHA-256 of the secret as it stands in the settings.
    #[schema(example = "0f1e2d3c4b5a")]
    fingerprint: String,
    /// Whether this replica takes it now.
    active: bool,
    /// Its place among those that are active, counted from 0.
    position: Option<i32>,
    /// How many webhooks it verified, on all replicas; the last few seconds may be missing.
    uses: i64,
    /// When first.
    first_used_at: Option<DateTime<Utc>>,
    /// When last.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for WebhookSecretUse {
    fn from(row: Row) -> Self {
        let Row { provider, fingerprint, position, uses, first_used_at, last_used_at } = row;
        Self { provider, fingerprint, active: position.is_some(), position, uses, first_used_at, last_used_at }
    }
}

/// Lists the secrets that are active or ever verified a webhook, by provider and fingerprint.
#[utoipa::path(
    get,
    path = "/v1/webhook-secrets",
    operation_id = "list_webhook_secrets",
    tag = "People",
    params(PageQuery<(String, String)>),
    responses(
        (status = 200, description = "A page", body = Listing<WebhookSecretUse>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    params: Params,
) -> Result<Json<Listing<WebhookSecretUse>>, ApiError> {
    params.only(&[])?;
    let page = params.page::<(String, String)>()?;
    let (limit, active) = (page.limit, active(&state.outside.providers));
    let work =
        async move |connection: &mut PgConnection| webhook_secrets::list(connection, &active, one_more(&page)).await;
    let rows = state.read(work).await?;
    let key = |row: &Row| (row.provider.clone(), row.fingerprint.clone());
    Ok(Json(listing(rows, limit, key, WebhookSecretUse::from)))
}

/// Those of the settings. One that stands twice there is one.
fn active(providers: &Providers) -> Vec<Active> {
    let mut seen = HashSet::new();
    let mut active = Vec::new();
    for provider in providers.all() {
        for (position, fingerprint) in provider.secrets().into_iter().enumerate() {
            if seen.insert((provider.name(), fingerprint)) {
                let position = i32::try_from(position).unwrap_or(i32::MAX);
                let (provider, fingerprint) = (provider.name().to_owned(), fingerprint.to_string());
                active.push(Active { provider, fingerprint, position });
            }
        }
    }
    active
}
