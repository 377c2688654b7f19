//! The answer to an act on an opening: it was done, or the opening has moved since its form was shown.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sqlx::PgConnection;

use super::SECTION;
use crate::acts::ActError;
use crate::db::{Page, history, openings};
use crate::domain::{OpeningId, StateName};
use crate::http::dashboard::act::done;
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Mark, Moment, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::problem::{ApiError, Kind};

/// The most steps that are shown; an opening has fewer.
const MOST: i64 = 50;

#[derive(Template)]
#[template(path = "opening/moved.html")]
struct MovedPage {
    layout: Layout,
    path: String,
    state: Mark,
    /// The version that was on the screen, and the version now.
    seen: i64,
    version: i64,
    steps: Vec<Step>,
}

/// A step since the version that was on the screen.
struct Step {
    at: Moment,
    line: String,
}

/// The path of the page of an opening, below the prefix.
pub fn page_of(id: OpeningId) -> String {
    format!("/openings/{id}")
}

/// An act on an opening, as it was asked for.
pub struct Asked<'a> {
    pub dashboard: &'a Arc<Dashboard>,
    pub visit: &'a Visit,
    pub id: OpeningId,
    /// The version that was on the screen.
    pub seen: i64,
}

impl Asked<'_> {
    /// # Errors
    /// The act's, except that the opening has moved: that is a page of its own.
    pub async fn answer(self, act: &'static str, result: Result<(), ActError>) -> Result<Response, ApiError> {
        match result {
            Ok(()) => Ok(done(self.dashboard, &page_of(self.id), act)),
            Err(ActError::Moved { .. }) => self.moved().await,
            Err(error) => Err(error.into()),
        }
    }

    /// 409: what happened since the version that was on the screen. Nothing was done or recorded.
    async fn moved(self) -> Result<Response, ApiError> {
        let (id, after) = (self.id, Some(self.seen));
        let work = async move |connection: &mut PgConnection| {
            let Some(opening) = openings::get(connection, id).await? else { return Ok(None) };
            let steps = history::list(connection, id, Page { limit: MOST, after }).await?;
            Ok(Some((opening, steps)))
        };
        let (opening, steps) = self.dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
        let layout = self.dashboard.layout(Some(self.visit)).at(SECTION);
        let page = MovedPage {
            path: layout.url(&page_of(id)),
            state: layout.state(opening.state_name()),
            seen: self.seen,
            version: opening.version,
            steps: steps.iter().map(step).collect(),
            layout,
        };
        Ok((StatusCode::CONFLICT, html(&page)?).into_response())
    }
}

fn step(row: &history::Transition) -> Step {
    let to = row.to_state.parse::<StateName>().map_or_else(|_| row.to_state.clone(), |it| words(it.as_str()));
    Step { at: row.at.into(), line: format!("version {}: {to} · {}", row.version, words(&row.event)) }
}
