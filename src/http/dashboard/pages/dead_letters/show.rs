//! `/dead-letters/{id}`: a dead letter, why it was given up, and each attempt.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::clock::Time;
use crate::db::dead_letters::{self, Act, Acted, Whole};
use crate::db::openings;
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening;
use crate::http::dashboard::parts::{ActLink, Look, Mark, Moment, Payload, Privacy, shown, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

#[derive(Template)]
#[template(path = "dead_letters/show.html")]
struct DeadLetterPage {
    layout: Layout,
    id: Uuid,
    title: String,
    status: Mark,
    queue: String,
    cause: String,
    opening: Option<String>,
    at: Moment,
    erased: Option<Moment>,
    payload: Payload,
    /// Empty: it came without headers.
    headers: Vec<(String, String)>,
    attempts: Vec<Attempt>,
    acts: Vec<ActLink>,
}

struct Attempt {
    at: Option<Moment>,
    class: String,
    cause: String,
    /// The person, for an act.
    by: String,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let (sees_all, may_act) = (layout.is_operator(), layout.may_act());
    let work = async move |connection: &mut PgConnection| {
        let Some(letter) = dead_letters::get(connection, id).await? else { return Ok(None) };
        let redrive = if may_act { Some(dead_letters::check(connection, id, Act::Redrive).await?) } else { None };
        let customer = match letter.letter.opening_id.filter(|_| !sees_all) {
            Some(opening) => openings::customer_name(connection, opening).await?,
            None => None,
        };
        Ok(Some((letter, redrive, customer)))
    };
    let (letter, redrive, customer) = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let privacy = layout.privacy(customer.as_deref());
    html(&DeadLetterPage::new(layout, &letter, redrive, &privacy))
}

impl DeadLetterPage {
    fn new(layout: Layout, whole: &Whole, redrive: Option<Acted>, privacy: &Privacy) -> Self {
        let letter = &whole.letter;
        let is_dead = whole.status == "dead";
        Self {
            id: letter.id,
            title: words(&letter.kind),
            status: layout.mark(&whole.status, if is_dead { Look::Urgent } else { Look::Ended }),
            queue: letter.queue.clone(),
            cause: letter.cause.as_deref().map(words).unwrap_or_default(),
            opening: letter.opening_id.map(|it| layout.url(&opening::page_of(OpeningId(it)))),
            at: letter.at.into(),
            erased: whole.erased_at.map(Moment::from),
            payload: Payload::new("the payload", &whole.payload, privacy),
            headers: headers(whole.headers.as_ref(), privacy),
            attempts: whole.attempt_log.as_array().into_iter().flatten().map(|it| attempt(it, privacy)).collect(),
            acts: redrive.map_or_else(Vec::new, |it| acts(&layout, whole, it)),
            layout,
        }
    }
}

/// The headers, each line; readers see values that are words or ids.
pub fn headers(headers: Option<&Value>, privacy: &Privacy) -> Vec<(String, String)> {
    let line = |name: &String, value: &Value| match shown(name, value, privacy) {
        Value::String(text) => (name.clone(), text),
        other => (name.clone(), other.to_string()),
    };
    let fields = headers.and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, value)| line(name, value)).collect()
}

fn attempt(entry: &Value, privacy: &Privacy) -> Attempt {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    Attempt {
        at: text("at").parse::<Time>().ok().map(Moment::from),
        class: words(text("class")),
        cause: privacy.text(text("cause")),
        by: text("by").to_owned(),
    }
}

fn acts(layout: &Layout, whole: &Whole, redrive: Acted) -> Vec<ActLink> {
    let is_over = (whole.status != "dead").then(|| "It is no longer a dead letter.".to_owned());
    let obsolete = match redrive {
        Acted::WrongState(why) => Some(sentence(why)),
        _ => None,
    };
    let path = page_of(whole.letter.id);
    let link = |act: Act, label: &str, refused| ActLink {
        act: act.action(),
        label: label.to_owned(),
        href: layout.url(&format!("{path}/{}", act.as_str())),
        refused,
    };
    vec![link(Act::Redrive, "Redrive it", is_over.clone().or(obsolete)), link(Act::Discard, "Discard it", is_over)]
}

/// A refusal of an act as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).chain(['.']).collect()).unwrap_or_default()
}
