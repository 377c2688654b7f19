//! The page itself: the rule that decides for each market and type, and the changes, newest first.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use sqlx::PgConnection;

use super::PAGE;
use crate::db::{feature_flags, opening_counts};
use crate::domain::CustomerType;
use crate::domain::flag::{ASYNC_ACCOUNT_OPENING, Rule, Rules};
use crate::http::dashboard::error::html;
use crate::http::dashboard::parts::{Moment, Privacy};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::page::{Params, one_more};
use crate::http::problem::ApiError;

#[derive(Template)]
#[template(path = "flags.html")]
struct FlagsPage {
    layout: Layout,
    types: &'static [CustomerType],
    rows: Vec<Row>,
    changes: Vec<Change>,
    /// The address of older changes. None: these are the oldest.
    next: Option<String>,
    /// The address of the act.
    set: String,
}

struct Row {
    market: String,
    cells: Vec<Cell>,
}

struct Cell {
    /// The setting that holds: `on`, `off` or a share.
    setting: String,
    /// The rule that says so.
    origin: String,
    href: String,
    label: String,
}

struct Change {
    at: Moment,
    who: String,
    scope: String,
    setting: String,
    reason: String,
}

pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
) -> Result<Html<String>, ApiError> {
    params.only(&[])?;
    let page = params.page::<i64>()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let work = async move |connection: &mut PgConnection| {
        let rules = feature_flags::rules(connection, ASYNC_ACCOUNT_OPENING).await?;
        let changes = feature_flags::changes(connection, ASYNC_ACCOUNT_OPENING, one_more(&page)).await?;
        Ok((rules, changes, opening_counts::all(connection).await?))
    };
    let (rules, mut changes, counts) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(PAGE);
    let privacy = Privacy::new(layout.is_operator(), None);
    let has_more = changes.len() > limit;
    changes.truncate(limit);
    let next = changes.last().filter(|_| has_more);
    let next = next.map(|it| format!("{}?limit={limit}&cursor={}#changes", layout.url(PAGE), it.number.write()));
    let of_rules = rules.0.iter().filter_map(|it| it.scope.market.clone());
    let markets: BTreeSet<String> = counts.into_iter().map(|it| it.second).chain(of_rules).collect();
    let set = layout.url("/flags/set");
    let row = |market: &str| row(market, &rules, &set);
    html(&FlagsPage {
        types: CustomerType::ALL,
        rows: markets.iter().map(String::as_str).chain([""]).map(row).collect(),
        changes: changes.into_iter().map(|it| change(it, &privacy)).collect(),
        next,
        set: set.clone(),
        layout,
    })
}

/// A market, or with an empty name every other one.
fn row(market: &str, rules: &Rules, set: &str) -> Row {
    let cell = |customer_type: &CustomerType| {
        let rule = rules.effective(market, *customer_type);
        let would_be = rule.is_some_and(|it| !it.enabled);
        let at = if market.is_empty() { String::new() } else { format!("market={market}&") };
        Cell {
            setting: rule.map_or("on".to_owned(), |it| setting(it.enabled, it.percentage.into())),
            origin: rule.map_or("no rule".to_owned(), origin),
            href: format!("{set}?{at}customer_type={customer_type}&enabled={would_be}"),
            label: format!(
                "Set the flag for {customer_type} in {}",
                if market.is_empty() { "all markets" } else { market }
            ),
        }
    };
    let name = if market.is_empty() { "every other" } else { market };
    Row { market: name.to_owned(), cells: CustomerType::ALL.iter().map(cell).collect() }
}

fn origin(rule: &Rule) -> String {
    format!("rule for {}", scope(rule.scope.market.as_deref(), rule.scope.customer_type.map(CustomerType::as_str)))
}

fn scope(market: Option<&str>, customer_type: Option<&str>) -> String {
    match (market, customer_type) {
        (Some(market), Some(customer_type)) => format!("{market}, {customer_type}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "all".to_owned(),
    }
}

fn setting(enabled: bool, percentage: i32) -> String {
    match (enabled, percentage) {
        (false, _) | (true, 0) => "off".to_owned(),
        (true, 100) => "on".to_owned(),
        (true, share) => format!("on for {share} %"),
    }
}

fn change(change: feature_flags::Change, privacy: &Privacy) -> Change {
    Change {
        at: change.at.into(),
        scope: scope(change.market.as_deref(), change.customer_type.as_deref()),
        setting: setting(change.enabled, change.percentage),
        reason: privacy.text(&change.reason),
        who: change.who,
    }
}
