//! Judges all lines of a fee together, and brings the ledger to what the judgement says.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::naming::{self, Named};
use super::sync::{Desired, Findings};
use super::{Charges, Fee, row};
use crate::db::charge_lines::{self, ChargeLine};
use crate::db::fee_ledger::{self, Accrual, NewLine};
use crate::domain::OpeningId;
use crate::reconciliation::classify::charges::{Booking, Expected, Judged, judge};

impl Charges {
    /// Judges these fees and books what follows. Lines whose opening has become known move to its fee first.
    pub(super) async fn book(&self, connection: &mut PgConnection, fees: &[Fee]) -> sqlx::Result<()> {
        if fees.is_empty() {
            return Ok(());
        }
        let mut lines = charge_lines::of_fees(connection, &self.provider, fees).await?;
        let mut named = self.named(connection, &lines).await?;
        if self.move_named(connection, &named, &mut lines).await? {
            lines = charge_lines::of_fees(connection, &self.provider, &fees_of(&lines)).await?;
            named = self.named(connection, &lines).await?;
        }
        let expected = self.expected(connection, &lines).await?;
        let mut judged: Vec<(ChargeLine, Judged)> = Vec::new();
        for ((_, code), lines) in by_fee(lines) {
            let opening = lines.first().and_then(|it| it.opening_id);
            let mut ours = named.ours(&self.provider, opening, &code, self.prices.as_deref());
            ours.expected = opening.and_then(|id| expected.get(&(id, code.clone())).cloned());
            let parsed = lines.into_iter().filter_map(|it| Some((row(&it)?, it)));
            let (charges, lines): (Vec<_>, Vec<ChargeLine>) =
                parsed.map(|(row, it)| (named.charge(row, it.received_at), it)).unzip();
            judged.extend(lines.into_iter().zip(judge(&charges, &ours, &self.rules)));
        }
        self.settle(connection, judged).await
    }

    async fn named(&self, connection: &mut PgConnection, lines: &[ChargeLine]) -> sqlx::Result<Named> {
        let rows: Vec<_> = lines.iter().filter_map(row).collect();
        Named::by(connection, &self.provider, rows.iter()).await
    }

    /// Moves lines to the openings that they name by now; whether there were any.
    async fn move_named(
        &self,
        connection: &mut PgConnection,
        named: &Named,
        lines: &mut [ChargeLine],
    ) -> sqlx::Result<bool> {
        let mut moved = Vec::new();
        for line in lines {
            let Some(row) = row(line) else { continue };
            let opening = named.opening(&row);
            if opening != line.opening_id {
                (line.subject, line.opening_id) = (naming::subject(&row, opening), opening);
                moved.push(line.clone());
            }
        }
        charge_lines::write(connection, &self.provider, &moved).await?;
        Ok(!moved.is_empty())
    }

    async fn expected(
        &self,
        connection: &mut PgConnection,
        lines: &[ChargeLine],
    ) -> sqlx::Result<HashMap<(Uuid, String), Expected>> {
        let fees: Vec<(Uuid, String)> = lines.iter().filter_map(|it| Some((it.opening_id?, it.code.clone()))).collect();
        let accruals = fee_ledger::accruals(connection, &fees).await?;
        Ok(accruals.into_iter().map(|it| ((it.opening_id, it.code.clone()), expected(&it))).collect())
    }

    /// Books what each line came to where that is not booked yet, and brings the mismatches along.
    pub(super) async fn settle(
        &self,
        connection: &mut PgConnection,
        judged: Vec<(ChargeLine, Judged)>,
    ) -> sqlx::Result<()> {
        let mut sync = Findings::new(self);
        for (line, judged) in &judged {
            sync.add(Desired::of(line, judged));
        }
        let is_changed = |(line, judged): &(ChargeLine, Judged)| {
            line.is_stale || line.class != judged.class.as_str() || line.rule != judged.rule || !is_booked(line, judged)
        };
        let changed: Vec<(ChargeLine, Judged)> = judged.into_iter().filter(is_changed).collect();
        let lines = self.rebook(connection, changed).await?;
        charge_lines::write(connection, &self.provider, &lines).await?;
        sync.write(connection).await
    }

