//! `/openings/{id}/erase`: erases the personal data of an opening that has ended. `erase` is typed, since it cannot be undone.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::answer::{Asked, page_of};
use super::{SECTION, read};
use crate::acts::Once;
use crate::acts::erase::{self, EraseRequest};
use crate::domain::OpeningId;
use crate::http::dashboard::act::{ActForm, Acting, once, seen_version};
use crate::http::dashboard::confirmation::{Confirmation, Control, Input, Rehearsal, confirmed};
use crate::http::dashboard::{Dashboard, Visit};
use crate::http::internal::openings::erase::Erase;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

pub async fn form(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let version = read::opening(&dashboard, id).await?.version;
    let request = EraseRequest { reason: String::new(), expected_version: None };
    let rehearsed = erase::rehearse(&dashboard.acts, &operator, id, request).await;
    let mut page = confirmation(&dashboard, &visit, id, version);
    page.rehearsal.push(Rehearsal::of("", rehearsed, lines)?);
    page.answer()
}

pub async fn erase(
    State(dashboard): State<Arc<Dashboard>>,
    Acting(operator): Acting,
    visit: Visit,
    Id(id): Id,
    form: ActForm<Erase>,
) -> Result<Response, ApiError> {
    let id = OpeningId(id);
    let seen = seen_version(form.fields.number("expected_version"))?;
    let checked = form.body.and_then(|body| {
        confirmed(&form.confirm, "erase", "must be the word erase")?;
        Ok(body)
    });
    let Erase { reason, expected_version } = match checked {
        Ok(body) => body,
        Err(refusal) => {
            let mut page = confirmation(&dashboard, &visit, id, seen);
            page.token = form.token;
            page.rehearsal.push(Rehearsal { of: "", lines: lines(Once::Now(())), refused: None });
            return page.again(&form.fields, refusal);
        }
    };
    let acts = dashboard.acts.of_form(form.token);
    let request = EraseRequest { reason, expected_version };
    let result = once(&dashboard, form.token, Box::pin(erase::run(&acts, &operator, id, request))).await;
    Asked { dashboard: &dashboard, visit: &visit, id, seen }.answer("erase", result).await
}

fn lines(rehearsed: Once<()>) -> Vec<String> {
    let lines: &[&str] = match rehearsed {
        Once::Now(()) => &[
            "erases name, e-mail address, reference, IBAN and the reason of its end, in every table",
            "empties the messages, cases, tickets and reasons that speak of the customer",
            "keeps state, version and history, which still verifies",
            "cannot be undone",
        ],
        Once::Already => &["was done before: it empties only what came in about the customer since"],
    };
    lines.iter().map(|it| (*it).to_owned()).collect()
}

fn confirmation(dashboard: &Dashboard, visit: &Visit, id: OpeningId, version: i64) -> Confirmation {
    let layout = dashboard.layout(Some(visit)).at(SECTION);
    let back = layout.url(&page_of(id));
    Confirmation {
        act: "erase",
        title: "Erase personal data".to_owned(),
        action: format!("{back}/erase"),
        rehearsal: Vec::new(),
        inputs: vec![Input::reason().help("For the record, which keeps it: write nothing personal.")],
        hidden: vec![("expected_version", version.to_string())],
        confirm: Some(Input::new("confirm", "Type erase", Control::Line).help("It cannot be undone.")),
        button: "Erase",
        token: dashboard.shell.ids.next(),
        back,
        layout,
    }
}
