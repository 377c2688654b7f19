//! `GET /v1/webhook-secrets`: the use of each webhook secret, which shows when an old one can be retired.

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

/// A current or former webhook secret, by fingerprint only.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookSecretUse {
    /// The provider's name.
    provider: String,
    /// The first 12 hex digits of the SHA-256 of the secret as configured.
    #[schema(example = "0f1e2d3c4b5a")]
    fingerprint: String,
    /// Whether this replica accepts it now.
    active: bool,
    /// Its index among the active secrets, from 0.
    position: Option<i32>,
    /// The number of webhooks it verified, on all replicas; the last few seconds may be missing.
    uses: i64,
    /// The time of its first use.
    first_used_at: Option<DateTime<Utc>>,
    /// The time of its last use.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for WebhookSecretUse {
    fn from(row: Row) -> Self {
        let Row { provider, fingerprint, position, uses, first_used_at, last_used_at } = row;
        Self { provider, fingerprint, active: position.is_some(), position, uses, first_used_at, last_used_at }
    }
}

/// Lists the webhook secrets that are active or have verified a webhook, by provider and fingerprint.
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

/// The configured secrets, without duplicates.
#[must_use]
pub fn active(providers: &Providers) -> Vec<Active> {
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
