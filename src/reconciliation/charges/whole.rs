//! Groups, settlements and absent fees: what can be judged only when every row of a file is in.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::book::expected;
use super::sync::{Desired, Findings};
use super::{Charges, File, row};
use crate::clock::Time;
use crate::db::charge_lines::{self, ChargeLine, Key, Sum};
use crate::db::fee_ledger::{self, Accrual, Look, Steps};
use crate::reconciliation::classify::Finding;
use crate::reconciliation::classify::charges::{
    Charge, Judged, Lines, OpenFees, judge_group, judge_settlement, unlisted,
};
use crate::report_files::row::{ChargeRow, ChargeType};

/// A group line, and the time of the fees that it stands for.
pub(super) struct Group {
    pub charge: Charge,
    pub period: (Time, Time),
    pub is_complete: bool,
}

impl Group {
    pub fn of(line: &ChargeLine) -> Option<Self> {
        let period = (line.period_from.unwrap_or(Time::UNIX_EPOCH), line.period_until.unwrap_or(line.as_of));
        Some(Self { charge: alone(row(line)?, line.received_at), period, is_complete: line.is_complete })
    }

    pub fn line_id(&self) -> &str {
        &self.charge.row.line_id
    }

    /// Code and currency.
    pub fn kind(&self) -> (String, String) {
        (self.charge.row.code.clone().unwrap_or_default(), self.charge.row.currency.clone())
    }
}

impl Charges {
    /// Judges the next `most` stale groups and settlements; returns how many there were.
    pub async fn judge_stale(&self, connection: &mut PgConnection, most: i64) -> sqlx::Result<i64> {
        charge_lines::lock(connection, &self.provider).await?;
        let stale = charge_lines::stale(connection, &self.provider, most).await?;
        let count = i64::try_from(stale.len()).unwrap_or(i64::MAX);
        if stale.is_empty() {
            return Ok(0);
        }
        let of_group = |it: &ChargeLine| it.line_type == ChargeType::Group.as_str();
        let (groups, settlements): (Vec<_>, Vec<_>) = stale.into_iter().partition(of_group);
        let mut sync = Findings::new(self);
        let mut judged = self.settlements(connection, settlements).await?;
        let mut kinds: Vec<(String, String)> = groups.into_iter().map(|it| (it.code, it.currency)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        judged.extend(self.groups(connection, &kinds, &mut sync).await?);
        self.settle(connection, judged, Vec::new(), &mut sync).await?;
        sync.write(connection).await?;
        Ok(count)
    }

    async fn settlements(
        &self,
        connection: &mut PgConnection,
        lines: Vec<ChargeLine>,
    ) -> sqlx::Result<Vec<(ChargeLine, Judged)>> {
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = lines.iter().filter_map(|it| it.settlement_id.clone()).collect();
        let sums = by_settlement(charge_lines::sums(connection, &self.provider, &ids).await?);
        let judged = |line: ChargeLine| {
            let charge = alone(row(&line)?, line.received_at);
            let judged = judge_settlement(&charge, &lines_of(&charge.row, &sums), &self.rules);
            Some((line, judged))
        };
        Ok(lines.into_iter().filter_map(judged).collect())
    }

    /// All groups of these codes and currencies. Their fees are absent no more, whether the groups agree or not.
    async fn groups(
        &self,
        connection: &mut PgConnection,
        kinds: &[(String, String)],
        sync: &mut Findings<'_>,
    ) -> sqlx::Result<Vec<(ChargeLine, Judged)>> {
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let lines = charge_lines::groups(connection, &self.provider, kinds, None).await?;
        let groups = lines.iter().filter_map(Group::of).collect();
        let mut lines: HashMap<String, ChargeLine> = lines.into_iter().map(|it| (it.line_id.clone(), it)).collect();
        let mut all = Vec::new();
        for (group, open, fees) in self.with_fees(connection, groups, None).await? {
            sync.add(fees.iter().map(charged_by_group).collect());
            let Some(line) = lines.remove(group.line_id()) else { continue };
            all.push((line, judge_group(&group.charge, &open, &self.rules)));
        }
        Ok(all)
    }

    /// Groups with the expected fees that each may stand for: a fee belongs to the first group that takes it, in the order of their
    /// ids. With a report that is not applied yet, its single lines count too.
    pub(super) async fn with_fees(
        &self,
        connection: &mut PgConnection,
        mut groups: Vec<Group>,
        report: Option<Uuid>,
    ) -> sqlx::Result<Vec<(Group, OpenFees, Vec<Accrual>)>> {
        groups.sort_unstable_by(|a, b| a.line_id().cmp(b.line_id()));
        let mut taken: HashSet<Uuid> = HashSet::new();
        let mut known: BTreeMap<(Time, Time, (String, String)), Vec<Accrual>> = BTreeMap::new();
        let mut all = Vec::new();
        for group in groups {
            let (kind, (from, until)) = (group.kind(), group.period);
            let key = (from, until, kind.clone());
            if !known.contains_key(&key) {
                let steps = Steps { provider: &self.provider, from, until };
                let fees = fee_ledger::without_single_charge(connection, steps, &kind.0, &kind.1, report).await?;
                known.insert(key.clone(), fees);
            }
            let fees = known.get(&key).into_iter().flatten();
            let fees: Vec<Accrual> = fees.filter(|it| !taken.contains(&it.id)).cloned().collect();
            let open = OpenFees {
                fees: fees.iter().map(expected).collect(),
                is_priced: self.prices.is_some(),
                is_complete: group.is_complete,
            };
            if judge_group(&group.charge, &open, &self.rules).settles() {
                taken.extend(fees.iter().map(|it| it.id));
            }
            all.push((group, open, fees));
        }
        Ok(all)
    }

    /// The next expected fees of a complete file's period that no line charges, each with its finding; and where to go on. With a report, its
    /// rows count as lines.
    pub async fn absences(
        &self,
        connection: &mut PgConnection,
        file: File,
        report: Option<Uuid>,
        look: Look,
    ) -> sqlx::Result<(Vec<(Accrual, Finding)>, Option<Uuid>)> {
        let Some((from, until)) = file.period else { return Ok((Vec::new(), None)) };
        let steps = Steps { provider: &self.provider, from, until };
        let (fees, next) = fee_ledger::uncharged(connection, steps, report, look).await?;
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
                finding: Some(Box::new(finding)),
                ..Desired::default()
            };
            (fee_key(&accrual), desired)
        };
        sync.add(absent.into_iter().map(missed).collect());
        sync.write(connection).await
    }

    /// Judges again the expected fees that no line charges: their window may have passed.
    pub(super) async fn review_fees(
        &self,
        connection: &mut PgConnection,
        subjects: &[String],
        sync: &mut Findings<'_>,
    ) -> sqlx::Result<()> {
        let fee = |it: &String| {
            let (opening, code) = it.split_once(':')?;
            Some((Uuid::parse_str(opening).ok()?, code.to_owned()))
        };
        let fees: Vec<(Uuid, String)> = subjects.iter().filter_map(fee).collect();
        for it in fee_ledger::accruals(connection, &fees).await? {
            let finding = unlisted(it.opening_id, &it.code, &expected(&it), &self.rules);
            let opening_id = Some(it.opening_id);
            sync.add(vec![(
                fee_key(&it),
                Desired { finding: Some(Box::new(finding)), opening_id, ..Desired::default() },
            )]);
        }
        Ok(())
    }
}

