//! The classes of rows before anything has an effect: of a slice beside the lines of earlier files, then of what only the whole
//! file can tell.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::naming::{Named, subject};
use super::whole::{Group, alone, by_settlement, lines_of};
use super::{Charges, Fee, File, Incoming, is_whole, row};
use crate::clock::Time;
use crate::db::charge_lines::{self, ChargeLine};
use crate::db::report_rows::{self, ChargeOfReport, Place, Shared};
use crate::reconciliation::classify::charges::{Basis, Charge, Judged, TOGETHER, judge};
use crate::reconciliation::classify::{Act, Class};
use crate::reconciliation::text;
use crate::report_files::row::{ChargeRow, ChargeType};

/// Rows of one report that are judged again at once.
const PAGE: i64 = 5_000;

/// The result that a row will have.
#[derive(Clone, Debug)]
pub struct Previewed {
    pub n: i64,
    pub class: Class,
    pub rule: &'static str,
    /// Whether a person will decide.
    pub is_case: bool,
    pub opening_id: Option<Uuid>,
    /// The basis of the judgement, as JSON.
    pub basis: Option<Box<RawValue>>,
}

impl Previewed {
    fn of(n: i64, it: Outcome, opening_id: Option<Uuid>) -> Self {
        Self { n, class: it.class, rule: it.rule, is_case: it.is_case, opening_id, basis: Some(it.basis) }
    }

    const fn plain(n: i64, class: Class, rule: &'static str, opening_id: Option<Uuid>) -> Self {
        Self { n, class, rule, is_case: matches!(class, Class::ConflictingRows), opening_id, basis: None }
    }
}

/// The class by a row's judgement, and its basis as JSON: ten thousand judgements with all their values are many megabytes.
struct Outcome {
    class: Class,
    rule: &'static str,
    is_case: bool,
    basis: Box<RawValue>,
}

impl Outcome {
    fn of(judged: &Judged, basis: &Basis) -> Self {
        let is_case = judged.finding.as_ref().is_some_and(|it| it.act == Act::Case);
        Self { class: judged.class, rule: judged.rule, is_case, basis: text(basis) }
    }
}

