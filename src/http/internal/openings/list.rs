//! `GET /v1/account-openings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::openings::{self, Filter};
use crate::domain::resource::Resource;
use crate::domain::{CustomerType, StateName, Status};
use crate::http::AppState;
use crate::http::internal::cursor::Key;
use crate::http::internal::forms::{self, Country, CustomerText};
use crate::http::internal::page::{Listing, PageQuery, Params};
use crate::http::problem::ApiError;

/// Lists account openings, newest first. With a narrow filter a page may hold fewer than `limit` openings, or none, and
/// still have a `next_cursor`: continue with it.
#[utoipa::path(
    get,
    path = "/v1/account-openings",
    operation_id = "list_account_openings",
    tag = "Account openings",
    params(
        ("status" = Option<Status>, Query, description = "Openings in this status"),
        ("state" = Option<StateName>, Query, description = "Openings in this state"),
        ("market" = Option<Country>, Query, description = "Openings in this market: ISO 3166 alpha-2"),
        ("customer_type" = Option<CustomerType>, Query, description = "Openings of this kind of customer"),
        ("customer_reference" = Option<CustomerText>, Query, description = "Openings for this customer"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Resource>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Resource>>, ApiError> {
    let filter = filter(&params)?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| openings::list(connection, &filter, page).await;
    let listed = state.read(work).await?;
    let items = listed.openings.iter().map(Resource::from).collect();
    Ok(Json(Listing { items, next_cursor: listed.next.as_ref().map(Key::write) }))
}

/// The filters of a query.
///
/// # Errors
/// 400 or 422 for a parameter that is unknown or wrong.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["status", "state", "market", "customer_type", "customer_reference"])?;
    Ok(Filter {
        states: states(params.read("status", forms::word)?, params.read("state", forms::word)?),
        market: params.read("market", forms::country)?,
        customer_type: params.read("customer_type", forms::word)?,
        customer_reference: params.read("customer_reference", forms::customer_text)?,
    })
}

/// The states that match both filters.
fn states(status: Option<Status>, state: Option<StateName>) -> Option<Vec<StateName>> {
    if status.is_none() && state.is_none() {
        return None;
    }
    let allowed =
        |it: &StateName| status.is_none_or(|status| it.status() == status) && state.is_none_or(|state| *it == state);
    Some(StateName::ALL.iter().copied().filter(allowed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_its_states_and_a_state_outside_of_it_means_none() {
        assert_eq!(states(None, None), None);
        assert_eq!(states(Some(Status::Succeeded), None), Some(vec![StateName::IssuingCard, StateName::Completed]));
        assert_eq!(states(Some(Status::InProgress), Some(StateName::Escalated)), Some(vec![StateName::Escalated]));
        assert_eq!(states(Some(Status::Failed), Some(StateName::Escalated)), Some(vec![]));
    }
}
