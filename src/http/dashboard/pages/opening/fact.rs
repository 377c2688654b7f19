//! `/openings/{id}/facts/{fact}`: one message, for operators: its bytes as they came, what the adapter reads in them, which secret
//! verifies them, and what they changed.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Html;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::acts::Operator;
use crate::db::facts::{self, Change, Whole};
use crate::db::openings;
use crate::domain::{Fact, OpeningId, Report, Source};
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::{cases, dead_letters};
use crate::http::dashboard::parts::{Moment, Payload, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::path::Ids;
use crate::http::problem::{ApiError, Kind};
use crate::inbox::timeline;
use crate::provider::{Headers, Incoming, Providers};

#[derive(Template)]
#[template(path = "opening/fact.html")]
struct FactPage {
    layout: Layout,
    back: String,
    id: Uuid,
    source: String,
    outcome: String,
    pairs: Vec<(&'static str, String)>,
    received: Moment,
    settled: Option<Moment>,
    last_duplicate: Option<Moment>,
    erased: Option<Moment>,
    /// The page of its dead letter.
    letter: Option<String>,
    verified: String,
    read: Result<Vec<(String, String)>, String>,
    changes: Vec<Line>,
    body: Payload,
    headers: Vec<(String, String)>,
}

/// A change in words.
struct Line {
    at: Moment,
    text: String,
    href: Option<String>,
}

/// Only operators see the bytes of a message.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    _: Operator,
    visit: Visit,
    Ids(id, fact): Ids,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let work = async move |connection: &mut PgConnection| {
        let Some(opening) = openings::get(connection, OpeningId(id)).await? else { return Ok(None) };
        let Some(whole) = facts::get(connection, &opening, fact).await? else { return Ok(None) };
        Ok(Some((whole, facts::changes(connection, id, fact).await?)))
    };
    let (whole, changes) = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    html(&FactPage::new(layout, &dashboard.outside.providers, OpeningId(id), &whole, &changes))
}

impl FactPage {
    fn new(layout: Layout, providers: &Providers, opening: OpeningId, whole: &Whole, changes: &[Change]) -> Self {
        let (row, privacy) = (&whole.row, layout.privacy(None));
        let or_none = |value: Option<&str>| value.unwrap_or("none").to_owned();
        Self {
            back: layout.url(&page_of(opening)),
            id: row.id,
            source: words(&row.source),
            outcome: words(&or_none(whole.outcome.as_deref())),
            pairs: vec![
                ("Provider", row.provider.clone()),
                ("Event id", whole.event_id.clone()),
                ("Status", words(&whole.status)),
                ("Tracking id in it", or_none(row.provider_ref.as_deref())),
                ("Copies that came later", whole.duplicates.to_string()),
            ],
            received: row.received_at.into(),
            settled: whole.settled_at.map(Moment::from),
            last_duplicate: whole.last_duplicate_at.map(Moment::from),
            erased: whole.erased_at.map(Moment::from),
            letter: (whole.status == "dead").then(|| layout.url(&dead_letters::page_of(row.id))),
            verified: verified(providers, whole),
            read: read(providers, whole),
            changes: changes.iter().map(|it| line(&layout, it)).collect(),
            body: Payload::new("the message", &row.body, &privacy),
            headers: dead_letters::headers(facts::headers(whole), &privacy),
            layout,
        }
    }
}

/// Which secret verifies the message now. It is computed anew: the inbox holds what came, and no verdict about it.
fn verified(providers: &Providers, whole: &Whole) -> String {
    let row = &whole.row;
    match row.source.parse() {
        Ok(Source::Webhook) if whole.erased_at.is_some() => {
            "Its bytes were erased: no signature covers it any more.".to_owned()
        }
        Ok(Source::Webhook) => by_secret(providers, whole).unwrap_or_else(|| {
            "No active secret verifies it: the secret that verified it at receipt is not active any more.".to_owned()
        }),
        Ok(Source::Sandbox) => "It was made in the sandbox, with a token of an operator.".to_owned(),
        Ok(Source::Poll | Source::List | Source::Command) => {
            "It is the answer to a call of ours; none signs it.".to_owned()
        }
        _ => format!("It is a fact of our own ({}).", words(&row.source)),
    }
}

fn by_secret(providers: &Providers, whole: &Whole) -> Option<String> {
    let row = &whole.row;
    let provider = providers.get(&row.provider)?;
    let headers = Headers::stored(&row.headers);
    let incoming = Incoming {
        method: &Method::POST,
        path: &format!("/webhooks/{}", row.provider),
        headers: &headers.to_map(),
        body: &row.body,
        received_at: row.received_at,
    };
    let verified = provider.verify(&incoming).ok()?;
    let secrets = provider.secrets();
    let secret = secrets.get(verified.secret)?;
    let (place, count) = (verified.secret + 1, secrets.len());
    Some(format!("The secret with the fingerprint {secret} verifies it: number {place} of {count} active ones."))
}

/// The fact's fields, as the adapter reads them now.
fn read(providers: &Providers, whole: &Whole) -> Result<Vec<(String, String)>, String> {
    if whole.erased_at.is_some() {
        return Err("its bytes were erased".to_owned());
    }
    let fact = timeline::read(providers, &whole.row)?;
    Ok(fact.report().map_or_else(|| own(&fact), said))
}

fn said(report: &Report) -> Vec<(String, String)> {
    let fields = [
        ("verdict", Some(report.verdict.to_string())),
        ("word", Some(report.word.clone())),
        ("tracking id", report.reference.as_ref().map(ToString::to_string)),
        ("our reference", report.our_reference.clone()),
        ("IBAN", report.iban.clone()),
        ("BIC", report.bic.clone()),
        ("reason", report.reason.clone()),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The fields of a fact that is no report.
fn own(fact: &Fact) -> Vec<(String, String)> {
    let fields = serde_json::to_value(fact).unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.as_object().into_iter().flatten().map(|(name, value)| (words(name), text(value))).collect()
}

fn line(layout: &Layout, change: &Change) -> Line {
    let from = change.from_state.as_deref().map_or_else(String::new, |it| format!("{} → ", words(it)));
    let text = match change.version {
        Some(version) => format!("version {version}: {from}{}", words(&change.what)),
        None => format!("opened a case: {}", words(&change.what)),
    };
    Line { at: change.at.into(), text, href: change.case_id.map(|it| layout.url(&cases::page_of(it))) }
}
