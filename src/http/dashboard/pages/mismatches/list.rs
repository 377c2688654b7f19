//! The list: newest first, with REST's filters and the counts by class.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{SECTION, mark};
use crate::db::mismatches::{self, Count, Filter, Listed};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Mark, Moment, Privacy, at_least};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::mismatches::filter;
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::problem::ApiError;
use crate::reconciliation::classify::{Class, MismatchState};

#[derive(Template)]
#[template(path = "mismatches/mismatches.html")]
struct MismatchesPage<'a> {
    layout: Layout,
    filters: Filters<'a>,
    /// Class and how many there are, of all states that the filters allow.
    counts: Vec<(String, String)>,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

struct Row {
    href: String,
    class: String,
    state: Mark,
    provider: String,
    market: String,
    subject: String,
    suggestion: String,
    due: Option<Moment>,
    created: Moment,
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
        let listed = mismatches::list(connection, &filter, one_more(&page)).await?;
        let of_any_class = Filter { class: None, ..filter.clone() };
        Ok((listed, mismatches::count(connection, &of_any_class).await?))
    };
    let (listed, counts) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let query = Query::of(query.as_deref());
    let privacy = Privacy::new(layout.is_operator(), None);
    let (shown, cursor) = paged(listed, page.limit, |it| it.id);
    html(&MismatchesPage {
        filters: filters(&dashboard, &layout, &params),
        counts: by_class(&counts),
        rows: shown.iter().map(|it| row(&layout, &privacy, it)).collect(),
        next: query.next(&layout.url(SECTION), cursor),
        csv: query.csv(&layout.url("/mismatches.csv")),
        layout: layout.clone(),
    })
}

fn filters<'a>(dashboard: &Dashboard, layout: &Layout, params: &'a Params) -> Filters<'a> {
    Filters::new(params, layout.url(SECTION), "Filter the mismatches")
        .choice("class", "Class", Class::ALL.iter().map(|it| it.as_str()))
        .choice("state", "State", MismatchState::ALL.iter().map(|it| it.as_str()))
        .choice("provider", "Provider", dashboard.outside.providers.names())
        .text("market", "Market")
        .text("opening_id", "Opening")
        .text("report", "Report")
}

/// Once the counting has ended early, each count is a lower bound.
fn by_class(counts: &[Count]) -> Vec<(String, String)> {
    let sum = |some: &[Count]| some.iter().map(|it| it.count).sum::<i64>();
    let is_capped = sum(counts) > mismatches::MOST;
    let count = |some: &[Count]| at_least(sum(some).min(mismatches::MOST), is_capped);
    counts.chunk_by(|a, b| a.class == b.class).map(|some| (some[0].class.clone(), count(some))).collect()
}

fn row(layout: &Layout, privacy: &Privacy, it: &Listed) -> Row {
    Row {
        href: layout.url(&format!("/mismatches/{}", it.id)),
        class: it.class.clone(),
        state: mark(layout, &it.state),
        provider: it.provider.clone(),
        market: it.market.clone().unwrap_or_default(),
        subject: it.opening_id.map_or_else(|| privacy.text(&it.subject), |it| it.to_string()),
        suggestion: privacy.text(it.suggested["action"].as_str().unwrap_or_default()),
        due: it.due_at.map(Moment::from),
        created: it.created_at.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_ended_early_says_so() {
        let count = |class: &str, count| Count { class: class.to_owned(), state: "case".to_owned(), count };
        let texts = |counts: &[Count]| -> Vec<String> { by_class(counts).into_iter().map(|it| it.1).collect() };
        assert_eq!(texts(&[count("A", 3), count("A", 4), count("B", 1)]), ["7", "1"]);
        assert_eq!(texts(&[count("A", 1_000)]), ["1 000"]);
        assert_eq!(texts(&[count("A", 990), count("B", 11)]), ["990+", "11+"]);
        assert_eq!(texts(&[count("A", 1_001)]), ["1 000+"]);
    }
}
