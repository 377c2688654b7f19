//! `/unmatched`: facts that match no opening, and until when they wait for one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use axum::routing::get;
use sqlx::PgConnection;
use uuid::Uuid;

use super::dead_letters::page_of;
use crate::clock::Time;
use crate::db::inbox::{self, Unmatched};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Look, Mark, Moment, Privacy, capped};
use crate::http::dashboard::query::Query;
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::internal::unmatched::waits_until;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "unmatched.html")]
struct UnmatchedPage {
    layout: Layout,
    /// Facts past their time, as the first page counts them.
    late: String,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: Uuid,
    /// The page of its dead letter. None: it still waits.
    href: Option<String>,
    status: Mark,
    source: String,
    provider: String,
    provider_reference: String,
    /// Our id in it, which no opening has.
    opening_id: String,
    received: Moment,
    waits_until: Option<Moment>,
    next_try: Option<Moment>,
}

pub fn router() -> Router<Arc<Dashboard>> {
    Router::new().route("/unmatched", get(list))
}

async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    params.only(&[])?;
    let page = params.page()?;
    let now = dashboard.shell.clock.now();
    let cutoff = now - dashboard.settings.parked_ttl;
    let work = async move |connection: &mut PgConnection| {
        let (late, _) = inbox::unmatched_in_time(connection, cutoff).await?;
        Ok((late, inbox::unmatched(connection, one_more(&page)).await?))
    };
    let (late, rows) = dashboard.read(work).await?;
    let (rows, cursor) = paged(rows, page.limit, |row| row.id);
    let layout = dashboard.layout(Some(&visit)).at("/unmatched");
    let privacy = layout.privacy(None);
    html(&UnmatchedPage {
        late: capped(late),
        rows: rows.iter().map(|it| row(&dashboard, &layout, &privacy, it, now)).collect(),
        next: Query::of(query.as_deref()).next(&layout.url("/unmatched"), cursor),
        layout,
    })
}

fn row(dashboard: &Dashboard, layout: &Layout, privacy: &Privacy, row: &Unmatched, now: Time) -> Row {
    let until = waits_until(row, dashboard.settings.parked_ttl);
    let (word, look) = match until {
        Some(until) if until > now => ("waits", Look::Waiting),
        Some(_) => ("its time is over", Look::Urgent),
        None => ("dead letter", Look::Urgent),
    };
    Row {
        id: row.id,
        href: until.is_none().then(|| layout.url(&page_of(row.id))),
        status: layout.mark(word, look),
        source: row.source.clone(),
        provider: row.provider.clone(),
        provider_reference: privacy.text(row.provider_ref.as_deref().unwrap_or_default()),
        opening_id: row.opening_id.map(|it| it.to_string()).unwrap_or_default(),
        received: row.received_at.into(),
        waits_until: until.map(Moment::from),
        next_try: row.due_at.map(Moment::from),
    }
}