    /// Reverses what is booked otherwise, and books anew.
    async fn rebook(
        &self,
        connection: &mut PgConnection,
        changed: Vec<(ChargeLine, Judged)>,
    ) -> sqlx::Result<Vec<ChargeLine>> {
        let rebooked = || changed.iter().filter(|(line, judged)| !is_booked(line, judged));
        let wrong: Vec<Uuid> = rebooked().flat_map(|(line, _)| line.ledger.iter().copied()).collect();
        let accruals: Vec<Uuid> =
            rebooked().flat_map(|(_, judged)| judged.bookings.iter().filter_map(|it| it.settles)).collect();
        let before: HashMap<Uuid, i32> = fee_ledger::settled_before(connection, &accruals).await?.into_iter().collect();
        let mut new = Vec::new();
        for line in fee_ledger::get(connection, &wrong).await? {
            let reversal = NewLine::reversal(self.ids.next(), self.rules.now, &line);
            new.push(reversal.map_err(|error| sqlx::Error::Decode(error.into()))?);
        }
        let mut lines = Vec::new();
        for (mut line, judged) in changed {
            if !is_booked(&line, &judged) {
                line.generation += 1;
                let booked = judged.bookings.iter().enumerate().filter(|(_, it)| !it.amount.is_zero());
                let booked: Vec<NewLine> = booked.map(|(n, it)| self.line(&line, n, it, &before)).collect();
                line.ledger = booked.iter().map(|it| it.id).collect();
                line.bookings = to_json(&judged.bookings);
                new.extend(booked);
            }
            (line.class, line.rule, line.is_stale) = (judged.class.to_string(), judged.rule.to_owned(), false);
            lines.push(line);
        }
        fee_ledger::insert(connection, &new).await?;
        Ok(lines)
    }

    /// A negative amount moves the other way.
    fn line(&self, line: &ChargeLine, n: usize, booking: &Booking, before: &HashMap<Uuid, i32>) -> NewLine {
        let forward = (booking.debit, booking.credit);
        let (debit, credit) = if booking.amount.is_sign_positive() { forward } else { (forward.1, forward.0) };
        let part = if n == 0 { String::new() } else { format!(":{n}") };
        NewLine {
            id: self.ids.next(),
            at: self.rules.now,
            cause: format!("charge:{}:{}:{}{part}", self.provider, line.line_id, line.generation),
            debit,
            credit,
            amount: booking.amount.abs(),
            tax: booking.tax.abs().min(booking.amount.abs()),
            currency: booking.currency.clone(),
            provider: self.provider.clone(),
            opening_id: line.opening_id.map(OpeningId),
            code: Some(line.code.clone()).filter(|it| !it.is_empty()),
            price_list: None,
            reported: Some((line.report_id, line.line)),
            settles: booking.settles.map(|it| (it, before.get(&it).copied().unwrap_or_default())),
            reverses: None,
        }
    }
}

/// Whether the ledger says already what the line came to. A newer version of a line that is worth the same needs no new booking.
fn is_booked(line: &ChargeLine, judged: &Judged) -> bool {
    line.bookings == to_json(&judged.bookings)
}

fn to_json(bookings: &[Booking]) -> Value {
    serde_json::to_value(bookings).unwrap_or_default()
}

fn fees_of(lines: &[ChargeLine]) -> Vec<Fee> {
    let mut fees: Vec<Fee> = lines.iter().map(|it| (it.subject.clone(), it.code.clone())).collect();
    fees.sort_unstable();
    fees.dedup();
    fees
}

fn by_fee(lines: Vec<ChargeLine>) -> BTreeMap<Fee, Vec<ChargeLine>> {
    let mut by_fee: BTreeMap<Fee, Vec<ChargeLine>> = BTreeMap::new();
    for line in lines {
        by_fee.entry((line.subject.clone(), line.code.clone())).or_default().push(line);
    }
    by_fee
}

pub(super) fn expected(it: &Accrual) -> Expected {
    Expected { line: it.id, at: it.at, amount: it.amount, tax: it.tax, currency: it.currency.clone() }
}
