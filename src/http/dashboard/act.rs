//! The common part of all acts' forms: the role, the form's token, and the answer when the act is done.
//!
//! Each form that a page renders carries a token. The act records it in its own commit, so that a double click, a form that is sent
//! again and a reloaded page do nothing a second time.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use sqlx::PgConnection;
use uuid::Uuid;

use super::form::Fields;
use super::{Dashboard, Visit};
use crate::acts::{ActError, Admin, Operator};
use crate::db::{self, operator_actions};
use crate::http::internal::fields::Field;
use crate::http::internal::path::uuid;
use crate::http::problem::ApiError;

/// The field of a form's token.
const FORM: &str = "form";
/// The field of what a person types to confirm an act that cannot be undone.
const CONFIRM: &str = "confirm";

/// An operator with the right to act here. It stands before the form in a handler, so that the role is refused first.
pub struct Acting(pub Operator);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Visit::from_request_parts(parts, state).await?.acting().map(Self)
    }
}

/// An admin with the right to act here.
pub struct ActingAsAdmin(pub Admin);

impl<S: Send + Sync> FromRequestParts<S> for ActingAsAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Visit::from_request_parts(parts, state).await?.acting_as_admin().map(Self)
    }
}

/// The form of an act.
pub struct ActForm<B> {
    pub token: Uuid,
    pub confirm: String,
    /// As it was typed, to show it again.
    pub fields: Fields,
    /// REST's body, or what is wrong with it.
    pub body: Result<B, ApiError>,
}

impl<S: Send + Sync, B: Field<Value = B>> FromRequest<S> for ActForm<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let mut fields = Fields::from_request(request, state).await?;
        let token = token(&mut fields)?;
        let confirm = fields.take(CONFIRM).unwrap_or_default();
        let body = fields.read::<B>();
        Ok(Self { token, confirm, fields, body })
    }
}

/// Does the act of a form at most once. A repeated form gets the first answer. Of two equal forms sent at once,
/// the unique form id refuses the later commit, and that request gets the answer of the earlier one.
///
/// # Errors
/// The act's.
pub async fn once(
    dashboard: &Dashboard,
    form: Uuid,
    act: impl Future<Output = Result<(), ActError>>,
) -> Result<(), ActError> {
    if is_answered(dashboard, form).await? {
        return Ok(());
    }
    match act.await {
        Err(error) if error.is_refusal() && is_answered(dashboard, form).await? => Ok(()),
        done => done,
    }
}

async fn is_answered(dashboard: &Dashboard, form: Uuid) -> Result<bool, ActError> {
    let work = async move |connection: &mut PgConnection| {
        operator_actions::is_answered(connection, form).await.map_err(ActError::from)
    };
    db::with_retries(&dashboard.cell.pool, work).await
}

/// The act that a form asked for, if it was done.
///
/// # Errors
/// When the database is away.
pub async fn done_before(dashboard: &Dashboard, form: Uuid) -> Result<Option<Uuid>, ActError> {
    let work = async move |connection: &mut PgConnection| {
        operator_actions::of_form(connection, form).await.map_err(ActError::from)
    };
    db::with_retries(&dashboard.cell.pool, work).await
}

/// The id of what the act of a form made or found, if it was done.
///
/// # Errors
/// When the database is away.
pub async fn made_before(dashboard: &Dashboard, form: Uuid) -> Result<Option<Uuid>, ApiError> {
    let work = async move |connection: &mut PgConnection| operator_actions::subject_of_form(connection, form).await;
    Ok(dashboard.read(work).await?.as_deref().and_then(uuid))
}

/// The token in the fields of a form.
///
/// # Errors
/// 422.
pub fn token(fields: &mut Fields) -> Result<Uuid, ApiError> {
    let token = fields.take(FORM).ok_or(ApiError::field("/form", "is required"))?;
    uuid(&token).ok_or(ApiError::field("/form", "must be the token of a form of the dashboard"))
}

/// The version that was on the screen, without which no act on an opening is done.
///
/// # Errors
/// 422.
pub fn seen_version(version: Option<i64>) -> Result<i64, ApiError> {
    version.ok_or(ApiError::field("/expected_version", "is required"))
}

/// Leads to a page after an act, and has it say that the act was done.
#[must_use]
pub fn done(dashboard: &Dashboard, page: &str, act: &str) -> Response {
    Redirect::to(&dashboard.site.url(&format!("{page}#done-{act}"))).into_response()
}
