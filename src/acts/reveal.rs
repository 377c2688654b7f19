//! Shows the personal data of an opening to an operator, one time.
//!
//! The reveal is recorded first and shown then. The mark that it was shown is one update, so that a reload or a copied link shows
//! nothing on any replica.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActError, Acts, Operator, about_opening, as_expected, locked, seen};
use crate::db::operator_actions::{self, Reveal};
use crate::db::{self, openings};
use crate::domain::{Customer, Opening, OpeningId};

/// How long after its record a reveal can be shown.
const SHOWN_WITHIN: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevealRequest {
    pub reason: String,
    pub expected_version: Option<i64>,
}

/// The personal data of an opening.
#[derive(Clone, Debug)]
pub struct Personal {
    pub customer: Customer,
    pub iban: Option<String>,
}

/// Records the reveal; the id of the act, under which it can be shown.
///
/// # Errors
/// When there is no such opening, it has moved or was erased, or the database is away.
pub async fn run(acts: &Acts, operator: &Operator, id: OpeningId, request: RevealRequest) -> Result<Uuid, ActError> {
    let RevealRequest { reason, expected_version } = request;
    let action = acts.record(&operator.name(), "reveal_personal_data", &id, reason);
    let action = about_opening(action, id.0, json!({}));
    let act = action.id;
    let work = async move |connection: &mut PgConnection| {
        check(&as_expected(locked(connection, id).await?, expected_version)?)?;
        operator_actions::insert(connection, &action).await?;
        Ok::<_, ActError>(())
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(opening.id = %id, "an operator revealed personal data");
    Ok(act)
}

/// # Errors
/// As [`run`].
pub async fn rehearse(acts: &Acts, _: &Operator, id: OpeningId, expected: Option<i64>) -> Result<(), ActError> {
    let work = async move |connection: &mut PgConnection| check(&seen(connection, id, expected).await?);
    db::with_retries(&acts.cell.pool, work).await
}

/// The personal data of a reveal that was not shown yet. None: it was, or this operator recorded no such reveal.
///
/// # Errors
/// When there is no such opening, or the database is away.
pub async fn show(acts: &Acts, operator: &Operator, id: OpeningId, act: Uuid) -> Result<Option<Personal>, ActError> {
    let (who, now) = (operator.name(), acts.shell.clock.now());
    let work = async move |connection: &mut PgConnection| {
        let opening = openings::get(connection, id).await?.ok_or(ActError::NotFound)?;
        let customer = openings::customers(connection, &[id.0]).await?.pop().and_then(|(_, customer)| customer);
        let Some(customer) = customer.and_then(|it| serde_json::from_value(it).ok()) else { return Ok(None) };
        let reveal = Reveal { act, who: &who, opening: id, not_before: now - SHOWN_WITHIN };
        let iban = opening.state.account().map(|it| it.iban.as_str().to_owned());
        let is_new = operator_actions::show_once(connection, &reveal, now).await?;
        Ok::<_, ActError>(is_new.then_some(Personal { customer, iban }))
    };
    db::in_one_commit(&acts.cell.pool, work).await
}

const fn check(opening: &Opening) -> Result<(), ActError> {
    match opening.state.erased_at() {
        Some(_) => Err(ActError::WrongState("its personal data was erased")),
        None => Ok(()),
    }
}
