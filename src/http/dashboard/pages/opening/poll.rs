//! `POST /openings/{id}/poll`: asks the provider now, with one click.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::answer::Asked;
use crate::acts::poll::{self, PollRequest};
use crate::domain::OpeningId;
use crate::http::dashboard::act::{ActForm, Acting, once, seen_version};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::openings::poll::Poll;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

pub async fn poll(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Poll>,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let Poll { reason, expected_version } = form.body?;
    let seen = seen_version(expected_version)?;
    let request = PollRequest { reason: reason.unwrap_or_default(), expected_version };
    let acts = dashboard.acts.of_form(form.token);
    let result = once(&dashboard, form.token, Box::pin(poll::run(&acts, &operator, id, request))).await;
    Asked { dashboard: &dashboard, visit: &visit, id, seen }.answer("poll", result).await
}
