//! `/reports/{id}`: a report, what was found in it, and what cannot be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use sqlx::PgConnection;

use super::{SECTION, mark};
use crate::clock::Time;
use crate::db::mismatches::{self, Count, Filter};
use crate::db::reports::{self, BadRow, Report};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Mark, Moment, Privacy, at_least};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::page::{Params, one_more};
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};
use crate::reconciliation::classify::Class;
use crate::reconciliation::resource::ReportState;

/// The page's messages after an act that led to it.
const SAID_DONE: [(&str, &str); 4] = [
    ("upload_report", "Done: the file is stored; a file that was sent before is shown as it was."),
    ("pull_report", "Done: the list is read next."),
    ("release_report", "Done: the report is released and applied next."),
    ("discard_report", "Done: the report is discarded."),
];

#[derive(Template)]
#[template(path = "reports/report.html")]
struct ReportPage {
    layout: Layout,
    path: String,
    said_done: [(&'static str, &'static str); 4],
    state: Mark,
    kind: String,
    provider: String,
    pairs: Vec<(&'static str, String)>,
    times: Vec<(&'static str, Moment)>,
    /// Why it failed or is held.
    why: Option<String>,
    counts: Vec<(String, i64)>,
    sums: Vec<(String, String)>,
    mismatches: Vec<OfClass>,
    errors: Vec<BadRow>,
    /// The address of the next errors.
    next: Option<String>,
    acts: Vec<Offer>,
    /// Whether the evidence can be downloaded.
    has_evidence: bool,
}

/// The mismatches of a class.
struct OfClass {
    class: String,
    href: String,
    /// States and counts, as words.
    states: String,
    count: String,
}

struct Offer {
    act: &'static str,
    label: &'static str,
    href: String,
    refused: Option<&'static str>,
}

struct Seen {
    report: Report,
    errors: Vec<BadRow>,
    counts: Vec<Count>,
    /// Why it was held. None: it was not.
    held: Option<String>,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let page = params.page::<i64>()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let work = async move |connection: &mut PgConnection| {
        let Some(report) = reports::get(connection, id).await? else { return Ok(None) };
        let errors = reports::errors(connection, id, one_more(&page)).await?;
        let of_report = Filter { report: Some(id), ..Filter::default() };
        let counts = mismatches::count(connection, &of_report).await?;
        let held = mismatches::why_held(connection, &report).await?;
        Ok(Some(Seen { report, errors, counts, held }))
    };
    let seen = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    html(&ReportPage::new(&dashboard, &visit, seen, limit))
}

impl ReportPage {
    fn new(dashboard: &Dashboard, visit: &Visit, mut seen: Seen, limit: usize) -> Self {
        let layout = dashboard.layout(Some(visit)).at(SECTION);
        let privacy = Privacy::new(layout.is_operator(), None);
        let report = &seen.report;
        let path = layout.url(&format!("/reports/{}", report.id));
        let more = seen.errors.len() > limit;
        seen.errors.truncate(limit);
        let last = seen.errors.last().filter(|_| more);
        Self {
            said_done: SAID_DONE,
            state: mark(&layout, &report.state),
            kind: report.kind.clone(),
            provider: report.provider.clone(),
            pairs: pairs(report, &privacy),
            times: times(report),
            why: report.failure.as_ref().or(seen.held.as_ref()).map(|it| privacy.text(it)),
            counts: counts(report),
            sums: sums(report),
            mismatches: of_classes(&layout, report, &seen.counts),
            next: last.map(|it| format!("{path}?cursor={}#errors", it.n.write())),
            acts: if layout.may_act() { offers(report, &path) } else { Vec::new() },
            has_evidence: layout.is_operator() && !is_under_way(report),
            errors: seen.errors.into_iter().map(|it| BadRow { detail: privacy.text(&it.detail), ..it }).collect(),
            path,
            layout,
        }
    }
}

fn is_under_way(report: &Report) -> bool {
    matches!(report.state.parse(), Ok(ReportState::Received | ReportState::Reading))
}

fn pairs(report: &Report, privacy: &Privacy) -> Vec<(&'static str, String)> {
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let none = || "none".to_owned();
    vec![
        ("Id", report.id.to_string()),
        ("File name", report.file_name.as_deref().map_or_else(none, |it| privacy.text(it))),
        ("Format", report.format.clone()),
        ("Complete", yes(report.complete)),
        ("Dry run", yes(report.dry_run)),
        ("Rows", report.rows.to_string()),
        ("Bad rows", report.bad_rows.to_string()),
        ("Bytes", report.bytes.to_string()),
        ("SHA-256", report.sha256.as_ref().map_or_else(none, hex::encode)),
        ("Received by", report.received_by.clone()),
        ("Sent in place of", report.supersedes.map_or_else(none, |it| it.to_string())),
    ]
}

fn times(report: &Report) -> Vec<(&'static str, Moment)> {
    let time = |label, time: Option<Time>| time.map(|it| (label, Moment::from(it)));
    [
        time("Period from", report.period_from),
        time("Period until", report.period_until),
        time("As of", report.as_of),
        time("Received", Some(report.received_at)),
        time("Finished", report.finished_at),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Rows per class, as REST counts them.
fn counts(report: &Report) -> Vec<(String, i64)> {
    let counts = report.counts.as_object().cloned().unwrap_or_default();
    let classes: BTreeMap<String, i64> = counts
        .into_iter()
        .filter(|(name, _)| name.parse::<Class>().is_ok())
        .filter_map(|(name, count)| Some((name, count.as_i64()?)))
        .collect();
    classes.into_iter().collect()
}

fn sums(report: &Report) -> Vec<(String, String)> {
    let text = |it: &serde_json::Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    let sums = report.sums.as_array().cloned().unwrap_or_default();
    sums.iter().map(|it| (text(&it["currency"]), text(&it["amount"]))).collect()
}

fn of_classes(layout: &Layout, report: &Report, counts: &[Count]) -> Vec<OfClass> {
    let sum = |some: &[Count]| some.iter().map(|it| it.count).sum::<i64>();
    let is_capped = sum(counts) > mismatches::MOST;
    let of_class = |counts: &[Count]| OfClass {
        class: counts[0].class.clone(),
        href: layout.url(&format!("/mismatches?report={}&class={}", report.id, counts[0].class)),
        states: counts.iter().map(|it| format!("{} {}", it.count, it.state)).collect::<Vec<_>>().join(", "),
        count: at_least(sum(counts).min(mismatches::MOST), is_capped),
    };
    counts.chunk_by(|a, b| a.class == b.class).map(of_class).collect()
}

fn offers(report: &Report, path: &str) -> Vec<Offer> {
    let state = report.state.parse::<ReportState>();
    let is_held = matches!(state, Ok(ReportState::Held));
    let is_over = match state {
        Ok(ReportState::Finished) => !report.dry_run,
        Ok(ReportState::Discarded) => true,
        _ => false,
    };
    vec![
        Offer {
            act: "release_report",
            label: "Release",
            href: format!("{path}/release"),
            refused: (!is_held).then_some("It is not held."),
        },
        Offer {
            act: "discard_report",
            label: "Discard",
            href: format!("{path}/discard"),
            refused: is_over.then_some("It has had its effects, or is discarded already."),
        },
    ]
}
