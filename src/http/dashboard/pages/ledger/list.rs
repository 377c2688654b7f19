//! The page: newest lines first, with REST's filters.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use sqlx::PgConnection;
use uuid::Uuid;

use super::SECTION;
use super::tree::{Node, node};
use crate::db::charge_lines;
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
use crate::http::internal::page::{Params, one_more};
use crate::http::problem::ApiError;

/// Settlements on the page.
const SETTLEMENTS: i64 = 20;

#[derive(Template)]
#[template(path = "ledger/ledger.html")]
struct LedgerPage {
    layout: Layout,
    balances: Vec<OfAccount>,
    settlements: Vec<Node>,
    filters: Filters,
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
    let ((opening, account), page) = (filter(&params)?, params.page::<Uuid>()?);
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let work = async move |connection: &mut PgConnection| {
        let lines = fee_ledger::list(connection, opening, account, one_more(&page)).await?;
        let balances = fee_ledger::balances(connection).await?;
        Ok((lines, balances, charge_lines::settlements(connection, opening, SETTLEMENTS).await?))
    };
    let (lines, balances, settlements) = dashboard.read(work).await?;
    let layout = dashboard.layout(Some(&visit)).at(SECTION);
    let query = Query::of(query.as_deref());
    let privacy = Privacy::new(layout.is_operator(), None);
    let shown_lines = &lines[..lines.len().min(limit)];
    let last = shown_lines.last().filter(|_| lines.len() > limit);
    html(&LedgerPage {
        balances: balances.into_iter().map(of_account).collect(),
        settlements: settlements.iter().map(|it| node(&layout, &privacy, it)).collect(),
        filters: Filters::new(layout.url(SECTION), "Filter the lines").text(&params, "opening_id", "Opening").choice(
            &params,
            "account",
            "Account",
            Account::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        rows: shown_lines.iter().map(|it| row(&layout, &privacy, it)).collect(),
        next: last.map(|it| query.next(&layout.url(SECTION), &it.id.write())),
        csv: query.csv(&layout.url("/ledger.csv")),
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
