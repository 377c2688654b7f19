//! The classes of rows before anything has an effect: of a slice beside the lines of earlier files, then of what only the whole
//! file can tell.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::naming::Named;
use super::whole::{alone, by_fee, fee_of, lines_of};
use super::{Charges, File, Incoming, is_whole, row};
use crate::db::charge_lines::{self, ChargeLine};
use crate::db::fee_ledger;
use crate::db::report_rows::{self, ChargeOfReport};
use crate::reconciliation::classify::charges::{Basis, Charge, Judged, judge};
use crate::reconciliation::classify::{Act, Class};
use crate::reconciliation::normalise::row::{ChargeRow, ChargeType};

/// Rows of one report that are judged again at once.
const PAGE: i64 = 5_000;

/// What a row will come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Previewed {
    pub n: i64,
    pub class: Class,
    pub rule: &'static str,
    /// Whether a person will decide.
    pub is_case: bool,
    pub opening_id: Option<Uuid>,
    /// What it was judged by.
    pub basis: Option<Basis>,
}

impl Previewed {
    fn of(n: i64, (judged, basis): (&Judged, Basis), opening_id: Option<Uuid>) -> Self {
        let is_case = judged.finding.as_ref().is_some_and(|it| it.act == Act::Case);
        Self { n, class: judged.class, rule: judged.rule, is_case, opening_id, basis: Some(basis) }
    }

    const fn plain(n: i64, class: Class, rule: &'static str, opening_id: Option<Uuid>) -> Self {
        Self { n, class, rule, is_case: matches!(class, Class::ConflictingRows), opening_id, basis: None }
    }
}

/// The judgements of rows by their numbers, each with its basis.
type ByRow = HashMap<i64, (Judged, Basis)>;

/// A row of a report as it is stored, and what the whole file makes of it.
pub type Again = (ChargeOfReport, Previewed);

/// A preview of a slice: its rows, and earlier rows of the same file that conflict with them.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub rows: Vec<Previewed>,
    /// Their numbers and the classes that they had.
    pub conflicts: Vec<(i64, String)>,
}

impl Charges {
    /// Previews a slice of a file, in a fixed number of statements.
    pub async fn preview(&self, connection: &mut PgConnection, file: File, rows: &[Incoming]) -> sqlx::Result<Slice> {
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let held = charge_lines::get(connection, &self.provider, &ids).await?;
        let here = report_rows::of_keys(connection, file.report, &self.provider, &ids).await?;
        let named = Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let single: Vec<&Incoming> = rows.iter().filter(|it| !is_whole(it.row.line_type.as_str())).collect();
        let mut judged = self.judged(connection, file, &named, &single).await?;
        let mut slice = Slice::default();
        let mut seen: HashMap<&str, Vec<&[u8]>> = HashMap::new();
        for it in rows {
            seen.entry(&it.row.line_id).or_default().push(&it.digest);
        }
        let mut first: HashSet<&str> = HashSet::new();
        for it in rows {
            let opening = named.opening(&it.row);
            let is_first = first.insert(&it.row.line_id);
            let other = |digest: &[u8]| digest != it.digest;
            let before: Vec<_> = here.iter().filter(|row| row.row_key == it.row.line_id).collect();
            let conflicts = before.iter().any(|row| other(&row.digest))
                || seen.get(it.row.line_id.as_str()).is_some_and(|all| all.iter().any(|digest| other(digest)));
            if conflicts {
                let was = before.iter().filter(|it| it.class != Class::ConflictingRows.as_str());
                slice.conflicts.extend(was.map(|row| (row.n, row.class.clone())));
                slice.rows.push(Previewed::plain(it.n, Class::ConflictingRows, "same_key_other_content", opening));
                continue;
            }
            if !is_first || !before.is_empty() {
                slice.rows.push(Previewed::plain(it.n, Class::Repeated, "same_row_of_this_file", opening));
                continue;
            }
            let held = held.iter().find(|line| line.line_id == it.row.line_id);
            slice.rows.push(versioned(file, it, held, judged.remove(&it.n), opening));
        }
        slice.conflicts.sort_unstable();
        slice.conflicts.dedup();
        Ok(slice)
    }

    /// What single rows come to beside the lines that are known and each other, by their numbers.
    async fn judged(
        &self,
        connection: &mut PgConnection,
        file: File,
        named: &Named,
        rows: &[&Incoming],
    ) -> sqlx::Result<ByRow> {
        let here: HashSet<&str> = rows.iter().map(|it| it.row.line_id.as_str()).collect();
        let of_row = |it: &&Incoming| fee_of(&it.row, named.opening(&it.row));
        let mut fees: Vec<(String, String)> = rows.iter().map(of_row).collect();
        fees.sort_unstable();
        fees.dedup();
        let known = charge_lines::of_fees(connection, &self.provider, &fees).await?;
        let known: Vec<ChargeLine> = known.into_iter().filter(|it| !here.contains(it.line_id.as_str())).collect();
        let others: Vec<ChargeRow> = known.iter().filter_map(row).collect();
        let named_before = Named::by(connection, &self.provider, others.iter()).await?;
        let accruals: Vec<(Uuid, String)> =
            fees.iter().filter_map(|it| Some((Uuid::parse_str(&it.0).ok()?, it.1.clone()))).collect();
        let accruals = fee_ledger::accruals(connection, &accruals).await?;
        let mut by_known = by_fee(known, |it| (it.subject.clone(), it.code.clone()));
        let mut judged = HashMap::new();
        for (fee, rows) in by_fee(rows.to_vec(), of_row) {
            let opening = rows.first().and_then(|it| named.opening(&it.row));
            let mut ours = named.ours(&self.provider, opening, &fee.1, self.prices.as_deref());
            let accrual = accruals.iter().find(|it| Some(it.opening_id) == opening && it.code == fee.1);
            ours.expected = accrual.map(super::book::expected);
            let mut charges: Vec<Charge> =
                rows.iter().map(|it| named.charge(it.row.clone(), file.received_at)).collect();
            let known = by_known.remove(&fee).unwrap_or_default();
            charges.extend(known.iter().filter_map(|it| Some(named_before.charge(row(it)?, it.received_at))));
            let of_fee = judge(&charges, &ours, &self.rules);
            for (place, (it, of_row)) in rows.iter().zip(of_fee).enumerate() {
                let mut charges = charges.clone();
                charges.swap(0, place);
                let basis = Basis::Fee { charges, ours: ours.clone(), rules: self.rules };
                judged.insert(it.n, (of_row, basis));
            }
        }
        Ok(judged)
    }

