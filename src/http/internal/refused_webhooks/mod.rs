//! Requests that the webhook listener refused: listed, and verified again.

mod bulk;
mod get;
pub mod list;
mod reverify;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::refused_webhooks::{Cause, Row};
use crate::domain::text::{self, form};
use crate::http::AppState;
use crate::http::internal::fields::Takes;
use crate::http::internal::forms::text_form;

/// The maximum length of a provider's name, in characters.
const MAX_NAME: usize = 64;

/// A refused webhook request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefusedWebhook {
    /// The request's id.
    id: Uuid,
    /// The name in its path, which may be unknown.
    provider: String,
    /// The cause of the refusal.
    #[schema(value_type = Cause)]
    cause: String,
    /// The time of receipt.
    received_at: DateTime<Utc>,
    /// The peer's address; for IPv6, its network. Behind a proxy, the proxy's address.
    #[schema(example = "192.0.2.7")]
    source: String,
    /// The request's HTTP method.
    #[schema(example = "POST")]
    method: String,
    /// The request's path.
    #[schema(example = "/webhooks/unknown")]
    path: String,
    /// The body's size, as received or announced, if known.
    body_bytes: Option<i64>,
    /// Whether the body was kept; bodies that are too large or did not arrive are not.
    body_kept: bool,
    /// The time at which it verified after all.
    verified_at: Option<DateTime<Utc>>,
    /// Its key in the inbox, once verified.
    event_id: Option<String>,
    /// The inbox's answer: `stored`, `duplicate`, `burst_duplicate`, `conflict`, or `nothing` to store.
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

/// The name of a provider, as a path gave it.
pub enum ProviderName {}
text_form!(ProviderName => String, provider);
form!(ProviderName, text::line(MAX_NAME));

fn provider(text: &str) -> Result<String, Takes> {
    text::check_line(text, MAX_NAME)
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(bulk::reverify_all))
        .routes(routes!(reverify::reverify))
}
