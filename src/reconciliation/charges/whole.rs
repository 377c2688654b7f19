//! Groups, settlements and absent fees: what can be judged only when every row of a file is in.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::book::expected;
use super::sync::{Desired, Findings};
use super::{Charges, File, naming, row};
use crate::clock::Time;
use crate::db::charge_lines::{self, ChargeLine, Key, Sum};
use crate::db::fee_ledger::{self, Accrual, Steps};
use crate::reconciliation::classify::Finding;
use crate::reconciliation::classify::charges::{Charge, Lines, OpenFees, judge_group, judge_settlement, unlisted};
use crate::reconciliation::normalise::row::{ChargeRow, ChargeType};

/// How many stale lines one transaction judges.
const BATCH: i64 = 100;

impl Charges {
    /// Judges stale groups and settlements; false where there are none.
    pub async fn judge_stale(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        charge_lines::lock(connection, &self.provider).await?;
        let stale = charge_lines::stale(connection, &self.provider, BATCH).await?;
        if stale.is_empty() {
            return Ok(false);
        }
        let of_group = |it: &ChargeLine| it.line_type == ChargeType::Group.as_str();
        let (groups, settlements): (Vec<_>, Vec<_>) = stale.into_iter().partition(of_group);
        self.settlements(connection, settlements).await?;
        let kinds: BTreeSet<(String, String)> = groups.into_iter().map(|it| (it.code, it.currency)).collect();
        for (code, currency) in kinds {
            self.groups(connection, &code, &currency).await?;
        }
        Ok(true)
    }

    async fn settlements(&self, connection: &mut PgConnection, lines: Vec<ChargeLine>) -> sqlx::Result<()> {
        let ids: Vec<String> = lines.iter().filter_map(|it| it.settlement_id.clone()).collect();
        let sums = charge_lines::sums(connection, &self.provider, &ids).await?;
        let judged = lines.into_iter().filter_map(|line| {
            let charge = alone(row(&line)?, line.received_at);
            let judged = judge_settlement(&charge, &lines_of(&charge.row, &sums), &self.rules);
            Some((line, judged))
        });
        let judged = judged.collect();
        self.settle(connection, judged).await
    }

    /// All groups of a code and currency together: an expected fee belongs to the first group that takes it.
    async fn groups(&self, connection: &mut PgConnection, code: &str, currency: &str) -> sqlx::Result<()> {
        let mut taken: HashSet<Uuid> = HashSet::new();
        let mut ended = Findings::new(self);
        let mut judged = Vec::new();
        for line in charge_lines::groups(connection, &self.provider, code, currency).await? {
            let Some(row) = row(&line) else { continue };
            let period = (line.period_from.unwrap_or(Time::UNIX_EPOCH), line.period_until.unwrap_or(line.as_of));
            let fees = self.open_fees(connection, period, code, currency, None).await?;
            let fees: Vec<Accrual> = fees.into_iter().filter(|it| !taken.contains(&it.id)).collect();
            let it = judge_group(&alone(row, line.received_at), &self.open(&fees));
            if it.settles() {
                taken.extend(fees.iter().map(|it| it.id));
                ended.add(fees.iter().map(charged_by_group).collect());
            }
            judged.push((line, it));
        }
        self.settle(connection, judged).await?;
        ended.write(connection).await
    }

    pub(super) fn open(&self, fees: &[Accrual]) -> OpenFees {
        OpenFees { fees: fees.iter().map(expected).collect(), is_priced: self.prices.is_some() }
    }

    /// The expected fees that a group may stand for. With a report, its single lines count too.
    pub(super) async fn open_fees(
        &self,
        connection: &mut PgConnection,
        (from, until): (Time, Time),
        code: &str,
        currency: &str,
        report: Option<Uuid>,
    ) -> sqlx::Result<Vec<Accrual>> {
        let steps = Steps { provider: &self.provider, from, until };
        fee_ledger::without_single_charge(connection, steps, code, currency, report).await
    }

    /// The next expected fees of a complete file's period that no line charges, each with its finding; and where to go on. With a
    /// report, its rows count as lines.
    pub async fn absences(
        &self,
        connection: &mut PgConnection,
        file: File,
        report: Option<Uuid>,
        after: Option<Uuid>,
        limit: i64,
    ) -> sqlx::Result<(Vec<(Accrual, Finding)>, Option<Uuid>)> {
        let Some((from, until)) = file.period else { return Ok((Vec::new(), None)) };
        let steps = Steps { provider: &self.provider, from, until };
        let fees = fee_ledger::uncharged(connection, steps, report, after, limit).await?;
        let is_full = i64::try_from(fees.len()).is_ok_and(|it| it >= limit);
        let next = fees.last().map(|it| it.id).filter(|_| is_full);
        let found = |it: Accrual| {
            let finding = unlisted(it.opening_id, &it.code, &expected(&it), &self.rules);
            (it, finding)
        };
        Ok((fees.into_iter().map(found).collect(), next))
    }

