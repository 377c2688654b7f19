//! The feature flag `async-account-opening`: the rules in force, and their changes.

mod changes;
mod list;
pub mod set;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::feature_flags::Change;
use crate::domain::CustomerType;
use crate::domain::flag::ASYNC_ACCOUNT_OPENING;
use crate::domain::text::{self, form};
use crate::http::AppState;
use crate::http::internal::forms::Country;
use crate::http::problem::{ApiError, Kind};

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(set::set)).routes(routes!(changes::changes))
}

/// A rule with its author and reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlagRule {
    /// The flag's name.
    #[schema(value_type = FlagName)]
    flag: String,
    /// ISO 3166 alpha-2. Null: all markets.
    #[schema(value_type = Option<Country>)]
    market: Option<String>,
    /// The kind of customer. Null: all.
    #[schema(value_type = Option<CustomerType>)]
    customer_type: Option<String>,
    /// Whether the flag is on: openings then start on the asynchronous flow.
    enabled: bool,
    /// The share of openings for which it is on, in percent.
    #[schema(minimum = 0, maximum = 100)]
    percentage: i32,
    /// The reason of the change.
    reason: String,
    /// The token's name of the admin that set it.
    by: String,
    /// The time of the change.
    at: DateTime<Utc>,
}

impl From<Change> for FlagRule {
    fn from(change: Change) -> Self {
        let Change { flag, market, customer_type, enabled, percentage, reason, who: by, at, .. } = change;
        Self { flag, market, customer_type, enabled, percentage, reason, by, at }
    }
}

/// The flag in the path; only one exists.
pub struct Flag(&'static str);

pub enum FlagName {}
form!(FlagName, text::one_of([ASYNC_ACCOUNT_OPENING].into_iter()));

impl<S: Send + Sync> FromRequestParts<S> for Flag {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let name = Path::<String>::from_request_parts(parts, state).await.ok();
        let known = name.is_some_and(|Path(name)| name == ASYNC_ACCOUNT_OPENING);
        if known { Ok(Self(ASYNC_ACCOUNT_OPENING)) } else { Err(ApiError::new(Kind::NotFound)) }
    }
}
