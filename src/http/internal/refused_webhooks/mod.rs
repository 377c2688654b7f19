//! Requests that the webhook listener refused: read, and verified again.

mod bulk;
mod get;
mod list;
mod reverify;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::refused_webhooks::{Cause, Row};
use crate::domain::text::{self as forms, form};
use crate::http::AppState;
use crate::http::internal::fields::{self, Takes};

/// The longest name of a provider, in characters.
const MAX_NAME: usize = 64;

/// A request that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefusedWebhook {
    /// Its id.
    id: Uuid,
    /// The name in its path, which need not be a provider's.
    #[schema(example = "nexusbank")]
    provider: String,
    /// Why it was refused.
    #[schema(value_type = Cause)]
    cause: String,
    /// When it came.
    received_at: DateTime<Utc>,
    /// The address that it came from; the network of an IPv6 address. A proxy before us is what is seen.
    #[schema(example = "192.0.2.7")]
    source: String,
    /// Its method.
    #[schema(example = "POST")]
    method: String,
    /// Its path.
    #[schema(example = "/webhooks/nexusbank")]
    path: String,
    /// How long its body was, or said that it was, where that is known.
    body_bytes: Option<i64>,
    /// Whether its body was kept: not that of one that is too large, or that did not come.
    body_kept: bool,
    /// When it was believed after all.
    verified_at: Option<DateTime<Utc>>,
    /// Its key in the inbox since then.
    event_id: Option<String>,
    /// What the inbox made of it: `stored`, `duplicate`, `burst_duplicate`, `conflict`, or `nothing` to store.
    outcome: Option<String>,
}

impl From<Row> for RefusedWebhook {
    fn from(row: Row) -> Self {
        let Row { id, provider, cause, received_at, source, method, path, body_bytes, body_kept, .. } = row;
        let Row { verified_at, event_id, outcome, .. } = row;
        Self {
            id,
            provider,
            cause,
            received_at,
            source,
            method,
            path,
            body_bytes,
            body_kept,
            verified_at,
            event_id,
            outcome,
        }
    }
}

/// What [`provider`] takes.
pub enum ProviderName {}
form!(ProviderName, forms::line(MAX_NAME).examples(["nexusbank"]));

fn provider(text: &str) -> Result<String, Takes> {
    fields::text(text, MAX_NAME)
}

/// The routes.
pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(bulk::reverify_all))
        .routes(routes!(reverify::reverify))
}