/// The outcomes of rows, by their numbers.
type ByRow = HashMap<i64, Outcome>;

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
        let held = self.held(connection, rows).await?;
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let stored = report_rows::of_keys(connection, file.report, &self.provider, &ids).await?;
        let named = Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let openings: Vec<Option<Uuid>> = rows.iter().map(|it| named.opening(&it.row)).collect();
        let standings = standings(file, rows, &stored, &held);
        let counting = rows.iter().zip(&standings).filter(|(_, it)| **it == Standing::Counts).map(|(row, _)| row);
        let single: Vec<&Incoming> = counting.filter(|it| !is_whole(it.row.line_type.as_str())).collect();
        let mut judged = self.judged(connection, file, named, &single, &held, &HashMap::new()).await?;
        let mut slice = Slice::default();
        for ((it, standing), opening) in rows.iter().zip(&standings).zip(openings) {
            slice.rows.push(match standing {
                Standing::Counts => versioned(it, held.get(&it.row.line_id), judged.remove(&it.n), opening),
                Standing::Conflicts => {
                    Previewed::plain(it.n, Class::ConflictingRows, "same_key_other_content", opening)
                }
                Standing::IsThere => Previewed::plain(it.n, Class::Repeated, "same_row_of_this_file", opening),
                Standing::IsOlder => Previewed::plain(it.n, Class::Revised, "a_newer_version_counts", opening),
            });
        }
        slice.conflicts = contradicted(rows, &standings, stored);
        Ok(slice)
    }

    /// The lines with the ids of these rows as they are known.
    async fn held(
        &self,
        connection: &mut PgConnection,
        rows: &[Incoming],
    ) -> sqlx::Result<HashMap<String, ChargeLine>> {
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let held = charge_lines::get(connection, &self.provider, &ids).await?;
        Ok(held.into_iter().map(|it| (it.line_id.clone(), it)).collect())
    }

    /// The outcomes of single rows beside the lines that are known and each other, by their numbers. `of_report`: how many rows the
    /// report has for a fee, where it is more than are given.
    async fn judged(
        &self,
        connection: &mut PgConnection,
        file: File,
        named: Named,
        rows: &[&Incoming],
        held: &HashMap<String, ChargeLine>,
        of_report: &HashMap<Fee, usize>,
    ) -> sqlx::Result<ByRow> {
        let mut by_fee: BTreeMap<Fee, Vec<&Incoming>> = BTreeMap::new();
        for it in rows {
            by_fee.entry(fee_of(&it.row, named.opening(&it.row))).or_default().push(it);
        }
        let fees: Vec<Fee> = by_fee.keys().cloned().collect();
        let here = by_fee.iter().flat_map(|(fee, rows)| rows.iter().map(|it| (it.row.line_id.as_str(), fee.clone())));
        let known = self.beside(connection, &fees, &here.collect::<Vec<_>>(), Some(file.report)).await?;
        drop(fees);
        let others: Vec<ChargeRow> = known.iter().filter_map(row).collect();
        let named = named.and(connection, &self.provider, others.iter()).await?;
        let mut by_known: HashMap<Fee, Vec<ChargeLine>> = HashMap::new();
        for it in known {
            by_known.entry((it.subject.clone(), it.code.clone())).or_default().push(it);
        }
        let mut judged = HashMap::new();
        for (fee, rows) in by_fee {
            let known = by_known.remove(&fee).unwrap_or_default();
            let opening = rows.first().and_then(|it| named.opening(&it.row));
            let mut ours = named.ours(&self.provider, opening, &fee.1, self.prices.as_deref());
            let count = of_report.get(&fee).copied().unwrap_or_default().max(rows.len());
            ours.is_crowded = count + known.len() > TOGETHER;
            let charge = |it: &&Incoming| named.charge(it.row.clone(), first_received(file, it, held));
            let mut charges: Vec<Charge> = rows.iter().map(charge).collect();
            if !ours.is_crowded {
                charges.extend(known.iter().filter_map(|it| Some(named.charge(row(it)?, it.received_at))));
            }
            for (place, of_row) in judge(&charges, &ours, &self.rules).into_iter().take(rows.len()).enumerate() {
                let charges = beside(&charges, place, ours.is_crowded);
                let basis = Basis::Fee { charges, ours: ours.clone(), rules: self.rules };
                judged.insert(rows[place].n, Outcome::of(&of_row, &basis));
            }
        }
        Ok(judged)
    }

    /// The next rows of a report whose class depends on more than their slice, where it is another now; and where to go on.
    pub async fn preview_shared(
        &self,
        connection: &mut PgConnection,
        file: File,
        after: Option<&Place>,
    ) -> sqlx::Result<(Vec<Again>, Option<Place>)> {
        let mut page = report_rows::of_shared_fees(connection, file.report, after, PAGE).await?;
        let is_full = i64::try_from(page.len()).is_ok_and(|it| it >= PAGE);
        if is_full {
            leave_cut_fee(&mut page);
        }
        let fee = |it: &Shared| (it.subject.clone(), it.code.clone());
        let next = page.last().map(|it| (it.subject.clone(), it.code.clone(), it.n)).filter(|_| is_full);
        if page.is_empty() {
            return Ok((Vec::new(), next));
        }
        let count = |it: &Shared| usize::try_from(it.rows).unwrap_or(usize::MAX);
        let of_report: HashMap<Fee, usize> = page.iter().map(|it| (fee(it), count(it))).collect();
        let page: Vec<ChargeOfReport> = page.into_iter().map(Into::into).collect();
        let rows: Vec<Incoming> = page.iter().filter_map(incoming).collect();
        let named = Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let held = self.held(connection, &rows).await?;
        let single: Vec<&Incoming> = rows.iter().collect();
        let mut judged = self.judged(connection, file, named, &single, &held, &of_report).await?;
        let by_number: HashMap<i64, &Incoming> = rows.iter().map(|it| (it.n, it)).collect();
        let again = |row: ChargeOfReport| {
            let it = by_number.get(&row.n)?;
            again(row, versioned(it, held.get(&it.row.line_id), Some(judged.remove(&it.n)?), None))
        };
        Ok((page.into_iter().filter_map(again).collect(), next))
    }

    /// The groups and settlements of a report beside all lines, those of the report and earlier ones, where their class is another now.
    pub async fn preview_sums(&self, connection: &mut PgConnection, file: File) -> sqlx::Result<Vec<Again>> {
        let stored = report_rows::groups_and_settlements(connection, file.report).await?;
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Incoming> = stored.iter().filter_map(incoming).collect();
        let held = self.held(connection, &rows).await?;
        let mut judged = self.settlements_of_report(connection, file, &rows, &held).await?;
        judged.extend(self.groups_of_report(connection, file, &rows, &held).await?);
        let by_number: HashMap<i64, &Incoming> = rows.iter().map(|it| (it.n, it)).collect();
        let again = |stored: ChargeOfReport| {
            let it = by_number.get(&stored.n)?;
            again(stored, versioned(it, held.get(&it.row.line_id), Some(judged.remove(&it.n)?), None))
        };
        Ok(stored.into_iter().filter_map(again).collect())
    }

    async fn settlements_of_report(
        &self,
        connection: &mut PgConnection,
        file: File,
        rows: &[Incoming],
        held: &HashMap<String, ChargeLine>,
    ) -> sqlx::Result<ByRow> {
        let settlements: Vec<&Incoming> = rows.iter().filter(|it| it.row.line_type == ChargeType::Settlement).collect();
        if settlements.is_empty() {
            return Ok(ByRow::new());
        }
        let ids: Vec<String> = settlements.iter().filter_map(|it| it.row.settlement_id.clone()).collect();
        let sums = by_settlement(report_rows::sums(connection, file.report, &self.provider, &ids).await?);
        let judged = |it: &Incoming| {
            let charge = alone(it.row.clone(), first_received(file, it, held));
            let basis = Basis::Settlement { lines: lines_of(&it.row, &sums), charge, rules: self.rules };
            Some((it.n, Outcome::of(&basis.judge()?, &basis)))
        };
        Ok(settlements.into_iter().filter_map(judged).collect())
    }

    /// Beside the groups of earlier files, which take their fees in the order of the ids.
    async fn groups_of_report(
        &self,
        connection: &mut PgConnection,
        file: File,
        rows: &[Incoming],
        held: &HashMap<String, ChargeLine>,
    ) -> sqlx::Result<ByRow> {
        let here: Vec<&Incoming> = rows.iter().filter(|it| it.row.line_type == ChargeType::Group).collect();
        if here.is_empty() {
            return Ok(ByRow::new());
        }
        let mut groups: Vec<Group> = here.iter().map(|it| group(file, it, held)).collect();
        let mut kinds: Vec<(String, String)> = groups.iter().map(Group::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let known = charge_lines::groups(connection, &self.provider, &kinds, Some(file.report)).await?;
        groups.extend(known.iter().filter_map(Group::of));
        let mut numbers: HashMap<&str, i64> = here.iter().map(|it| (it.row.line_id.as_str(), it.n)).collect();
        let mut judged = HashMap::new();
        for (group, open, _) in self.with_fees(connection, groups, Some(file.report)).await? {
            let Some(n) = numbers.remove(group.line_id()) else { continue };
            let basis = Basis::Group { charge: group.charge, open, rules: self.rules };
            judged.extend(basis.judge().map(|it| (n, Outcome::of(&it, &basis))));
        }
        Ok(judged)
    }
}

