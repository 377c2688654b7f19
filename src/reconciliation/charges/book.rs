//! Judges all lines of a fee together, and brings the ledger to what the judgement says.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::naming::{self, Named};
use super::sync::{Desired, Findings};
use super::{Charges, Fee, Versions, fees_of, is_whole, row};
use crate::db::charge_lines::{self, ChargeLine, Fees};
use crate::db::fee_ledger::{self, Accrual, NewLine};
use crate::domain::OpeningId;
use crate::reconciliation::classify::charges::{Booking, Expected, Judged, TOGETHER, judge};
use crate::reconciliation::text;
use crate::report_files::row::ChargeRow;

/// The most lines that one statement writes: until they are sent, its parameters are two more copies of them.
const WRITTEN: usize = 12_500;

impl Charges {
    /// Judges the fees of these lines, as they are and as they were, and books what follows. The other lines of the fees are read here.
    /// Once its opening is known, a line moves to the fee first.
    pub(super) async fn book(
        &self,
        connection: &mut PgConnection,
        versions: Versions,
        named: Named,
        sync: &mut Findings<'_>,
    ) -> sqlx::Result<()> {
        let Versions { mut lines, mut before } = versions;
        let fees = fees_of(lines.iter().chain(&before));
        let whole: Vec<ChargeLine> = lines.extract_if(.., |it| is_whole(&it.line_type)).collect();
        if fees.is_empty() {
            return charge_lines::write(connection, &self.provider, &whole).await;
        }
        let others = self.others(connection, &fees, &lines, &before).await?;
        drop(fees);
        let mut named = named.and(connection, &self.provider, rows(&others).iter()).await?;
        lines.extend(others);
        let moved = move_named(&named, &mut lines);
        if !moved.is_empty() {
            before.extend(moved);
            let fees = fees_of(lines.iter().chain(&before));
            let others = self.others(connection, &fees, &lines, &before).await?;
            named = named.and(connection, &self.provider, rows(&others).iter()).await?;
            lines.extend(others);
        }
        let judged = self.judge(&named, lines);
        drop(named);
        self.settle(connection, judged, whole, sync).await
    }

    /// The other lines of these fees.
    async fn others(
        &self,
        connection: &mut PgConnection,
        fees: &[Fee],
        lines: &[ChargeLine],
        before: &[ChargeLine],
    ) -> sqlx::Result<Vec<ChargeLine>> {
        let here = lines.iter().chain(before).map(|it| (it.line_id.as_str(), (it.subject.clone(), it.code.clone())));
        self.beside(connection, fees, &here.collect::<Vec<_>>(), None).await
    }

    /// The lines of fees but for those that are here already, each with its fee: so many of each fee that a crowded one is seen.
    pub(super) async fn beside(
        &self,
        connection: &mut PgConnection,
        fees: &[Fee],
        here: &[(&str, Fee)],
        before: Option<Uuid>,
    ) -> sqlx::Result<Vec<ChargeLine>> {
        let mut counts: HashMap<&Fee, i64> = HashMap::new();
        for (_, fee) in here {
            *counts.entry(fee).or_default() += 1;
        }
        let ids: HashSet<&str> = here.iter().map(|it| it.0).collect();
        // One line more than are judged together tells that a fee is crowded.
        let enough = i64::try_from(TOGETHER + 1).unwrap_or_default();
        let limits: Vec<i64> = fees.iter().map(|it| enough + counts.get(it).copied().unwrap_or_default()).collect();
        let found =
            charge_lines::of_fees(connection, &self.provider, Fees { of: fees, limits: &limits, before }).await?;
        Ok(found.into_iter().filter(|it| !ids.contains(it.line_id.as_str())).collect())
    }

    fn judge(&self, named: &Named, mut lines: Vec<ChargeLine>) -> Vec<(ChargeLine, Judged)> {
        let mut judged = Vec::with_capacity(lines.len());
        lines.sort_by(|a, b| (&a.subject, &a.code).cmp(&(&b.subject, &b.code)));
        let mut lines = lines.into_iter().peekable();
        while let Some(first) = lines.next() {
            let (opening, subject, code) = (first.opening_id, first.subject.clone(), first.code.clone());
            let mut of_fee = vec![first];
            while let Some(next) = lines.next_if(|it| (&it.subject, &it.code) == (&subject, &code)) {
                of_fee.push(next);
            }
            let mut ours = named.ours(&self.provider, opening, &code, self.prices.as_deref());
            ours.is_crowded = of_fee.len() > TOGETHER;
            let parsed = of_fee.into_iter().filter_map(|it| Some((row(&it)?, it)));
            let (charges, lines): (Vec<_>, Vec<ChargeLine>) =
                parsed.map(|(row, it)| (named.charge(row, it.received_at), it)).unzip();
            let results = judge(&charges, &ours, &self.rules);
            let placed = lines.into_iter().map(|it| in_crowd(it, ours.is_crowded));
            judged.extend(placed.zip(results));
        }
        judged
    }

