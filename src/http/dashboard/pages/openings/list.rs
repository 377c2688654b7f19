//! The list: newest first, with the next event of each opening.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::openings;
use crate::db::overview::{self, Call};
use crate::domain::next::{Coming, next};
use crate::domain::{CustomerType, Opening, StateName, Status};
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::{page_of, work_of};
use crate::http::dashboard::parts::{Moment, Privacy, StateMark};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::openings::list::filter;
use crate::http::internal::page::Params;
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "openings.html")]
struct OpeningsPage {
    layout: Layout,
    filters: Filters,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

struct Row {
    href: String,
    reference: String,
    state: StateMark,
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
    let mut calls = by_opening(calls);
    let row = |it: &Opening| row(&dashboard, &layout, it, &calls.remove(&it.id.0).unwrap_or_default());
    let rows = listed.openings.iter().map(row).collect();
    let query = Query::of(query.as_deref());
    html(&OpeningsPage {
        filters: filters(&layout, &params),
        rows,
        next: listed.next.map(|id| query.next(&layout.url("/openings"), &id.write())),
        csv: query.csv(&layout.url("/openings.csv")),
        layout: layout.clone(),
    })
}

fn by_opening(calls: Vec<(Uuid, Call)>) -> HashMap<Uuid, Vec<Call>> {
    let mut by_opening: HashMap<Uuid, Vec<Call>> = HashMap::new();
    for (opening, call) in calls {
        by_opening.entry(opening).or_default().push(call);
    }
    by_opening
}

fn filters(layout: &Layout, params: &Params) -> Filters {
    Filters::new(layout.url("/openings"), "Filter the openings")
        .choice(params, "status", "Status", Status::ALL.iter().map(|it| it.as_str()).collect())
        .choice(params, "state", "State", StateName::ALL.iter().map(|it| it.as_str()).collect())
        .choice(params, "customer_type", "Type", CustomerType::ALL.iter().map(|it| it.as_str()).collect())
        .text(params, "market", "Market")
        .text(params, "customer_reference", "Customer reference")
}

fn row(dashboard: &Dashboard, layout: &Layout, opening: &Opening, calls: &[Call]) -> Row {
    let privacy = Privacy::new(layout.is_operator(), None);
    let coming = next(opening, &work_of(dashboard, opening, calls, &[])).into_iter().next();
    let coming = coming.filter(|it| it.at().is_some());
    let now = dashboard.shell.clock.now();
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
        Coming::Poll { .. } => "poll",
        Coming::Deadline { .. } => "people are told",
        Coming::Call(call) if call.is_held => "call, held by its breaker",
        Coming::Call(_) => "call",
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

/// A span in its two largest units.
fn span(span: TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (minutes, text) in
            [(-1, "0 min"), (59, "59 min"), (60, "1 h 0 min"), (1_441, "1 d 0 h"), (3_000, "2 d 2 h")]
        {
            assert_eq!(span(TimeDelta::minutes(minutes)), text);
        }
    }
}
