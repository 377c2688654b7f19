//! `/refused/{id}/reverify`: verifies it again with the secrets of today, and takes it in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::acts::{Operator, reverify};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Input, Rehearsal};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    confirmation(&dashboard, &visit, &operator, id).await?.answer()
}

pub async fn reverify(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Reason>,
) -> Result<Response, ApiError> {
    let Reason { reason } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &visit, &operator, id).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    once(&dashboard, form.token, Box::pin(reverify::run(&acts, &operator, id, reason))).await?;
    Ok(done(&dashboard, &page_of(id), "reverify"))
}

async fn confirmation(
    dashboard: &Dashboard,
    visit: &Visit,
    operator: &Operator,
    id: Uuid,
) -> Result<Confirmation, ApiError> {
    let rehearsed = reverify::rehearse(&dashboard.acts, operator, id).await;
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&page_of(id));
    Ok(Confirmation {
        act: "reverify",
        title: "Verify a refused webhook again".to_owned(),
        action: format!("{back}/reverify"),
        rehearsal: vec![Rehearsal::of("", rehearsed, |()| lines())?],
        inputs: vec![Input::reason()],
        hidden: Vec::new(),
        confirm: None,
        button: "Verify and take it in",
        token: dashboard.shell.ids.next(),
        back,
        layout,
    })
}

fn lines() -> Vec<String> {
    let lines = [
        "its signature verifies with a secret of today, with its time judged as at receipt",
        "stores it in the inbox like any webhook: if it came before, it counts as a duplicate",
        "a body that cannot be read, or that came with other content before, becomes a dead letter",
    ];
    lines.map(str::to_owned).to_vec()
}