    /// Books what each line came to where that is not booked yet, and adds what must be said about it. Lines of `whole` are written as
    /// they are.
    pub(super) async fn settle(
        &self,
        connection: &mut PgConnection,
        judged: Vec<(ChargeLine, Judged)>,
        whole: Vec<ChargeLine>,
        sync: &mut Findings<'_>,
    ) -> sqlx::Result<()> {
        for (line, judged) in &judged {
            sync.add(Desired::of(line, judged));
        }
        let is_changed = |(line, judged): &(ChargeLine, Judged)| {
            line.is_stale || line.class != judged.class.as_str() || line.rule != judged.rule || !is_booked(line, judged)
        };
        let changed: Vec<(ChargeLine, Judged)> = judged.into_iter().filter(is_changed).collect();
        let mut lines = self.rebook(connection, changed).await?;
        lines.extend(whole);
        for lines in lines.chunks(WRITTEN) {
            charge_lines::write(connection, &self.provider, lines).await?;
        }
        Ok(())
    }

    /// Reverses ledger lines that the judgement contradicts, and books the new ones.
    async fn rebook(
        &self,
        connection: &mut PgConnection,
        changed: Vec<(ChargeLine, Judged)>,
    ) -> sqlx::Result<Vec<ChargeLine>> {
        let rebooked = || changed.iter().filter(|(line, judged)| !is_booked(line, judged));
        let wrong: Vec<Uuid> = rebooked().flat_map(|(line, _)| line.ledger.iter().copied()).collect();
        let mut new = Vec::new();
        for line in fee_ledger::get(connection, &wrong).await? {
            let reversal = NewLine::reversal(self.ids.next(), self.rules.now, &line);
            new.push(reversal.map_err(|error| sqlx::Error::Decode(error.into()))?);
        }
        let mut lines = Vec::with_capacity(changed.len());
        for (mut line, judged) in changed {
            if !is_booked(&line, &judged) {
                line.generation += 1;
                let booked = judged.bookings.iter().enumerate().filter(|(_, it)| !it.amount.is_zero());
                let booked: Vec<NewLine> = booked.map(|(n, it)| self.line(&line, n, it)).collect();
                line.ledger = booked.iter().map(|it| it.id).collect();
                line.bookings = Json(text(&judged.bookings));
                new.extend(booked);
            }
            (line.class, line.rule, line.is_stale) = (judged.class.to_string(), judged.rule.to_owned(), false);
            lines.push(line);
        }
        fee_ledger::append(connection, &new).await?;
        Ok(lines)
    }

    /// A negative amount moves the other way.
    fn line(&self, line: &ChargeLine, n: usize, booking: &Booking) -> NewLine {
        let forward = (booking.debit, booking.credit);
        let (debit, credit) = if booking.amount.is_sign_positive() { forward } else { (forward.1, forward.0) };
        NewLine {
            id: self.ids.next(),
            at: self.rules.now,
            // The line id comes last: it may hold any character, a colon and digits too.
            cause: format!("charge:{}:{}:{n}:{}", self.provider, line.generation, line.line_id),
            debit,
            credit,
            amount: booking.amount.abs(),
            tax: booking.tax.abs().min(booking.amount.abs()),
            currency: booking.currency.clone(),
            provider: self.provider.clone(),
            opening_id: line.opening_id.map(OpeningId),
            code: Some(line.code.clone()).filter(|it| !it.is_empty()),
            reported: Some((line.report_id, line.line)),
            settles: booking.settles,
            pays: None,
            reverses: None,
        }
    }
}

/// Whether the ledger says already what the line came to. A newer version of a line that is worth the same needs no new booking.
fn is_booked(line: &ChargeLine, judged: &Judged) -> bool {
    serde_json::from_str::<Vec<Booking>>(line.bookings.get()).is_ok_and(|it| it == judged.bookings)
}

/// Moves lines to the openings that they name by now; the lines that moved, as they were.
fn move_named(named: &Named, lines: &mut [ChargeLine]) -> Vec<ChargeLine> {
    let mut moved = Vec::new();
    for line in lines {
        let Some(row) = row(line) else { continue };
        let opening = named.opening(&row);
        if opening != line.opening_id {
            moved.push(line.clone());
            (line.subject, line.opening_id) = (naming::subject(&row, opening), opening);
            unsettle(line);
        }
    }
    moved
}

fn in_crowd(mut line: ChargeLine, is_crowded: bool) -> ChargeLine {
    if line.is_crowded != is_crowded {
        line.is_crowded = is_crowded;
        unsettle(&mut line);
    }
    line
}

/// Takes the line's class, so that any class is written as a new one.
fn unsettle(line: &mut ChargeLine) {
    line.class = String::new();
}

fn rows(lines: &[ChargeLine]) -> Vec<ChargeRow> {
    lines.iter().filter_map(row).collect()
}

pub(super) fn expected(it: &Accrual) -> Expected {
    Expected { line: it.id, at: it.at, amount: it.amount, tax: it.tax, currency: it.currency.clone() }
}
