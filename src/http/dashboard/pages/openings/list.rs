//! The list: newest first, with the next event of each opening.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::openings;
use crate::db::overview::{self, Call, Calls};
use crate::domain::next::{Coming, Still, next};
use crate::domain::{CustomerType, Opening, StateName, Status};
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Mark, Moment, Privacy, span};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::openings::list::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "openings.html")]
struct OpeningsPage<'a> {
    layout: Layout,
    filters: Filters<'a>,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

struct Row {
    href: String,
    reference: String,
    state: Mark,
    market: String,
    customer_type: &'static str,
    provider_word: String,
    /// How long it has waited, of how long it may.
    waits: String,
    next: &'static str,
    at: Option<Moment>,
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
        let listed = openings::list(connection, &filter, page).await?;
        let ids: Vec<Uuid> = listed.openings.iter().map(|it| it.id.0).collect();
        let calls = overview::calls(connection, &ids).await?;
        Ok((listed, calls))
    };
    let (listed, calls) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at("/openings");
    let work = by_opening(calls);
    let row = |it: &Opening| row(&dashboard, &layout, it, work.get(&it.id.0).unwrap_or(&Of::default()));
    let rows = listed.openings.iter().map(row).collect();
    let query = Query::of(query.as_deref());
    html(&OpeningsPage {
        filters: filters(&layout, &params),
        rows,
        next: query.next(&layout.url("/openings"), listed.next.map(|it| it.write())),
        csv: query.csv(&layout.url("/openings.csv")),
        layout: layout.clone(),
    })
}

/// The calls of one opening.
#[derive(Default)]
struct Of {
    waiting: Vec<Call>,
    /// The topics of those that were given up.
    given_up: Vec<String>,
}

fn by_opening(calls: Calls) -> HashMap<Uuid, Of> {
    let mut by_opening: HashMap<Uuid, Of> = HashMap::new();
    for (opening, call) in calls.waiting {
        by_opening.entry(opening).or_default().waiting.push(call);
    }
    for (opening, topic) in calls.given_up {
        by_opening.entry(opening).or_default().given_up.push(topic);
    }
    by_opening
}

fn filters<'a>(layout: &Layout, params: &'a Params) -> Filters<'a> {
    Filters::new(params, layout.url("/openings"), "Filter the openings")
        .choice("status", "Status", Status::ALL.iter().map(|it| it.as_str()))
        .choice("state", "State", StateName::ALL.iter().map(|it| it.as_str()))
        .choice("customer_type", "Type", CustomerType::ALL.iter().map(|it| it.as_str()))
        .text("market", "Market")
        .text("customer_reference", "Customer reference")
}

fn row(dashboard: &Dashboard, layout: &Layout, opening: &Opening, of: &Of) -> Row {
    let privacy = Privacy::new(layout.is_operator(), None);
    let given_up = of.given_up.iter().map(String::as_str);
    let now = dashboard.shell.clock.now();
    let work = dashboard.outside.work_of(opening, &of.waiting, given_up, now);
    let coming = next(opening, &work).into_iter().next();
    Row {
        href: layout.url(&page_of(opening.id)),
        reference: match opening.request.customer_reference.as_str() {
            "" => "erased".to_owned(),
            reference => privacy.text(reference),
        },
        state: layout.state(opening.state_name()),
        market: opening.request.market.clone(),
        customer_type: opening.request.customer_type.as_str(),
        provider_word: privacy.text(opening.provider_status.as_deref().unwrap_or_default()),
        waits: waits(opening, now),
        next: coming.as_ref().map_or("", name),
        at: coming.and_then(|it| it.at()).map(Moment::from),
    }
}

fn name(coming: &Coming) -> &'static str {
    match coming {
        Coming::Poll { is_held: true, .. } => "poll, held by its breaker",
        Coming::Poll { .. } => "poll",
        Coming::Deadline { .. } => "its deadline: a ticket",
        Coming::Call(call) if call.is_held => "call, held by its breaker",
        Coming::Call(call) if call.is_under_way => "call under way, repeated",
        Coming::Call(_) => "call",
        Coming::Nothing(Still::GivenUp) => "its dead letter waits",
        Coming::Nothing(_) => "",
    }
}

/// The time since its start, of the time until its deadline. Empty: it has ended.
fn waits(opening: &Opening, now: Time) -> String {
    if opening.state_name().is_terminal() {
        return String::new();
    }
    let (waited, whole) = (now - opening.created_at, opening.deadline_at - opening.created_at);
    format!("{} of {}", span(waited), span(whole))
}
