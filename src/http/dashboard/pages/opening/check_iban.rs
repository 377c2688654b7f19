//! `POST /openings/{id}/check-iban`: compares an IBAN that a customer reads out with ours, without showing ours. Nothing is recorded,
//! and every role may ask.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::answer::page_of;
use super::{SECTION, read};
use crate::domain::bank::Iban;
use crate::domain::{Opening, OpeningId};
use crate::http::dashboard::error::html;
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "opening/check_iban.html")]
struct CheckPage {
    layout: Layout,
    path: String,
    result: &'static str,
    says: &'static str,
}

pub async fn check(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    fields: Fields,
) -> Result<Html<String>, ApiError> {
    fields.only(&["iban"])?;
    let id = OpeningId(id);
    let opening = read::opening(&dashboard, id).await?;
    let (result, says) = compared(&opening, fields.text("iban").unwrap_or_default());
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    html(&CheckPage { path: layout.url(&page_of(id)), result, says, layout })
}

fn compared(opening: &Opening, text: &str) -> (&'static str, &'static str) {
    match (Iban::parse(text), opening.state.account()) {
        (Err(_), _) => ("not_an_iban", "This is not an IBAN: its form or its check digits are wrong."),
        (Ok(_), None) => ("none", "This is an IBAN, and we hold none for this opening."),
        (Ok(theirs), Some(account)) if theirs == account.iban => ("equal", "Equal: this is the IBAN that we hold."),
        (Ok(_), Some(_)) => ("different", "Different: this is an IBAN, but not the one that we hold."),
    }
}
