//! Providers as operators see them: catching up with one, and how that goes.

mod backfill;
mod list;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::backfills;
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};

/// The list of a provider, pulled since a time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Backfill {
    /// Its id.
    id: Uuid,
    /// The provider.
    #[schema(example = "nexusbank")]
    provider: String,
    /// What changed there at or after this time is asked for.
    since: DateTime<Utc>,
    /// `start`, `breaker` or `operator`.
    #[schema(example = "operator")]
    cause: String,
    /// Who asked for it, where somebody did.
    who: Option<String>,
    /// Why they did.
    reason: Option<String>,
    /// `pending`, `done` or `failed`.
    #[schema(example = "done")]
    status: String,
    /// Pages so far.
    pages: i32,
    /// Items on them.
    items: i64,
    /// Those of the items that were news.
    new_facts: i64,
    /// Answers that could not be used.
    attempts: i32,
    /// The class of the last failure.
    #[schema(example = "server_error")]
    last_error: Option<String>,
    /// When the provider is asked next; none: it has ended.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl From<backfills::Row> for Backfill {
    fn from(row: backfills::Row) -> Self {
        let backfills::Row { id, provider, since, cause, who, reason, status, pages, items, new_facts, .. } = row;
        let backfills::Row { attempts, last_error, next_attempt_at, created_at, finished_at, .. } = row;
        let next_attempt_at = finished_at.is_none().then_some(next_attempt_at);
        Self {
            id,
            provider,
            since,
            cause,
            who,
            reason,
            status,
            pages,
            items,
            new_facts,
            attempts,
            last_error,
            next_attempt_at,
            created_at,
            finished_at,
        }
    }
}

/// The `{provider}` of the path. What is no provider's name names nothing: 404.
pub struct Named(pub &'static str);

impl FromRequestParts<Arc<AppState>> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        let name: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let provider = name.ok().and_then(|Path(name)| state.outside.providers.get(&name));
        provider.map(|it| Self(it.name())).ok_or(ApiError::new(Kind::NotFound))
    }
}

/// The routes.
pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(backfill::start)).routes(routes!(list::list))
}