fn fee_key(fee: &Accrual) -> Key {
    (format!("{}:{}", fee.opening_id, fee.code), "fee".to_owned())
}

fn charged_by_group(fee: &Accrual) -> (Key, Desired) {
    (fee_key(fee), Desired { reason: "a group stands for the fee", ..Desired::default() })
}

/// A row that is for no single opening.
pub(super) fn alone(row: ChargeRow, received_at: Time) -> Charge {
    Charge { row, received_at, by_tracking_id: None, by_reference: None }
}

/// By the settlement's id: a file may have as many settlements as rows.
pub(super) fn by_settlement(sums: Vec<Sum>) -> HashMap<String, Vec<Sum>> {
    let mut by_settlement: HashMap<String, Vec<Sum>> = HashMap::new();
    for it in sums {
        by_settlement.entry(it.settlement_id.clone()).or_default().push(it);
    }
    by_settlement
}

/// The lines of a settlement, of all currencies.
pub(super) fn lines_of(row: &ChargeRow, sums: &HashMap<String, Vec<Sum>>) -> Lines {
    let of_settlement = || row.settlement_id.as_ref().and_then(|id| sums.get(id)).into_iter().flatten();
    let count = |it: i64| u64::try_from(it).unwrap_or_default();
    let same = of_settlement().find(|it| it.currency == row.currency);
    Lines {
        count: of_settlement().map(|it| count(it.count)).sum(),
        amount: same.map(|it| it.amount).unwrap_or_default(),
        tax: same.map(|it| it.tax).unwrap_or_default(),
        foreign: of_settlement().filter(|it| it.currency != row.currency).map(|it| count(it.count)).sum(),
    }
}
