//! Settlements are judged, and ledger, mismatches and cases are brought to what the judgement says.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sqlx::PgConnection;

use super::gather::{Gathered, Known};
use super::{Bank, Seen};
use crate::db::charge_lines::{self, Key};
use crate::db::fee_ledger::{self, NewLine};
use crate::db::settlements::{self, Settlement as Held};
use crate::domain::fee::Account;
use crate::reconciliation::charges::sync::{About, Desired, Findings};
use crate::reconciliation::classify::bank::{Judged, JudgedEntry, Payment, Rules, Settlement, judge};
use crate::report_files::row::Kind;

impl Bank {
    /// Judges the next `most` settlements that have changed or have outlived their window; returns how many there were.
    pub async fn judge_due(&self, connection: &mut PgConnection, rules: Rules, most: i64) -> sqlx::Result<i64> {
        charge_lines::lock(connection, &self.provider).await?;
        let due = settlements::due(connection, &self.provider, rules.now, most).await?;
        let count = i64::try_from(due.len()).unwrap_or(i64::MAX);
        if due.is_empty() {
            return Ok(0);
        }
        let ids: Vec<String> = due.iter().map(|it| it.settlement_id.clone()).collect();
        let gathered = self.gather(connection, &ids, &Seen::default()).await?;
        let judged: Vec<(&Settlement, Judged)> =
            gathered.settlements.iter().map(|it| (it, judge(it, &gathered.entries_of(&it.id), &rules))).collect();
        self.book(connection, due, &judged, &gathered).await?;
        self.say(connection, &judged, &gathered).await?;
        Ok(count)
    }

    /// Reverses payments that the judgement contradicts, and books the payments that it found.
    async fn book(
        &self,
        connection: &mut PgConnection,
        due: Vec<Held>,
        judged: &[(&Settlement, Judged)],
        gathered: &Gathered,
    ) -> sqlx::Result<()> {
        let ids: Vec<String> = judged.iter().map(|(it, _)| it.id.clone()).collect();
        let mut held: HashMap<String, Held> = due.into_iter().map(|it| (it.settlement_id.clone(), it)).collect();
        let others: Vec<String> = ids.iter().filter(|id| !held.contains_key(*id)).cloned().collect();
        for it in settlements::get(connection, &self.provider, &others).await? {
            held.insert(it.settlement_id.clone(), it);
        }
        let before = fee_ledger::paid_before(connection, &self.provider, &ids).await?;
        let before: HashMap<(String, String), i32> = before.into_iter().map(|it| ((it.0, it.1), it.2)).collect();
        let (mut wrong, mut new, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for (settlement, judged) in judged {
            let Some(held) = held.remove(&settlement.id) else { continue };
            let mut next = Held { is_open: judged.is_open, look_at: judged.look_at, ..held };
            if !is_booked(&next.payments, &judged.payments) {
                wrong.extend(next.ledger.iter().copied());
                let line = |it: &Payment| self.line(&settlement.id, it, &before, gathered);
                let lines: Vec<NewLine> = judged.payments.iter().map(line).collect();
                next.ledger = lines.iter().map(|it| it.id).collect();
                next.payments = serde_json::to_value(&judged.payments).unwrap_or_default();
                new.extend(lines);
            }
            written.push(next);
        }
        for line in fee_ledger::get(connection, &wrong).await? {
            let reversal = NewLine::reversal(self.ids.next(), self.now, &line);
            new.push(reversal.map_err(|error| sqlx::Error::Decode(error.into()))?);
        }
        fee_ledger::append(connection, &new).await?;
        settlements::write(connection, &self.provider, &written).await
    }

    /// A negative amount moves the other way: the provider gave it to us.
    fn line(
        &self,
        settlement: &str,
        payment: &Payment,
        before: &HashMap<(String, String), i32>,
        gathered: &Gathered,
    ) -> NewLine {
        let (debit, credit) = if payment.amount.is_sign_positive() {
            (Account::Charged, Account::Paid)
        } else {
            (Account::Paid, Account::Charged)
        };
        let Payment { currency, amount, entry } = payment;
        let count = before.get(&(settlement.to_owned(), currency.clone())).copied().unwrap_or_default();
        let provider = &self.provider;
        NewLine {
            id: self.ids.next(),
            at: self.now,
            cause: format!("payment:{provider}:{settlement}:{currency}:{count}"),
            debit,
            credit,
            amount: amount.abs(),
            tax: rust_decimal::Decimal::ZERO,
            currency: currency.clone(),
            provider: provider.clone(),
            opening_id: None,
            code: None,
            reported: gathered.entries.get(entry).and_then(|it| it.places.first().copied()),
            settles: None,
            pays: Some((settlement.to_owned(), count)),
            reverses: None,
        }
    }

    /// Brings mismatches and cases in line with the judgement.
    async fn say(
        &self,
        connection: &mut PgConnection,
        judged: &[(&Settlement, Judged)],
        gathered: &Gathered,
    ) -> sqlx::Result<()> {
        let mut findings = self.findings();
        // The mismatch of an entry ends where the entry names no settlement, or no statement that adds up has it. An entry of a settlement
        // that this batch does not judge keeps its mismatch.
        let of_batch: HashSet<&str> = gathered.settlements.iter().map(|it| it.id.as_str()).collect();
        let is_judged = |name: &String| of_batch.contains(name.as_str());
        let known = gathered.entries.values().filter(|it| it.entry.names.iter().all(is_judged));
        findings.add(known.map(|it| of_entry(it, None, gathered)).collect());
        for (settlement, judged) in judged {
            for it in &judged.entries {
                findings.add(
                    gathered.entries.get(&it.key).map(|of| of_entry(of, Some(it), gathered)).into_iter().collect(),
                );
            }
            findings.add(vec![of_settlement(settlement, judged, gathered)]);
        }
        for it in gathered.entries.values() {
            for (report, line) in &it.places {
                findings.say((it.entry.key.clone(), "entry".to_owned()), *report, *line);
            }
        }
        findings.write(connection).await
    }

    pub(super) fn findings(&self) -> Findings<'_> {
        Findings::about(About {
            ids: &self.ids,
            sinks: &self.sinks,
            provider: &self.provider,
            kind: Kind::Bank,
            now: self.now,
            report: self.report,
        })
    }
}

