//! Providers for operators: backfills and their progress.

pub mod backfill;
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

/// A request to read a provider's list from a given time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Backfill {
    /// The backfill's id.
    id: Uuid,
    /// The provider's name.
    provider: String,
    /// Changes at or after this time are read.
    since: DateTime<Utc>,
    /// `start`, `breaker` or `operator`.
    #[schema(example = "operator")]
    cause: String,
    /// The operator that requested it, if any.
    who: Option<String>,
    /// The operator's reason, if any.
    reason: Option<String>,
    /// `pending`, `done` or `failed`.
    #[schema(example = "done")]
    status: String,
    /// The number of pages read.
    pages: i32,
    /// The number of items read.
    items: i64,
    /// The number of items that were new to the inbox.
    new_facts: i64,
    /// The number of unusable answers.
    attempts: i32,
    /// The class of the last failure.
    #[schema(example = "server_error")]
    last_error: Option<String>,
    /// The time of the next request to the provider. Null: the backfill has ended.
    next_attempt_at: Option<DateTime<Utc>>,
    /// The time of the request.
    created_at: DateTime<Utc>,
    /// The time of its end.
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

/// The `{provider}` of the path. An unknown name is answered 404.
pub struct Named(pub &'static str);

impl FromRequestParts<Arc<AppState>> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        let name: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let provider = name.ok().and_then(|Path(name)| state.outside.providers.get(&name));
        provider.map(|it| Self(it.name())).ok_or(ApiError::new(Kind::NotFound))
    }
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(backfill::start)).routes(routes!(list::list))
}
