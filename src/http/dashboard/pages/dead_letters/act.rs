//! `/dead-letters/{id}/redrive` and `/dead-letters/{id}/discard`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::acts::{Once, Operator, discard, redrive};
use crate::db::dead_letters::{Act, Letter};
use crate::http::dashboard::act::{ActForm, Acting, done, once};
use crate::http::dashboard::confirmation::{Confirmation, Input, Rehearsal};
use crate::http::dashboard::parts::words;
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

/// The page and the form of an act.
pub fn route(act: Act) -> MethodRouter<Arc<Dashboard>> {
    get(move |dashboard, acting, visit, id| form(dashboard, acting, visit, id, act))
        .post(move |dashboard, acting, visit, id, form| run(dashboard, acting, visit, id, form, act))
}

async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    act: Act,
) -> Result<Response, ApiError> {
    confirmation(&dashboard, &visit, &operator, id, act).await?.answer()
}

async fn run(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Reason>,
    act: Act,
) -> Result<Response, ApiError> {
    let Reason { reason } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let page = confirmation(&dashboard, &visit, &operator, id, act).await?;
            return Confirmation { token: form.token, ..page }.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let acting = Box::pin(async {
        match act {
            Act::Redrive => redrive::run(&acts, &operator, id, reason).await,
            Act::Discard => discard::run(&acts, &operator, id, reason).await,
        }
    });
    once(&dashboard, form.token, acting).await?;
    Ok(done(&dashboard, &page_of(id), act.action()))
}

async fn confirmation(
    dashboard: &Dashboard,
    visit: &Visit,
    operator: &Operator,
    id: Uuid,
    act: Act,
) -> Result<Confirmation, ApiError> {
    let rehearsed = match act {
        Act::Redrive => redrive::rehearse(&dashboard.acts, operator, id).await,
        Act::Discard => discard::rehearse(&dashboard.acts, operator, id).await,
    };
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&page_of(id));
    Ok(Confirmation {
        act: act.action(),
        title: format!("{} a dead letter", if act == Act::Redrive { "Redrive" } else { "Discard" }),
        action: format!("{back}/{}", act.as_str()),
        rehearsal: vec![Rehearsal::of("", rehearsed, |it| lines(act, &it))?],
        inputs: vec![Input::reason()],
        hidden: Vec::new(),
        confirm: None,
        button: if act == Act::Redrive { "Redrive" } else { "Discard" },
        token: dashboard.shell.ids.next(),
        back,
        layout,
    })
}

fn lines(act: Act, rehearsed: &Once<Letter>) -> Vec<String> {
    let Once::Now(letter) = rehearsed else { return vec!["was done before: it changes nothing".to_owned()] };
    let what = format!("{} ({})", words(&letter.kind), letter.queue);
    let cause = letter.cause.as_deref().map(words).unwrap_or_default();
    match act {
        Act::Redrive => vec![
            format!("makes {what} pending again, with a fresh count of attempts"),
            format!("was given up because of: {cause}; if that is not mended, it becomes a dead letter again"),
        ],
        Act::Discard => {
            vec![format!("ends {what}: it is not tried again"), format!("was given up because of: {cause}")]
        }
    }
}
