//! `/reports/{id}/release` and `/reports/{id}/discard`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use uuid::Uuid;

use super::SECTION;
use crate::acts::decide_report::{self, Verdict};
use crate::acts::{Once, Operator};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Input, Rehearsal};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

/// The page and the form of a verdict.
pub fn route(verdict: Verdict) -> MethodRouter<Arc<Dashboard>> {
    get(move |dashboard, acting, visit, id| form(dashboard, acting, visit, id, verdict))
        .post(move |dashboard, acting, visit, id, form| act(dashboard, acting, visit, id, form, verdict))
}

async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    verdict: Verdict,
) -> Result<Response, ApiError> {
    confirmation(&dashboard, &operator, &visit, id, verdict).await?.answer()
}

async fn act(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Reason>,
    verdict: Verdict,
) -> Result<Response, ApiError> {
    let Reason { reason } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &operator, &visit, id, verdict).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let acting = Box::pin(decide_report::run(&acts, &operator, id, verdict, reason));
    once(&dashboard, form.token, acting).await?;
    Ok(done(&dashboard, &format!("/reports/{id}"), verdict.as_str()))
}

async fn confirmation(
    dashboard: &Dashboard,
    operator: &Operator,
    visit: &Visit,
    id: Uuid,
    verdict: Verdict,
) -> Result<Confirmation, ApiError> {
    let rehearsed = decide_report::rehearse(&dashboard.acts, operator, id, verdict).await;
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&format!("/reports/{id}"));
    let (title, button, path) = match verdict {
        Verdict::Release => ("Release a report", "Release", "release"),
        Verdict::Discard => ("Discard a report", "Discard", "discard"),
    };
    Ok(Confirmation {
        act: verdict.as_str(),
        title: title.to_owned(),
        action: format!("{back}/{path}"),
        rehearsal: vec![Rehearsal::of("", rehearsed, |it| lines(verdict, it))?],
        inputs: vec![Input::reason()],
        hidden: Vec::new(),
        confirm: None,
        button,
        token: dashboard.shell.ids.next(),
        back,
        layout,
    })
}

fn lines(verdict: Verdict, rehearsed: Once<i64>) -> Vec<String> {
    let Once::Now(rows) = rehearsed else { return vec!["was done before: it changes nothing".to_owned()] };
    match verdict {
        Verdict::Release => vec![
            format!("applies what was found in its {rows} rows: missed answers become facts, differences become cases"),
            "resolves the case that holds it".to_owned(),
            "cannot be taken back by discarding it afterwards".to_owned(),
        ],
        Verdict::Discard => vec![
            format!("ends the report without any effect of its {rows} rows"),
            "resolves the case that holds it, if there is one".to_owned(),
            "keeps the file; the same file may be sent again".to_owned(),
        ],
    }
}
