//! The list, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::operator_actions::{self, Action};
use crate::db::overview;
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Moment, Privacy, words};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::operator_actions::filter;
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "acts.html")]
struct ActsPage<'a> {
    layout: Layout,
    filters: Filters<'a>,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

struct Row {
    at: Moment,
    who: String,
    action: String,
    subject: String,
    /// The page of the opening that it is about.
    href: Option<String>,
    reason: String,
    detail: String,
}

pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let (filter, page) = (filter(&params)?, params.page::<Uuid>()?);
    let work = async move |connection: &mut PgConnection| {
        let acts = operator_actions::list(connection, &filter, one_more(&page)).await?;
        let names = names(connection, &acts).await?;
        Ok((acts, names))
    };
    let (acts, names) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at("/acts");
    let (acts, cursor) = paged(acts, page.limit, |it| it.id);
    let query = Query::of(query.as_deref());
    let filters = Filters::new(&params, layout.url("/acts"), "Filter the acts");
    let sees_all = layout.is_operator();
    html(&ActsPage {
        filters: filters.text("who", "By").text("action", "Act").text("opening_id", "Opening"),
        next: query.next(&layout.url("/acts"), cursor),
        csv: query.csv(&layout.url("/acts.csv")),
        rows: acts.iter().map(|it| row(it, &layout, &privacy(it, &names, sees_all))).collect(),
        layout,
    })
}

/// By opening of an act: the name of its customer.
pub async fn names(connection: &mut PgConnection, acts: &[Action]) -> sqlx::Result<HashMap<Uuid, String>> {
    let openings: Vec<Uuid> = acts.iter().filter_map(|it| it.opening_id).collect();
    Ok(overview::names(connection, &openings).await?.into_iter().collect())
}

/// The part of an act that a person may see.
pub fn privacy(act: &Action, names: &HashMap<Uuid, String>, sees_all: bool) -> Privacy {
    let name = act.opening_id.and_then(|it| names.get(&it));
    Privacy::new(sees_all, name.map(String::as_str))
}

fn row(act: &Action, layout: &Layout, privacy: &Privacy) -> Row {
    Row {
        at: act.at.into(),
        who: act.who.clone(),
        action: words(&act.action),
        subject: privacy.text(&act.subject),
        href: act.opening_id.map(|it| layout.url(&page_of(OpeningId(it)))),
        reason: privacy.text(&act.reason),
        detail: privacy.text(&detail(&act.detail)),
    }
}

/// Further data in a line.
pub fn detail(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else { return String::new() };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let shown = fields.iter().filter(|(_, value)| !value.is_null());
    shown.map(|(name, value)| format!("{}: {}", words(name), text(value))).collect::<Vec<_>>().join("; ")
}
