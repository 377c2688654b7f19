//! `/cases/{id}/resolve`: closes a case with a person's judgement.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::acts::resolve_case::{self, ResolveCaseRequest};
use crate::acts::{ActError, Once, Operator};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::cases::resolve::Judgement;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let rehearsed = rehearsed(&dashboard, &operator, id).await;
    confirmation(&dashboard, &visit, id, rehearsed)?.answer()
}

pub async fn resolve(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Judgement>,
) -> Result<Response, ApiError> {
    let rehearsed = rehearsed(&dashboard, &operator, id).await;
    let Judgement { reason, evidence } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &visit, id, rehearsed)?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let request = ResolveCaseRequest { reason, evidence };
    once(&dashboard, form.token, resolve_case::run(&acts, &operator, id, request)).await?;
    Ok(done(&dashboard, &page_of(id), "resolve_case"))
}

/// The opening of the case.
type Rehearsed = Result<Once<Option<Uuid>>, ActError>;

async fn rehearsed(dashboard: &Dashboard, operator: &Operator, id: Uuid) -> Rehearsed {
    let request = ResolveCaseRequest { reason: String::new(), evidence: None };
    resolve_case::rehearse(&dashboard.acts, operator, id, request).await
}

fn confirmation(
    dashboard: &Dashboard,
    visit: &Visit,
    id: Uuid,
    rehearsed: Rehearsed,
) -> Result<Confirmation, ApiError> {
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&page_of(id));
    let lines = |_| {
        let lines = ["closes the case with your judgement", "moves no opening: an act of its own does what you judged"];
        lines.map(str::to_owned).to_vec()
    };
    Ok(Confirmation {
        act: "resolve_case",
        title: "Resolve a case".to_owned(),
        action: layout.url(&format!("/cases/{id}/resolve")),
        rehearsal: vec![Rehearsal::of("", rehearsed, lines)?],
        inputs: vec![
            Input::reason(),
            Input::new("evidence", "Evidence", Control::Lines)
                .optional()
                .help("What shows it, such as a letter of the bank."),
        ],
        hidden: Vec::new(),
        confirm: None,
        button: "Resolve",
        token: dashboard.shell.ids.next(),
        back,
        layout,
    })
}