/// How a row stands to the others with its line id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Counts,
    /// The file has the line with other content too.
    Conflicts,
    /// The file has the same row before.
    IsThere,
    /// A newer version of the line is known.
    IsOlder,
}

pub(super) fn standings(
    file: File,
    rows: &[Incoming],
    stored: &[ChargeOfReport],
    held: &HashMap<String, ChargeLine>,
) -> Vec<Standing> {
    let mut digests: HashMap<&str, HashSet<&[u8]>> = HashMap::new();
    for it in stored {
        digests.entry(&it.row_key).or_default().insert(&it.digest);
    }
    let mut before: HashSet<&str> = digests.keys().copied().collect();
    for it in rows {
        digests.entry(&it.row.line_id).or_default().insert(&it.digest);
    }
    let mut standings = Vec::with_capacity(rows.len());
    for it in rows {
        let id = it.row.line_id.as_str();
        let is_older = |held: &ChargeLine| {
            held.digest != it.digest && (held.as_of, held.digest.as_slice()) > (file.as_of, it.digest.as_slice())
        };
        let is_first = before.insert(id);
        standings.push(match digests.get(id) {
            Some(all) if all.len() > 1 => Standing::Conflicts,
            _ if !is_first => Standing::IsThere,
            _ if held.get(id).is_some_and(is_older) => Standing::IsOlder,
            _ => Standing::Counts,
        });
    }
    standings
}

