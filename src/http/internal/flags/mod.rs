//! The feature flag `async-account-opening`: the rules that hold, and their changes.

mod changes;
mod list;
mod set;

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
use crate::domain::text::{self as forms, form};
use crate::http::AppState;
use crate::http::internal::fields::Country;
use crate::http::problem::{ApiError, Kind};

/// The routes.
pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(set::set)).routes(routes!(changes::changes))
}

/// A rule, with who made it and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FlagRule {
    /// The flag.
    #[schema(value_type = FlagName)]
    flag: String,
    /// ISO 3166 alpha-2; null: all.
    #[schema(value_type = Option<Country>)]
    market: Option<String>,
    /// What the customers are; null: all.
    #[schema(value_type = Option<CustomerType>)]
    customer_type: Option<String>,
    /// Whether it is on: then openings are started on the asynchronous flow.
    enabled: bool,
    /// For how many percent of them.
    #[schema(minimum = 0, maximum = 100)]
    percentage: i32,
    /// Why.
    reason: String,
    /// The name of the token that set it.
    by: String,
    /// When.
    at: DateTime<Utc>,
}

impl From<Change> for FlagRule {
    fn from(change: Change) -> Self {
        let Change { flag, market, customer_type, enabled, percentage, reason, who: by, at, .. } = change;
        Self { flag, market, customer_type, enabled, percentage, reason, by, at }
    }
}

/// The flag that the path names. There is one.
struct Flag(&'static str);

/// The flags that there are.
pub enum FlagName {}
form!(FlagName, forms::one_of([ASYNC_ACCOUNT_OPENING].into_iter()));

impl<S: Send + Sync> FromRequestParts<S> for Flag {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let name = Path::<String>::from_request_parts(parts, state).await.ok();
        let known = name.is_some_and(|Path(name)| name == ASYNC_ACCOUNT_OPENING);
        if known { Ok(Self(ASYNC_ACCOUNT_OPENING)) } else { Err(ApiError::new(Kind::NotFound)) }
    }
}
