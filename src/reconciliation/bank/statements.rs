//! Judges the statements of an account together: which entries count.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bank, Seen};
use crate::db::bank_statements::{self, Held};
use crate::db::charge_lines;
use crate::reconciliation::charges::sync::Desired;
use crate::reconciliation::classify::bank::chain::{Judged, Outcome, Version, judge};

/// How many accounts one transaction judges.
const ACCOUNTS: i64 = 50;

/// A statement that a report has, and what it comes to.
pub type Decided = (Held, Judged);

impl Bank {
    /// The next accounts of a report, with what their statements come to; and where to go on.
    pub(super) async fn decided(
        &self,
        connection: &mut PgConnection,
        report: Uuid,
        after: &str,
    ) -> sqlx::Result<(Vec<Decided>, Option<String>)> {
        let accounts = bank_statements::accounts(connection, report, after, ACCOUNTS).await?;
        let next = accounts.last().filter(|_| i64::try_from(accounts.len()).is_ok_and(|it| it >= ACCOUNTS)).cloned();
        let held = bank_statements::of_accounts(connection, &self.provider, &accounts, Some(report)).await?;
        let mut by_account: BTreeMap<String, Vec<(Held, Version)>> = BTreeMap::new();
        for it in held {
            let Some(version) = version(&it) else { continue };
            by_account.entry(it.account_key.clone()).or_default().push((it, version));
        }
        let mut decided = Vec::new();
        for of_account in by_account.into_values() {
            let (held, versions): (Vec<Held>, Vec<Version>) = of_account.into_iter().unzip();
            decided.extend(held.into_iter().zip(judge(&versions)));
        }
        Ok((decided, next))
    }

    /// Applies the statements of a report to the next accounts; returns where to go on.
    pub async fn decide(
        &self,
        connection: &mut PgConnection,
        report: Uuid,
        after: &str,
    ) -> sqlx::Result<Option<String>> {
        charge_lines::lock(connection, &self.provider).await?;
        let (decided, next) = self.decided(connection, report, after).await?;
        let changed = decided.iter().filter(|(held, judged)| held.outcome != judged.outcome.as_str());
        let changed: Vec<(Uuid, i64, &str)> =
            changed.map(|(held, judged)| (held.report_id, held.n, judged.outcome.as_str())).collect();
        bank_statements::decide(connection, &self.provider, report, &changed).await?;
        let last = decided.iter().map(|(held, _)| (held.report_id, held.line)).max();
        let mut findings = self.findings();
        for (held, judged) in decided.iter().filter(|(_, judged)| judged.is_newest) {
            let own = Some((held.report_id, held.line));
            // A settled finding is credited to the newest report: that file closed the gap.
            let said = if judged.finding.is_some() { own } else { last };
            let finding = judged.finding.clone();
            let reason = "the statement adds up and follows on";
            let desired =
                Desired { finding: finding.map(Box::new), said, as_of: Some(held.as_of), reason, ..Desired::default() };
            findings.add(vec![((judged.subject.clone(), "statement".to_owned()), desired)]);
        }
        findings.write(connection).await?;
        Ok(next)
    }

    /// The outcomes of the statements of a report, and of its accounts, once it is applied.
    pub async fn foresee(&self, connection: &mut PgConnection, report: Uuid) -> sqlx::Result<(Seen, Vec<Decided>)> {
        let mut seen = Seen { report: Some(report), ..Seen::default() };
        let (mut flawed, mut after) = (Vec::new(), String::new());
        loop {
            let (decided, next) = self.decided(connection, report, &after).await?;
            for (held, judged) in decided {
                seen.outcomes.insert((held.report_id, held.n), judged.outcome);
                if judged.by_newer {
                    seen.by_newer.insert((held.report_id, held.n));
                }
                if held.report_id == report && judged.outcome != Outcome::Sound {
                    flawed.push((held, judged));
                }
            }
            match next {
                Some(next) => after = next,
                None => return Ok((seen, flawed)),
            }
        }
    }
}

fn version(held: &Held) -> Option<Version> {
    let statement = serde_json::from_value(held.content.clone()).ok()?;
    Some(Version { statement, is_complete: held.complete, as_of: held.as_of })
}
