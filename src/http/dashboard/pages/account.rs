//! `/account`: a person's own sessions, and their end.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{Html, Redirect};
use axum::routing::get;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::acts::sign_out;
use crate::db::sessions::{self, Oldest};
use crate::http::dashboard::error::html;
use crate::http::dashboard::form::Fields;
use crate::http::dashboard::parts::Moment;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    layout: Layout,
    sessions: Vec<Session>,
}

struct Session {
    id: Uuid,
    created: Moment,
    seen: Moment,
    is_this: bool,
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/account", get(show)).route("/account/sessions/{id}/end", get(back).post(end))
}

/// Leads to the list: a sign-in on the way to the act ends here.
async fn back(State(dashboard): State<Arc<Dashboard>>) -> Redirect {
    Redirect::to(&dashboard.site.url("/account"))
}

async fn show(State(dashboard): State<Arc<Dashboard>>, visit: Visit) -> Result<Html<String>, ApiError> {
    let who = visit.principal.name().to_owned();
    let settings = &dashboard.settings.dashboard;
    let oldest = Oldest::at(dashboard.shell.clock.now(), settings.session_idle, settings.session_max);
    let work = async move |connection: &mut PgConnection| sessions::of_person(connection, &who, oldest).await;
    let session = |it: sessions::Session| Session {
        is_this: it.id == visit.session,
        id: it.id,
        created: it.created_at.into(),
        seen: it.seen_at.into(),
    };
    let sessions = dashboard.read(work).await?.into_iter().map(session).collect();
    html(&AccountPage { layout: dashboard.layout(Some(&visit)).at("/account"), sessions })
}

/// A session of another person, or one that has ended, is left as it is.
async fn end(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    fields: Fields,
) -> Result<Redirect, ApiError> {
    fields.only(&[])?;
    sign_out::run(&dashboard.acts, &visit.principal, visit.session, id).await?;
    Ok(Redirect::to(&dashboard.site.url("/account")))
}
