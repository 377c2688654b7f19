//! `/logout`: the session ends here and on every replica.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::{SessionCookie, find};
use crate::acts::sign_out;
use crate::http::dashboard::Dashboard;
use crate::http::dashboard::form::Fields;
use crate::http::problem::ApiError;

pub async fn sign_out(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.only(&[])?;
    if let Some(visit) = find(&dashboard, &headers).await? {
        sign_out::run(&dashboard.acts, &visit.principal, visit.session, visit.session).await?;
    }
    let forget = [(header::SET_COOKIE, SessionCookie::forget())];
    Ok((forget, Redirect::to(&dashboard.site.url("/login"))).into_response())
}
