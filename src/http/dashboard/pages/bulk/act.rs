//! `POST /bulk/{id}/start`, for which the count of the list is typed, and `POST /bulk/{id}/stop`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::page_of;
use super::show::BulkPage;
use crate::acts::bulk::{self, stop};
use crate::acts::reason::ReasonText;
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::confirmed;
use crate::http::dashboard::error::html;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::fields::body;
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

body!(
    /// The body of an act that may have a reason.
    MaybeReason {
        /// The reason, for the record.
        reason: Option<ReasonText>,
    }
);

/// The address of an act shows the run, when it is asked for without its form.
pub async fn back(State(dashboard): State<Arc<Dashboard>>, Id(id): Id) -> Redirect {
    Redirect::to(&dashboard.site.url(&page_of(id)))
}

pub async fn start(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Reason>,
) -> Result<Response, ApiError> {
    let page = BulkPage::read(&dashboard, &visit, id, None).await?;
    let checked = form.body.and_then(|body| {
        confirmed(&form.confirm, &page.items.to_string(), "must be the count of the list above")?;
        Ok(body)
    });
    let Reason { reason } = match checked {
        Ok(body) => body,
        Err(refusal) => {
            let page = page.refused(form.token, &form.fields, &form.confirm, refusal)?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response());
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    once(&dashboard, form.token, Box::pin(bulk::run(&acts, &operator, id, reason))).await?;
    Ok(done(&dashboard, &page_of(id), "bulk"))
}

pub async fn stop(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    Id(id): Id,
    form: ActForm<MaybeReason>,
) -> Result<Response, ApiError> {
    let MaybeReason { reason } = form.body?;
    let acts = dashboard.acts.of_form(form.token);
    once(&dashboard, form.token, Box::pin(stop::run(&acts, &operator, id, reason.unwrap_or_default()))).await?;
    Ok(done(&dashboard, &page_of(id), "stop_bulk"))
}