    /// The next rows of a report that belong to one fee with others of it, judged together; and where to go on.
    pub async fn preview_shared(
        &self,
        connection: &mut PgConnection,
        file: File,
        after: Option<&(Uuid, String)>,
    ) -> sqlx::Result<(Vec<Again>, Option<(Uuid, String)>)> {
        let mut page = report_rows::of_shared_fees(connection, file.report, after, PAGE).await?;
        let is_full = i64::try_from(page.len()).is_ok_and(|it| it >= PAGE);
        let last = page.last().and_then(ChargeOfReport::fee);
        if is_full {
            let whole = page.iter().take_while(|it| it.fee() != last).count();
            // A fee with more rows than a page is judged in parts.
            page.truncate(if whole == 0 { page.len() } else { whole });
        }
        let next = page.last().and_then(ChargeOfReport::fee).filter(|_| is_full);
        let rows: Vec<Incoming> = page.iter().filter_map(incoming).collect();
        let named = Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let mut judged = self.judged(connection, file, &named, &rows.iter().collect::<Vec<_>>()).await?;
        let again = |stored: ChargeOfReport| {
            let (judged, basis) = judged.remove(&stored.n)?;
            let previewed = Previewed::of(stored.n, (&judged, basis), stored.opening_id);
            // Another version of a line keeps its class unless something new is found.
            let keeps = previewed.class == Class::Matched && stored.class == Class::Revised.as_str();
            (!keeps).then_some((stored, previewed))
        };
        Ok((page.into_iter().filter_map(again).collect(), next))
    }

    /// The groups and settlements of a report beside all lines, those of the report and earlier ones.
    pub async fn preview_sums(&self, connection: &mut PgConnection, file: File) -> sqlx::Result<Vec<Again>> {
        let stored = report_rows::groups_and_settlements(connection, file.report).await?;
        let rows: Vec<(Incoming, ChargeOfReport)> =
            stored.into_iter().filter_map(|it| Some((incoming(&it)?, it))).collect();
        let ids: Vec<String> = rows.iter().filter_map(|(it, _)| it.row.settlement_id.clone()).collect();
        let sums = report_rows::sums(connection, file.report, &self.provider, &ids).await?;
        let mut taken: HashSet<Uuid> = HashSet::new();
        let mut all = Vec::new();
        for (it, stored) in rows {
            let charge = alone(it.row.clone(), file.received_at);
            let basis = if it.row.line_type == ChargeType::Settlement {
                Basis::Settlement { lines: lines_of(&it.row, &sums), charge, rules: self.rules }
            } else {
                let period = file.period.unwrap_or((crate::clock::Time::UNIX_EPOCH, file.as_of));
                let code = it.row.code.clone().unwrap_or_default();
                let fees = self.open_fees(connection, period, &code, &it.row.currency, Some(file.report)).await?;
                let fees: Vec<_> = fees.into_iter().filter(|it| !taken.contains(&it.id)).collect();
                Basis::Group { charge, open: self.open(&fees) }
            };
            let Some(judged) = basis.judge() else { continue };
            taken.extend(judged.bookings.iter().filter_map(|it| it.settles));
            all.push((stored, Previewed::of(it.n, (&judged, basis), None)));
        }
        Ok(all)
    }
}

/// The row as it was stored.
#[must_use]
pub fn incoming(row: &ChargeOfReport) -> Option<Incoming> {
    let digest = row.digest.as_slice().try_into().ok()?;
    Some(Incoming { n: row.n, line: row.line, digest, row: serde_json::from_value(row.theirs.clone()).ok()? })
}

/// A row beside the version of its line that is known.
fn versioned(
    file: File,
    it: &Incoming,
    held: Option<&ChargeLine>,
    judged: Option<(Judged, Basis)>,
    opening: Option<Uuid>,
) -> Previewed {
    let now = match judged {
        Some((judged, basis)) => Previewed::of(it.n, (&judged, basis), opening),
        None => Previewed::plain(it.n, Class::Matched, "judged_with_the_file", opening),
    };
    let Some(held) = held else { return now };
    if held.digest == it.digest {
        let finds_nothing_new = now.class == Class::Matched || now.class.as_str() == held.class;
        return if finds_nothing_new { Previewed::plain(it.n, Class::Repeated, "came_before", opening) } else { now };
    }
    let is_older = (held.as_of, held.digest.as_slice()) > (file.as_of, it.digest.as_slice());
    if is_older {
        return Previewed::plain(it.n, Class::Revised, "a_newer_version_counts", opening);
    }
    if now.class == Class::Matched { Previewed { class: Class::Revised, ..now } } else { now }
}
