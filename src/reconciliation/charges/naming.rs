//! The openings that charge rows name.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::book::expected;
use crate::clock::Time;
use crate::db::fee_ledger::Accrual;
use crate::db::openings::{self, Held};
use crate::domain::fee::{On, PriceList, Scope};
use crate::domain::{CustomerType, OpeningId, StateName};
use crate::reconciliation::classify::charges::{Charge, Expected, Ours};
use crate::reconciliation::classify::register::OurOpening;
use crate::report_files::row::ChargeRow;

/// The openings that a set of rows names, and their expected fees.
pub(super) struct Named {
    by_id: HashMap<Uuid, (OurOpening, CustomerType)>,
    by_reference: HashMap<String, Uuid>,
    /// By opening and code.
    expected: HashMap<Uuid, Vec<(String, Expected)>>,
}

impl Named {
    /// Reads them in one statement.
    pub async fn by<'a>(
        connection: &mut PgConnection,
        provider: &str,
        rows: impl Iterator<Item = &'a ChargeRow> + Clone,
    ) -> sqlx::Result<Self> {
        let mut references: Vec<String> = rows.clone().filter_map(|it| it.provider_reference.clone()).collect();
        let mut ids: Vec<Uuid> = rows.filter_map(ours).collect();
        references.sort_unstable();
        references.dedup();
        ids.sort_unstable();
        ids.dedup();
        Ok(Self::of(openings::reported_with_fees(connection, provider, &references, &ids).await?))
    }

    /// Adds the openings that further rows name. Without such rows it runs no query.
    pub async fn and<'a>(
        mut self,
        connection: &mut PgConnection,
        provider: &str,
        rows: impl Iterator<Item = &'a ChargeRow> + Clone,
    ) -> sqlx::Result<Self> {
        if rows.clone().next().is_some() {
            let more = Self::by(connection, provider, rows).await?;
            self.by_id.extend(more.by_id);
            self.by_reference.extend(more.by_reference);
            self.expected.extend(more.expected);
        }
        Ok(self)
    }

    pub fn of(held: Vec<(Held, Vec<Accrual>)>) -> Self {
        let by_reference = held.iter().filter_map(|(it, _)| Some((it.provider_ref.clone()?, it.id))).collect();
        let fee = |it: &Accrual| (it.code.clone(), expected(it));
        let expected = held.iter().map(|(it, fees)| (it.id, fees.iter().map(fee).collect())).collect();
        let known = |it: Held| {
            let customer_type = it.customer_type.parse().ok()?;
            // A charge compares no account, and what is stored beside it is never erased.
            let opening = OurOpening { iban: None, bic: None, ..OurOpening::of(it)? };
            Some((opening.id, (opening, customer_type)))
        };
        Self { by_id: held.into_iter().filter_map(|it| known(it.0)).collect(), by_reference, expected }
    }

    /// The opening that a row is about: by its tracking id, else by its reference.
    pub fn opening(&self, row: &ChargeRow) -> Option<Uuid> {
        let by_tracking_id = row.provider_reference.as_ref().and_then(|it| self.by_reference.get(it)).copied();
        by_tracking_id.or_else(|| ours(row).filter(|id| self.by_id.contains_key(id)))
    }

    pub fn charge(&self, row: ChargeRow, received_at: Time) -> Charge {
        let held = |id: &Uuid| self.by_id.get(id).map(|it| it.0.clone());
        let by_tracking_id = row.provider_reference.as_ref().and_then(|it| self.by_reference.get(it)).and_then(held);
        let is_other = |it: &OurOpening| by_tracking_id.as_ref().is_none_or(|first| first.id != it.id);
        let by_reference = ours(&row).as_ref().and_then(held).filter(is_other);
        Charge { row, received_at, by_tracking_id, by_reference }
    }

    /// Our side of a fee.
    pub fn ours(&self, provider: &str, opening: Option<Uuid>, code: &str, list: Option<&PriceList>) -> Ours {
        let fees = opening.and_then(|id| self.expected.get(&id));
        let expected = fees.and_then(|fees| fees.iter().find(|it| it.0 == code)).map(|it| it.1.clone());
        let mut ours = Ours { is_priced: list.is_some(), expected, ..Ours::default() };
        let held = opening.and_then(|id| self.by_id.get(&id));
        if let (Some((opening, customer_type)), Some(list)) = (held, list) {
            let scope = Scope { provider, market: &opening.market, customer_type: *customer_type };
            ours.prices = list.of_code(scope, code).map(crate::domain::fee::Price::fee).collect();
            ours.may_be_owed = list.of_code(scope, code).any(|it| may_enter(opening.state, it.on));
        }
        ours
    }
}

/// The opening that has the reference as its id.
fn ours(row: &ChargeRow) -> Option<Uuid> {
    row.reference.as_deref().and_then(OpeningId::echoed).map(|it| it.0)
}

/// The subject of a row: the opening, else what the row names.
pub(super) fn subject(row: &ChargeRow, opening: Option<Uuid>) -> String {
    let named = || row.provider_reference.clone().or_else(|| row.reference.clone());
    match (opening, named()) {
        (Some(opening), _) => opening.to_string(),
        (None, Some(name)) => format!("?{name}"),
        (None, None) => format!("!{}", row.line_id),
    }
}

/// Whether an opening in this state may still take the step.
fn may_enter(state: StateName, on: On) -> bool {
    state.may_become().iter().any(|next| On::of(*next) == Some(on) || may_enter(*next, on))
}
