//! `/v1/fee-ledger`: expected, charged and paid fees, line by line, and the balances of their accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::forms;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::fee_ledger::{self, Balance, Line};
use crate::domain::fee::{Account, shown};
use crate::http::AppState;
use crate::http::problem::ApiError;

/// A line of the fee ledger: one transfer between two accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeeLine {
    /// The line's id.
    id: Uuid,
    /// The time of the step that owes the fee, or of the booking.
    at: DateTime<Utc>,
    /// The reason why the line exists. A cause has one line.
    #[schema(example = "accrual:01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e:account_opened")]
    cause: String,
    /// The account that the amount leaves.
    #[schema(value_type = Account)]
    debit: String,
    /// The account that the amount enters.
    #[schema(value_type = Account)]
    credit: String,
    /// With tax, a decimal number.
    #[schema(example = "6.05")]
    amount: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// The provider that the fee is owed to.
    provider: String,
    /// The opening that the fee is for. Null: a charge that names none of ours, or one for several.
    opening_id: Option<Uuid>,
    /// The provider's name of the fee.
    #[schema(example = "account_opened")]
    code: Option<String>,
    /// The report that holds the charge or the payment. Null: an expected fee.
    report_id: Option<Uuid>,
    /// Its line in the report.
    line: Option<i64>,
    /// The line or settlement that it settles: a charge the line of its expected fee, a payment its settlement.
    #[schema(example = "01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e")]
    settles: Option<String>,
    /// The line that this one undoes.
    reverses: Option<Uuid>,
}

impl From<Line> for FeeLine {
    fn from(row: Line) -> Self {
        Self {
            id: row.id,
            at: row.at,
            cause: row.cause,
            debit: row.debit,
            credit: row.credit,
            amount: shown(row.amount, &row.currency),
            currency: row.currency,
            provider: row.provider,
            opening_id: row.opening_id,
            code: row.code,
            report_id: row.report_id,
            line: row.line,
            settles: row.settles.map(|it| it.to_string()).or(row.settlement_id),
            reverses: row.reverses,
        }
    }
}

/// The balance of one account: its credits less its debits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeeBalance {
    /// The provider.
    provider: String,
    /// The account.
    #[schema(value_type = Account)]
    account: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// A decimal number.
    #[schema(example = "300.00")]
    balance: String,
}

impl From<Balance> for FeeBalance {
    fn from(Balance { provider, account, currency, balance }: Balance) -> Self {
        let balance = shown(balance, &currency);
        Self { provider, account, currency, balance }
    }
}

/// The balances of all accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeeBalances {
    /// One item per provider, account and currency with at least one line.
    items: Vec<FeeBalance>,
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(balances))
}

/// Lists lines of the fee ledger, newest first.
#[utoipa::path(
    get,
    path = "/v1/fee-ledger",
    operation_id = "list_fee_ledger",
    tag = "Reconciliation",
    params(
        ("opening_id" = Option<Uuid>, Query, description = "Lines of this opening"),
        ("account" = Option<Account>, Query, description = "Lines that this account is debited or credited by"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<FeeLine>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<FeeLine>>, ApiError> {
    let (opening, account) = filter(&params)?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| {
        fee_ledger::list(connection, opening, account, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, FeeLine::from)))
}

/// The filters of the list: an opening, an account.
///
/// # Errors
/// As the route's.
pub fn filter(params: &Params) -> Result<(Option<Uuid>, Option<Account>), ApiError> {
    params.only(&["opening_id", "account"])?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    Ok((opening, params.read("account", forms::word)?))
}

/// Returns the balance of every account of the fee ledger.
#[utoipa::path(
    get,
    path = "/v1/fee-ledger/balances",
    operation_id = "get_fee_balances",
    tag = "Reconciliation",
    responses(
        (status = 200, description = "The balances", body = FeeBalances),
        (status = 400, description = "`unknown-field`: a parameter that does not exist"),
    ),
)]
pub async fn balances(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<FeeBalances>, ApiError> {
    params.only(&[])?;
    let rows = state.read(async |connection| fee_ledger::balances(connection).await).await?;
    Ok(Json(FeeBalances { items: rows.into_iter().map(FeeBalance::from).collect() }))
}
