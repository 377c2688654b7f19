//! The page itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::lines::{Line, lines};
use super::read::Today;
use crate::domain::{Source, StateName, Status};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::chart::{Chart, Series};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    layout: Layout,
    lines: Vec<Line>,
    /// Whether nothing at all waits for a person.
    is_calm: bool,
    answers: Chart,
    started: Chart,
}

const ANSWERS: [Series; 5] = [
    Series { word: "webhook", tone: "good" },
    Series { word: "poll", tone: "waiting" },
    Series { word: "list or report", tone: "accent" },
    Series { word: "operator", tone: "edge" },
    Series { word: "answer to a call", tone: "muted" },
];

const OUTCOMES: [Series; 5] = [
    Series { word: "succeeded", tone: "good" },
    Series { word: "in progress", tone: "accent" },
    Series { word: "escalated", tone: "urgent" },
    Series { word: "rejected", tone: "muted" },
    Series { word: "failed", tone: "edge" },
];

pub async fn show(State(dashboard): State<Arc<Dashboard>>, visit: Visit) -> Result<Html<String>, ApiError> {
    let today = Today::read(&dashboard).await?;
    let layout = dashboard.layout(Some(&visit)).at("/");
    let lines = lines(&today, &layout);
    html(&HomePage {
        is_calm: lines.iter().all(|it| it.count == 0),
        lines,
        answers: Chart::new(
            "answers",
            "Answers per hour by how they were learnt",
            &ANSWERS,
            &today.hours,
            &today.answers,
            way,
        ),
        started: Chart::new(
            "openings-by-hour",
            "Openings per hour by outcome",
            &OUTCOMES,
            &today.hours,
            &today.started,
            outcome,
        ),
        layout,
    })
}

/// The place in [`ANSWERS`] of a source.
fn way(source: &str) -> usize {
    match source.parse() {
        Ok(Source::Webhook | Source::Sandbox) => 0,
        Ok(Source::Poll) => 1,
        Ok(Source::List | Source::Report) => 2,
        Ok(Source::Operator) => 3,
        _ => 4,
    }
}

/// The place in [`OUTCOMES`] of a state.
fn outcome(state: &str) -> usize {
    let Ok(state) = state.parse::<StateName>() else { return 1 };
    match state.status() {
        Status::Succeeded => 0,
        Status::InProgress if state == StateName::Escalated => 2,
        Status::InProgress => 1,
        Status::Rejected => 3,
        Status::Failed => 4,
    }
}
