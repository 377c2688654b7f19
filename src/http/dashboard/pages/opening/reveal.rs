//! `/openings/{id}/reveal`: shows name, e-mail address and IBAN one time, after it was recorded.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::answer::{Asked, page_of};
use super::{SECTION, read};
use crate::acts::reveal::{self, RevealRequest};
use crate::domain::OpeningId;
use crate::http::dashboard::act::{ActForm, Acting, done_before, seen_version};
use crate::http::dashboard::confirmation::{Confirmation, Input, Rehearsal};
use crate::http::dashboard::error::html;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::openings::erase::Erase;
use crate::http::internal::path::{Id, Ids};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "opening/revealed.html")]
struct RevealedPage {
    layout: Layout,
    path: String,
    /// Name and value. Empty: it was shown before.
    shown: Vec<(&'static str, String)>,
}

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let version = read::opening(&dashboard, id).await?.version;
    let rehearsed = reveal::rehearse(&dashboard.acts, &operator, id, None).await;
    let mut page = confirmation(&dashboard, &visit, id, version);
    page.rehearsal.push(Rehearsal::of("", rehearsed, |()| lines())?);
    page.answer()
}

/// The fields are those of an erasure: a reason, and the version on the screen.
pub async fn reveal(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Erase>,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let seen = seen_version(form.fields.number("expected_version"))?;
    let Erase { reason, expected_version } = match form.body {
        Ok(body) => body,
        Err(refusal) => {
            let mut page = confirmation(&dashboard, &visit, id, seen);
            page.token = form.token;
            page.rehearsal.push(Rehearsal { of: "", lines: lines(), refused: None });
            return page.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let act = match done_before(&dashboard, form.token).await? {
        Some(act) => Ok(act),
        None => match reveal::run(&acts, &operator, id, RevealRequest { reason, expected_version }).await {
            // The same form was sent twice at once, and the other request has done its act.
            Err(error) if error.is_refusal() => done_before(&dashboard, form.token).await?.ok_or(error),
            done => done,
        },
    };
    match act {
        Ok(act) => Ok(Redirect::to(&dashboard.site.url(&format!("{}/revealed/{act}", page_of(id)))).into_response()),
        Err(error) => {
            Asked { dashboard: &dashboard, visit: &visit, id, seen }.answer("reveal_personal_data", Err(error)).await
        }
    }
}

/// Shows it once; a reload says that it was shown.
pub async fn revealed(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Ids(id, act): Ids,
) -> Result<Html<String>, ApiError> {
    let id = OpeningId(id);
    let personal = reveal::show(&dashboard.acts, &operator, id, act).await?;
    let shown = personal.map_or_else(Vec::new, |it| {
        let iban = it.iban.unwrap_or_else(|| "none".to_owned());
        vec![("Name", it.customer.name), ("E-mail", it.customer.email), ("IBAN", iban)]
    });
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    html(&RevealedPage { path: layout.url(&page_of(id)), shown, layout })
}

fn lines() -> Vec<String> {
    ["shows name, e-mail address and IBAN one time", "records that you saw them, and why"].map(str::to_owned).to_vec()
}

fn confirmation(dashboard: &Dashboard, visit: &Visit, id: OpeningId, version: i64) -> Confirmation {
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&page_of(id));
    Confirmation {
        act: "reveal_personal_data",
        title: "Reveal personal data".to_owned(),
        action: format!("{back}/reveal"),
        rehearsal: Vec::new(),
        inputs: vec![Input::reason()],
        hidden: vec![("expected_version", version.to_string())],
        confirm: None,
        button: "Show them once",
        token: dashboard.shell.ids.next(),
        back,
        layout,
    }
}
