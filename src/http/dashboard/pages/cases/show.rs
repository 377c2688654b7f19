//! `/cases/{id}`: both sides beside each other, and what a person does about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::advice::{Suggestion, subjects};
use super::list::{Resolved, mark};
use super::{SECTION, page_of};
use crate::db::cases::{self, Origin};
use crate::db::openings;
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening;
use crate::http::dashboard::parts::{ActLink, Mark, Moment, Privacy, shown, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

#[derive(Template)]
#[template(path = "cases/show.html")]
struct CasePage {
    layout: Layout,
    id: Uuid,
    kind: String,
    status: Mark,
    opening: Option<String>,
    opened: Moment,
    resolved: Option<Resolved>,
    rows: Vec<Row>,
    suggestion: Suggestion,
    suggested_class: String,
    evidence: Vec<Evidence>,
    /// The mismatch of a report that it came from.
    mismatch: Option<String>,
    acts: Vec<ActLink>,
}

/// A field with the value of each side.
struct Row {
    field: String,
    label: String,
    ours: Option<String>,
    theirs: Option<String>,
    differs: bool,
}

/// A message or a report's row that shows it.
struct Evidence {
    what: String,
    href: Option<String>,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let sees_all = layout.is_operator();
    let work = async move |connection: &mut PgConnection| {
        let Some(case) = cases::get(connection, id).await? else { return Ok(None) };
        let origin = cases::origin(connection, id).await?;
        let customer = match case.opening_id.filter(|_| !sees_all) {
            Some(opening) => openings::customer_name(connection, opening).await?,
            None => None,
        };
        Ok(Some((case, origin, customer)))
    };
    let (case, origin, customer) = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let privacy = layout.privacy(customer.as_deref());
    html(&CasePage::new(layout, &case, origin.as_ref(), &privacy))
}

impl CasePage {
    fn new(layout: Layout, case: &cases::Row, origin: Option<&Origin>, privacy: &Privacy) -> Self {
        let suggestion = Suggestion::of(&case.kind, origin);
        Self {
            id: case.id,
            kind: words(&case.kind),
            status: mark(&layout, &case.status),
            opening: case.opening_id.map(|it| layout.url(&opening::page_of(OpeningId(it)))),
            opened: case.created_at.into(),
            resolved: Resolved::of(case, privacy),
            rows: rows(case, origin, privacy),
            suggested_class: words(&suggestion.class),
            suggestion,
            evidence: evidence(&layout, case),
            mismatch: origin.map(|it| layout.url(&format!("/mismatches/{}", it.mismatch))),
            acts: acts(&layout, case),
            layout,
        }
    }
}

fn acts(layout: &Layout, case: &cases::Row) -> Vec<ActLink> {
    let refused = case.resolved_at.map(|_| "The case is resolved.".to_owned());
    let href = layout.url(&format!("{}/resolve", page_of(case.id)));
    let resolve = ActLink { act: "resolve_case", label: "Resolve the case".to_owned(), href, refused };
    if layout.may_act() { vec![resolve] } else { Vec::new() }
}

/// The fields of both sides. Our state stands beside their status.
fn rows(case: &cases::Row, origin: Option<&Origin>, privacy: &Privacy) -> Vec<Row> {
    let (ours, theirs) = (side(&case.ours), side(&case.theirs));
    let fields: BTreeSet<&str> = ours.iter().chain(&theirs).map(|(field, _)| field.as_str()).collect();
    let differences: Vec<&str> = origin
        .and_then(|it| it.differences.as_array())
        .map(|items| items.iter().filter_map(|it| it["field"].as_str()).collect())
        .unwrap_or_default();
    let of = |side: &[(String, Value)], field: &str| side.iter().find(|(it, _)| it == field).map(|it| it.1.clone());
    let contradicts = |field: &str| match (of(&ours, field), of(&theirs, field)) {
        // Our state and their word come from two vocabularies.
        (Some(ours), Some(theirs)) => field != "status" && ours != theirs,
        _ => false,
    };
    // Where no two values contradict each other, the case is about what the other side says.
    let is_subject = |field: &str| {
        !fields.iter().any(|it| contradicts(it))
            && subjects(&case.kind).contains(&field)
            && of(&theirs, field).is_some()
    };
    let row = |field: &&str| Row {
        field: (*field).to_owned(),
        label: words(field),
        differs: differences.contains(field) || contradicts(field) || is_subject(field),
        ours: of(&ours, field).map(|it| text(field, &it, privacy)),
        theirs: of(&theirs, field).map(|it| text(field, &it, privacy)),
    };
    fields.iter().map(row).collect()
}

/// The values that a side holds.
fn side(value: &Value) -> Vec<(String, Value)> {
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let name = |name: &String| if name == "state" { "status".to_owned() } else { name.clone() };
    fields.map(|(field, value)| (name(field), value.clone())).collect()
}

fn text(field: &str, value: &Value, privacy: &Privacy) -> String {
    match shown(field, value, privacy) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Messages are pages of operators; others see their ids.
fn evidence(layout: &Layout, case: &cases::Row) -> Vec<Evidence> {
    let message = |id: &Uuid| Evidence {
        what: format!("message {id}"),
        href: case
            .opening_id
            .filter(|_| layout.is_operator())
            .map(|it| layout.url(&format!("{}/facts/{id}", opening::page_of(OpeningId(it))))),
    };
    let rows = case.report_rows.as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let report = row["report_id"].as_str()?;
        let href = Some(layout.url(&format!("/reports/{report}")));
        Some(Evidence { what: format!("line {} of report {report}", row["line"]), href })
    };
    case.evidence.iter().map(message).chain(rows.iter().filter_map(row)).collect()
}
