//! `POST /search`: one box for every id, reference and IBAN. It is a POST, so that none of them stands in an address.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::search::{self, Hit, Sought};
use crate::domain::OpeningId;
use crate::domain::bank::Iban;
use crate::domain::text::check_line;
use crate::http::dashboard::error::html;
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::pages::{cases, dead_letters, refused};
use crate::http::dashboard::parts::words;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::path::uuid;
use crate::http::problem::ApiError;

/// The longest text that is looked for, in characters.
const MAX_TEXT: usize = 255;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    layout: Layout,
    hits: Vec<Found>,
    /// Nothing was looked for yet.
    is_empty: bool,
}

struct Found {
    kind: String,
    id: Uuid,
    /// The page that shows it. None: there is none.
    href: Option<String>,
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/search", get(form).post(search))
}

/// A reload of the answer's address shows the box.
async fn form(State(dashboard): State<Arc<Dashboard>>, visit: Visit) -> Result<Response, ApiError> {
    let layout = dashboard.layout(Some(&visit));
    Ok(html(&SearchPage { layout, hits: Vec::new(), is_empty: true })?.into_response())
}

async fn search(State(dashboard): State<Arc<Dashboard>>, visit: Visit, fields: Fields) -> Result<Response, ApiError> {
    fields.only(&["q"])?;
    let text = fields.text("q").unwrap_or_default().trim();
    let text = check_line(text, MAX_TEXT).map_err(|takes| ApiError::field("/q", takes))?;
    let sought = Sought {
        id: uuid(&text),
        iban: Iban::parse(&text).ok().map(|it| it.as_str().to_owned()),
        providers: dashboard.outside.providers.names().map(str::to_owned).collect(),
        text,
    };
    let work = async move |connection: &mut PgConnection| search::find(connection, &sought).await;
    let hits = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit));
    let hits: Vec<Found> = hits.iter().map(|hit| found(&layout, hit)).collect();
    if let [Found { href: Some(href), .. }] = &hits[..] {
        return Ok(Redirect::to(href).into_response());
    }
    Ok(html(&SearchPage { layout, hits, is_empty: false })?.into_response())
}

fn found(layout: &Layout, hit: &Hit) -> Found {
    let path = match hit.kind.as_str() {
        "case" => Some(cases::page_of(hit.id)),
        "dead_letter" => Some(dead_letters::page_of(hit.id)),
        "refused_webhook" => Some(refused::page_of(hit.id)),
        _ => hit.opening_id.map(|it| page_of(OpeningId(it))),
    };
    Found { kind: words(&hit.kind), id: hit.id, href: path.map(|it| layout.url(&it)) }
}
