//! `/refused/{id}`: a refused webhook as it came. Its body is not authenticated.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, page_of};
use crate::db::refused_webhooks::{self, Whole};
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::dead_letters::headers;
use crate::http::dashboard::parts::{ActLink, Moment, Payload, words};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::Params;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

#[derive(Template)]
#[template(path = "refused/show.html")]
struct RefusedWebhookPage {
    layout: Layout,
    id: Uuid,
    cause: String,
    pairs: Vec<(&'static str, String)>,
    at: Moment,
    verified: Option<Verified>,
    /// None: the body was not kept.
    body: Option<Payload>,
    headers: Vec<(String, String)>,
    acts: Vec<ActLink>,
}

struct Verified {
    at: Moment,
    /// The inbox's answer.
    outcome: String,
    event_id: String,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    Id(id): Id,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let work = async move |connection: &mut PgConnection| refused_webhooks::get(connection, id).await;
    let whole = dashboard.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    html(&RefusedWebhookPage::new(dashboard.layout(Some(&visit)).at(SECTION), &whole))
}

impl RefusedWebhookPage {
    fn new(layout: Layout, whole: &Whole) -> Self {
        let (row, privacy) = (&whole.row, layout.privacy(None));
        let size = row.body_bytes.map_or_else(|| "unknown".to_owned(), |it| format!("{it} bytes"));
        let event_id = privacy.text(row.event_id.as_deref().unwrap_or_default());
        Self {
            id: row.id,
            cause: words(&row.cause),
            pairs: vec![
                ("Provider", privacy.text(&row.provider)),
                ("Source", row.source.clone()),
                ("Request", privacy.text(&format!("{} {}", row.method, row.path))),
                ("Body, as announced or received", size),
            ],
            at: row.received_at.into(),
            verified: row.verified_at.map(|at| Verified {
                at: at.into(),
                outcome: row.outcome.as_deref().map(words).unwrap_or_default(),
                event_id,
            }),
            body: whole.body.as_deref().map(|it| Payload::new("the body", it, &privacy)),
            headers: headers(Some(&whole.headers), &privacy),
            acts: acts(&layout, whole),
            layout,
        }
    }
}

fn acts(layout: &Layout, whole: &Whole) -> Vec<ActLink> {
    let refused = match whole {
        Whole { row, .. } if row.verified_at.is_some() => Some("It was verified already."),
        Whole { body: None, .. } => Some("Its body was not kept."),
        _ => None,
    };
    let link = ActLink {
        act: "reverify",
        label: "Verify it again".to_owned(),
        href: layout.url(&format!("{}/reverify", page_of(whole.row.id))),
        refused: refused.map(str::to_owned),
    };
    if layout.may_act() { vec![link] } else { Vec::new() }
}