    /// Says that these expected fees are in no row of a complete file.
    pub async fn miss(
        &self,
        connection: &mut PgConnection,
        file: File,
        absent: Vec<(Accrual, Finding)>,
    ) -> sqlx::Result<()> {
        let mut sync = Findings::new(self);
        let missed = |(accrual, finding): (Accrual, Finding)| {
            let desired = Desired {
                opening_id: Some(accrual.opening_id),
                said: Some((file.report, 0)),
                as_of: Some(file.as_of),
                finding: Some(finding),
                ..Desired::default()
            };
            (fee_key(&accrual), desired)
        };
        sync.add(absent.into_iter().map(missed).collect());
        sync.write(connection).await
    }

    /// Judges open mismatches again: a step may have come, or a window may have passed.
    pub async fn review(&self, connection: &mut PgConnection, keys: &[Key]) -> sqlx::Result<()> {
        charge_lines::lock(connection, &self.provider).await?;
        let of =
            |aspect: &str| -> Vec<String> { keys.iter().filter(|it| it.1 == aspect).map(|it| it.0.clone()).collect() };
        let lines = charge_lines::get(connection, &self.provider, &of("charge")).await?;
        self.judge(connection, &lines).await?;
        charge_lines::mark_stale(connection, &self.provider, &of("settlement"), &[]).await?;
        self.review_fees(connection, &of("fee")).await
    }

    async fn review_fees(&self, connection: &mut PgConnection, subjects: &[String]) -> sqlx::Result<()> {
        let fee = |it: &String| {
            let (opening, code) = it.split_once(':')?;
            Some((Uuid::parse_str(opening).ok()?, code.to_owned()))
        };
        let fees: Vec<(Uuid, String)> = subjects.iter().filter_map(fee).collect();
        let mut sync = Findings::new(self);
        for it in fee_ledger::accruals(connection, &fees).await? {
            let finding = unlisted(it.opening_id, &it.code, &expected(&it), &self.rules);
            let opening_id = Some(it.opening_id);
            sync.add(vec![(fee_key(&it), Desired { finding: Some(finding), opening_id, ..Desired::default() })]);
        }
        sync.write(connection).await
    }
}

fn fee_key(fee: &Accrual) -> Key {
    (format!("{}:{}", fee.opening_id, fee.code), "fee".to_owned())
}

fn charged_by_group(fee: &Accrual) -> (Key, Desired) {
    (fee_key(fee), Desired { reason: "a group charges the fee", ..Desired::default() })
}

/// A row that is for no single opening.
pub(super) fn alone(row: ChargeRow, received_at: Time) -> Charge {
    Charge { row, received_at, by_tracking_id: None, by_reference: None }
}

/// The lines of a settlement, of all currencies.
pub(super) fn lines_of(row: &ChargeRow, sums: &[Sum]) -> Lines {
    let of_settlement = || sums.iter().filter(|it| Some(&it.settlement_id) == row.settlement_id.as_ref());
    let count = |it: i64| u64::try_from(it).unwrap_or_default();
    let same = of_settlement().find(|it| it.currency == row.currency);
    Lines {
        count: of_settlement().map(|it| count(it.count)).sum(),
        amount: same.map(|it| it.amount).unwrap_or_default(),
        tax: same.map(|it| it.tax).unwrap_or_default(),
        foreign: of_settlement().filter(|it| it.currency != row.currency).map(|it| count(it.count)).sum(),
    }
}

/// Rows by the fee that they belong to.
pub(super) fn by_fee<T>(rows: Vec<T>, key: impl Fn(&T) -> (String, String)) -> HashMap<(String, String), Vec<T>> {
    let mut by_fee: HashMap<(String, String), Vec<T>> = HashMap::new();
    for row in rows {
        by_fee.entry(key(&row)).or_default().push(row);
    }
    by_fee
}

/// The fee that a row belongs to.
pub(super) fn fee_of(row: &ChargeRow, opening: Option<Uuid>) -> (String, String) {
    (naming::subject(row, opening), row.code.clone().unwrap_or_default())
}
