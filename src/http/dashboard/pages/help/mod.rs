//! `/help`: the words, the states, and the runbook, with an anchor for each alert. All of it is embedded when the program is built.

mod diagram;
mod markdown;

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;

use self::diagram::Diagram;
use self::markdown::Document;
use crate::domain::StateName;
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::words;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::problem::ApiError;

static GLOSSARY: LazyLock<Document> =
    LazyLock::new(|| Document::new(include_str!("../../../../../docs/GLOSSARY.md"), "words-"));
static OPERATIONS: LazyLock<Document> =
    LazyLock::new(|| Document::new(include_str!("../../../../../docs/OPERATIONS.md"), ""));

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    layout: Layout,
    diagram: Diagram,
    states: Vec<Row>,
    glossary: &'static Document,
    operations: &'static Document,
}

/// A state and what it may become.
struct Row {
    state: String,
    status: String,
    may_become: String,
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/help", get(show))
}

async fn show(State(dashboard): State<Arc<Dashboard>>, visit: Visit) -> Result<Html<String>, ApiError> {
    let state = |it: &StateName| Row {
        state: words(it.as_str()),
        status: words(it.status().as_str()),
        may_become: it.may_become().iter().map(|it| words(it.as_str())).collect::<Vec<_>>().join(", "),
    };
    html(&HelpPage {
        layout: dashboard.layout(Some(&visit)).at("/help"),
        diagram: Diagram::drawn(),
        states: StateName::ALL.iter().map(state).collect(),
        glossary: &GLOSSARY,
        operations: &OPERATIONS,
    })
}
