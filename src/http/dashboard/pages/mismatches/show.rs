//! `/mismatches/{id}`: ours beside theirs, the suggestion, the raw line, and what became of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use sqlx::PgConnection;

use super::raw::{self, Line};
use super::sides::{self, Row};
use super::{SECTION, mark};
use crate::db::mismatches::{self, Beside, Listed, Said};
use crate::db::reports::{self, Around};
use crate::domain::OpeningId;
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Mark, Moment, Privacy, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

#[derive(Template)]
#[template(path = "mismatches/mismatch.html")]
struct MismatchPage {
    layout: Layout,
    id: String,
    class: String,
    state: Mark,
    pairs: Vec<(&'static str, String)>,
    /// Of its opening, if it is about one.
    opening: Option<String>,
    times: Vec<(&'static str, Moment)>,
    rows: Vec<Row>,
    suggested: String,
    because: Vec<String>,
    arithmetic: Vec<String>,
    action: String,
    /// The rows that say it.
    said: Vec<SaidBy>,
    raw: Vec<Line>,
    raw_is_redacted: bool,
    case: Option<Case>,
    steps: Vec<Step>,
    acts: Vec<Offer>,
}

struct SaidBy {
    href: String,
    report: String,
    /// 0 where a row is missing.
    line: i64,
}

struct Case {
    href: String,
    id: String,
    kind: String,
    status: String,
    created: Moment,
    /// The operator and the reason, if it is resolved.
    judgement: Option<(String, String)>,
}

struct Step {
    at: Moment,
    line: String,
    reason: String,
}

struct Offer {
    act: &'static str,
    label: &'static str,
    href: String,
    refused: Option<&'static str>,
}

struct Seen {
    it: Listed,
    said: Vec<Said>,
    beside: Beside,
    around: Option<(i64, Around)>,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let work = async move |connection: &mut PgConnection| {
        let Some(it) = mismatches::get(connection, id).await? else { return Ok(None) };
        let beside = mismatches::beside(connection, id).await?;
        let said = mismatches::said(connection, &[id]).await?;
        let around = match said.iter().rev().find(|it| it.line > 0) {
            Some(last) => reports::around(connection, last.report_id, last.line).await?.map(|it| (last.line, it)),
            None => None,
        };
        Ok(Some(Seen { it, said, beside, around }))
    };
    let seen = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    html(&MismatchPage::new(dashboard.layout(Some(&visit)).at(SECTION), seen))
}

impl MismatchPage {
    fn new(layout: Layout, Seen { it, said, beside, around }: Seen) -> Self {
        let privacy = Privacy::new(layout.is_operator(), beside.customer.as_deref());
        let text = |name: &str| privacy.text(it.suggested[name].as_str().unwrap_or_default());
        let because = it.suggested["because"].as_array().cloned().unwrap_or_default();
        let case = beside.case.as_ref().map(|it| case(&layout, &privacy, it));
        Self {
            id: it.id.to_string(),
            class: it.class.clone(),
            state: mark(&layout, &it.state),
            pairs: pairs(&it, &privacy),
            opening: it.opening_id.map(|it| layout.url(&page_of(OpeningId(it)))),
            times: times(&it),
            rows: sides::rows(&it, &privacy),
            suggested: text("class"),
            because: because.iter().filter_map(|it| Some(privacy.text(it.as_str()?))).collect(),
            arithmetic: sides::arithmetic(&it),
            action: text("action"),
            said: said.iter().map(|it| said_by(&layout, it)).collect(),
            raw_is_redacted: around.as_ref().is_some_and(|(_, it)| it.redacted),
            raw: around.map(|(line, it)| raw::lines(&it, line, &privacy)).unwrap_or_default(),
            steps: beside.steps.iter().map(|it| step(it, &privacy)).collect(),
            acts: if layout.may_act() { offers(&layout, &it, case.as_ref()) } else { Vec::new() },
            case,
            layout,
        }
    }
}

fn pairs(it: &Listed, privacy: &Privacy) -> Vec<(&'static str, String)> {
    let subject = if it.opening_id.is_some() { it.subject.clone() } else { privacy.text(&it.subject) };
    vec![
        ("Id", it.id.to_string()),
        ("Provider", it.provider.clone()),
        ("Kind", it.kind.clone()),
        ("Market", it.market.clone().unwrap_or_else(|| "not known".to_owned())),
        ("Subject", subject),
        ("Aspect", it.aspect.clone()),
    ]
}

fn times(it: &Listed) -> Vec<(&'static str, Moment)> {
    let due = it.due_at.map(|at| ("Becomes a case", at));
    let times = [("Found", it.created_at), ("Last change", it.updated_at)];
    times.into_iter().chain(due).map(|(name, at)| (name, at.into())).collect()
}

fn said_by(layout: &Layout, said: &Said) -> SaidBy {
    let report = said.report_id.to_string();
    SaidBy { href: layout.url(&format!("/reports/{report}")), report, line: said.line }
}

fn case(layout: &Layout, privacy: &Privacy, case: &mismatches::Case) -> Case {
    let judgement = case.resolved_by.clone().zip(case.reason.as_deref().map(|it| privacy.text(it)));
    Case {
        href: layout.url(&format!("/cases/{}", case.id)),
        id: case.id.to_string(),
        kind: words(&case.kind),
        status: case.status.clone(),
        created: case.created_at.into(),
        judgement,
    }
}

fn step(step: &mismatches::Step, privacy: &Privacy) -> Step {
    let from = step.from_state.as_deref().map_or_else(String::new, |from| format!("{from} → "));
    let line = format!("{from}{} · {} · by {}", step.to_state, step.class, step.by);
    Step { at: step.at.into(), line, reason: privacy.text(&step.reason) }
}

/// A person resolves the mismatch by its case: there is one list of exceptions.
fn offers(layout: &Layout, it: &Listed, case: Option<&Case>) -> Vec<Offer> {
    let refused = match case {
        Some(case) if case.status == "open" => None,
        Some(_) => Some("Its case is resolved."),
        None if it.due_at.is_some() => Some("It waits: no person is needed before it becomes a case."),
        None => Some("It has no case."),
    };
    let path = case.map_or_else(String::new, |it| format!("/cases/{}/resolve", it.id));
    vec![Offer { act: "resolve_case", label: "Resolve its case", href: layout.url(&path), refused }]
}