/// Whether the ledger says already what was paid. Which of several equal entries paid does not matter to it.
fn is_booked(held: &Value, payments: &[Payment]) -> bool {
    let held: Vec<Payment> = serde_json::from_value(held.clone()).unwrap_or_default();
    let same = |(a, b): (&Payment, &Payment)| (&a.currency, a.amount) == (&b.currency, b.amount);
    held.len() == payments.len() && held.iter().zip(payments).all(same)
}

fn of_entry(known: &Known, judged: Option<&JudgedEntry>, gathered: &Gathered) -> (Key, Desired) {
    let finding = judged.and_then(|it| it.finding.clone());
    let charged = known.entry.names.iter().filter_map(|name| gathered.rows.get(name)).flatten();
    // The newest row says it; where it ends a mismatch, it is the row that came last.
    let said = match finding {
        Some(_) => known.places.iter().max().copied(),
        None => known.places.iter().chain(charged).max().copied(),
    };
    let reason = judged.map_or("the entry does not count any more", |it| it.rule);
    let desired = Desired { finding: finding.map(Box::new), said, reason, ..Desired::default() };
    ((known.entry.key.clone(), "entry".to_owned()), desired)
}

fn of_settlement(settlement: &Settlement, judged: &Judged, gathered: &Gathered) -> (Key, Desired) {
    let rows = gathered.rows.get(&settlement.id).into_iter().flatten();
    let entries = gathered.naming(&settlement.id).flat_map(|it| &it.places);
    let said = match &judged.unpaid {
        Some(_) => rows.max().copied(),
        None => entries.chain(rows).max().copied(),
    };
    let desired = Desired {
        finding: judged.unpaid.clone().map(Box::new),
        said,
        reason: "a bank entry names it",
        ..Desired::default()
    };
    ((settlement.id.clone(), "payment".to_owned()), desired)
}