/// Stored rows of the report that a row of the slice contradicts: their numbers and the classes that they had.
fn contradicted(rows: &[Incoming], standings: &[Standing], stored: Vec<ChargeOfReport>) -> Vec<(i64, String)> {
    let conflicting = rows.iter().zip(standings).filter(|(_, it)| **it == Standing::Conflicts);
    let ids: HashSet<&str> = conflicting.map(|(row, _)| row.row.line_id.as_str()).collect();
    let was_used =
        |it: &ChargeOfReport| ids.contains(it.row_key.as_str()) && it.class != Class::ConflictingRows.as_str();
    let mut contradicted: Vec<(i64, String)> = stored.into_iter().filter(was_used).map(|it| (it.n, it.class)).collect();
    contradicted.sort_unstable();
    contradicted
}

/// The row first, then the others of its fee. In a crowded fee no row depends on the others.
fn beside(charges: &[Charge], place: usize, is_crowded: bool) -> Vec<Charge> {
    if is_crowded {
        return charges[place..=place].to_vec();
    }
    let mut charges = charges.to_vec();
    charges.swap(0, place);
    charges
}

/// A fee that the page cuts is left to the next page; a crowded one may be cut, as its rows do not depend on each other.
fn leave_cut_fee(page: &mut Vec<Shared>) {
    let Some(last) = page.last() else { return };
    let (subject, code, rows) = (last.subject.clone(), last.code.clone(), last.rows);
    let whole = page.iter().take_while(|it| (&it.subject, &it.code) != (&subject, &code)).count();
    let is_cut = usize::try_from(rows).is_ok_and(|rows| rows <= TOGETHER && rows > page.len() - whole);
    if is_cut {
        page.truncate(whole);
    }
}

/// The fee that a row belongs to.
pub(super) fn fee_of(row: &ChargeRow, opening: Option<Uuid>) -> Fee {
    (subject(row, opening), row.code.clone().unwrap_or_default())
}

/// When the line came for the first time.
fn first_received(file: File, it: &Incoming, held: &HashMap<String, ChargeLine>) -> Time {
    held.get(&it.row.line_id).map_or(file.received_at, |held| held.received_at.min(file.received_at))
}

/// The row as it was stored.
#[must_use]
pub fn incoming(row: &ChargeOfReport) -> Option<Incoming> {
    let digest = row.digest.as_slice().try_into().ok()?;
    Some(Incoming { n: row.n, line: row.line, digest, row: serde_json::from_str(row.theirs.get()).ok()? })
}

/// A group of a file, as the line will be when the file is applied.
fn group(file: File, it: &Incoming, held: &HashMap<String, ChargeLine>) -> Group {
    let same = held.get(&it.row.line_id).filter(|held| held.digest == it.digest);
    let is_complete = file.is_complete || same.is_some_and(|held| held.is_complete);
    match same.filter(|held| held.as_of >= file.as_of).and_then(Group::of) {
        Some(standing) => Group { is_complete, ..standing },
        None => Group {
            charge: alone(it.row.clone(), first_received(file, it, held)),
            period: file.period.unwrap_or((Time::UNIX_EPOCH, file.as_of)),
            is_complete,
        },
    }
}

/// A stored row, if it comes to something else now.
fn again(stored: ChargeOfReport, previewed: Previewed) -> Option<Again> {
    let is_same = stored.class == previewed.class.as_str() && stored.rule == previewed.rule;
    (!is_same).then_some((stored, previewed))
}

/// A row beside the version of its line that is known.
fn versioned(it: &Incoming, held: Option<&ChargeLine>, judged: Option<Outcome>, opening: Option<Uuid>) -> Previewed {
    let now = match judged {
        Some(judged) => Previewed::of(it.n, judged, opening),
        None => Previewed::plain(it.n, Class::Matched, "judged_with_the_file", opening),
    };
    let Some(held) = held else { return now };
    if held.digest == it.digest {
        let finds_nothing_new = now.class == Class::Matched || now.class.as_str() == held.class;
        return if finds_nothing_new { Previewed::plain(it.n, Class::Repeated, "came_before", opening) } else { now };
    }
    if now.class == Class::Matched { Previewed { class: Class::Revised, ..now } } else { now }
}
