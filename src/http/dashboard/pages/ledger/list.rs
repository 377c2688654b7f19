//! The page: newest lines first, with REST's filters.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::SECTION;
use super::tree::{Node, node};
use crate::db::Page;
use crate::db::charge_lines::{self, Place};
use crate::db::fee_ledger::{self, Balance, Line};
use crate::domain::OpeningId;
use crate::domain::fee::{Account, shown};
use crate::http::dashboard::error::html;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Moment, Privacy};
use crate::http::dashboard::query::{Filters, Query};
use crate::http::dashboard::{Dashboard, Layout, Visit};
use crate::http::internal::cursor::Key;
use crate::http::internal::fee_ledger::filter;
use crate::http::internal::page::{Params, one_more, paged};
use crate::http::problem::ApiError;

/// Settlements on a page.
const SETTLEMENTS: i64 = 20;
/// The parameter of their place.
const PLACE: &str = "settlements";

#[derive(Template)]
#[template(path = "ledger/ledger.html")]
struct LedgerPage<'a> {
    layout: Layout,
    balances: Vec<OfAccount>,
    settlements: Vec<Node>,
    /// The address of older settlements. None: these are the oldest.
    older: Option<String>,
    filters: Filters<'a>,
    rows: Vec<Row>,
    /// The address of the next page. None: this is the last.
    next: Option<String>,
    csv: String,
}

/// A balance, as REST shows it.
struct OfAccount {
    provider: String,
    account: String,
    currency: String,
    balance: String,
}

struct Row {
    id: Uuid,
    at: Moment,
    debit: String,
    credit: String,
    amount: String,
    currency: String,
    provider: String,
    code: String,
    /// Of its opening and of its report.
    opening: Option<String>,
    report: Option<(String, i64)>,
    /// `reversal`, or empty.
    note: &'static str,
}

pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    visit: Visit,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, ApiError> {
    let params = params.given();
    let page = params.page::<Uuid>()?;
    let after = params.read(PLACE, |text| Place::read(text).ok_or("must be one of this page's links".to_owned()))?;
    let (opening, account) = filter(&params.clone().without(PLACE))?;
    let work = async move |connection: &mut PgConnection| {
        let lines = fee_ledger::list(connection, opening, account, one_more(&page)).await?;
        let balances = fee_ledger::balances(connection).await?;
        let newest = one_more(&Page { limit: SETTLEMENTS, after });
        Ok((lines, balances, charge_lines::settlements(connection, opening, newest).await?))
    };
    let (lines, balances, settlements) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let privacy = Privacy::new(layout.is_operator(), None);
    let (lines, cursor) = paged(lines, page.limit, |it| it.id);
    let (settlements, place) = paged(settlements, SETTLEMENTS, |it| (it.as_of, it.report_id, it.line));
    let of_lines = Query::of(query.as_deref());
    html(&LedgerPage {
        balances: balances.into_iter().map(of_account).collect(),
        settlements: settlements.iter().map(|it| node(&layout, &privacy, it)).collect(),
        older: Query::with(query.as_deref(), PLACE).next(&layout.url(SECTION), place),
        filters: Filters::new(&params, layout.url(SECTION), "Filter the lines").text("opening_id", "Opening").choice(
            "account",
            "Account",
            Account::ALL.iter().map(|it| it.as_str()),
        ),
        rows: lines.iter().map(|it| row(&layout, &privacy, it)).collect(),
        next: of_lines.next(&layout.url(SECTION), cursor),
        csv: of_lines.without(PLACE).csv(&layout.url("/ledger.csv")),
        layout: layout.clone(),
    })
}

fn of_account(Balance { provider, account, currency, balance }: Balance) -> OfAccount {
    let balance = shown(balance, &currency);
    OfAccount { provider, account, currency, balance }
}

fn row(layout: &Layout, privacy: &Privacy, line: &Line) -> Row {
    let of_report = |(id, line): (Uuid, i64)| (layout.url(&format!("/reports/{id}")), line);
    Row {
        id: line.id,
        at: line.at.into(),
        debit: line.debit.clone(),
        credit: line.credit.clone(),
        amount: shown(line.amount, &line.currency),
        currency: line.currency.clone(),
        provider: line.provider.clone(),
        code: privacy.text(line.code.as_deref().unwrap_or_default()),
        opening: line.opening_id.map(|it| layout.url(&page_of(OpeningId(it)))),
        report: line.report_id.zip(line.line).map(of_report),
        note: if line.reverses.is_some() { "reversal" } else { "" },
    }
}
