//! The openings that the rows of a register name, and what other registers said about the same requests.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::openings::{self, Held};
use crate::db::report_rows::{self, Earlier};
use crate::domain::{StateName, Status};
use crate::reconciliation::classify::register::{OurOpening, Ours, Times, classify};
use crate::reconciliation::classify::{Class, Classified};
use crate::report_files::row::RegisterRow;

/// The file that rows are from.
#[derive(Clone, Debug)]
pub struct File<'a> {
    pub report: Uuid,
    pub provider: &'a str,
    pub times: Times,
}

/// A row to be compared: its number, its digest, and itself.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub n: i64,
    pub digest: [u8; 32],
    pub key: &'a str,
    pub row: &'a RegisterRow,
}

/// The result of a row's comparison.
#[derive(Clone, Debug)]
pub struct Compared {
    pub ours: Ours,
    pub classified: Classified,
    /// The same row, key and content, is in an earlier report.
    pub came_before: bool,
    /// The same key with other content is in an earlier report.
    pub revises: bool,
}

/// The outcome of a slice: a result per row, and the earlier rows of the same file that turn out to conflict with it.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub rows: Vec<Compared>,
    pub conflicts: Vec<(i64, String)>,
}

/// Of which openings the time of their decision is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Of all: a person reads it.
    All,
    /// Of those that a row without a final answer names: only such a row is classified by it.
    ThatClassify,
}

/// Compares rows with our openings.
pub async fn compare(
    connection: &mut PgConnection,
    file: &File<'_>,
    rows: &[Asked<'_>],
    ends: Ends,
) -> sqlx::Result<Slice> {
    let named: Vec<&RegisterRow> = rows.iter().map(|it| it.row).collect();
    let held = openings_named(connection, file.provider, &named, &[], ends).await?;
    let references: Vec<String> = distinct(named.iter().map(|it| it.provider_reference.clone()));
    let earlier = Said::of(report_rows::of_references(connection, file.report, file.provider, &references).await?);
    Ok(beside(file, rows, &held, &earlier))
}

/// Pure: rows beside the openings that they name, each other, and what other slices and reports said.
fn beside(file: &File<'_>, rows: &[Asked<'_>], held: &Openings, earlier: &Said) -> Slice {
    let here = Here::of(rows);
    let mut slice = Slice::default();
    for asked in rows {
        let said = earlier.of_row(asked);
        let conflicting = here.conflicts(asked) || said.iter().any(|it| it.conflicts(file, asked));
        slice.conflicts.extend(
            said.iter()
                .filter(|it| it.conflicts(file, asked) && !it.is_conflicting())
                .map(|it| (it.n, it.class.clone())),
        );
        let mut ours = held.named_by(asked.row);
        ours.newer = said.iter().any(|it| it.is_newer(file, asked));
        ours.said_later = here.has_final(asked) || said.iter().any(|it| it.is_final_here(file, asked));
        let classified = if conflicting {
            Classified { class: Class::ConflictingRows, rule: "same_key_other_content", findings: Vec::new() }
        } else {
            classify(asked.row, &ours, file.times)
        };
        let came_before = said.iter().any(|it| it.is_same(file, asked));
        let revises = said.iter().any(|it| it.is_revised_by(file, asked));
        slice.rows.push(Compared { ours, classified, came_before, revises });
    }
    slice.conflicts.sort_unstable();
    slice.conflicts.dedup();
    slice
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Openings of one provider or several, by what rows name them by.
#[derive(Default)]
pub struct Openings {
    by_id: HashMap<Uuid, OurOpening>,
    by_reference: HashMap<String, Uuid>,
}

impl Openings {
    fn of(held: Vec<Held>) -> Self {
        let by_reference = held.iter().filter_map(|it| Some((it.provider_ref.clone()?, it.id))).collect();
        let by_id = held.into_iter().filter_map(|it| Some((it.id, OurOpening::of(it)?))).collect();
        Self { by_id, by_reference }
    }

    /// Looks up when these openings were decided, of those that are.
    async fn add_ends(&mut self, connection: &mut PgConnection, of: impl Iterator<Item = Uuid>) -> sqlx::Result<()> {
        let is_decided = |id: &Uuid| self.by_id.get(id).is_some_and(|it| it.state.status() != Status::InProgress);
        let decided = openings::decided(connection, &distinct(of.filter(is_decided))).await?;
        for (id, at) in decided {
            self.by_id.entry(id).and_modify(|it| it.ended_at = Some(at));
        }
        Ok(())
    }

    /// The openings that rows without a final answer name by either id.
    fn named_by_undecided(&self, rows: &[&RegisterRow]) -> Vec<Uuid> {
        let by_tracking_id = |row: &RegisterRow| self.by_reference.get(&row.provider_reference).copied();
        let undecided = rows.iter().filter(|it| !it.is_final());
        undecided.flat_map(|row| [by_tracking_id(row), row.opening()]).flatten().collect()
    }

    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&OurOpening> {
        self.by_id.get(&id)
    }

    #[must_use]
    pub fn named_by(&self, row: &RegisterRow) -> Ours {
        let by_tracking_id = self.by_reference.get(&row.provider_reference).and_then(|id| self.by_id.get(id));
        let by_reference = row.opening().and_then(|id| self.by_id.get(&id));
        let is_other = |it: &&OurOpening| by_tracking_id.is_none_or(|first| first.id != it.id);
        // Beside another opening its account is not compared; stored there, the erasure of this opening would not reach it.
        let without_account = |it: OurOpening| OurOpening { iban: None, bic: None, ..it };
        let by_reference = by_reference.filter(is_other).cloned();
        Ours {
            by_reference: if by_tracking_id.is_some() { by_reference.map(without_account) } else { by_reference },
            by_tracking_id: by_tracking_id.cloned(),
            said_later: false,
            newer: false,
        }
    }
}

/// The openings that rows of one provider name, and those with these ids.
pub async fn openings_named(
    connection: &mut PgConnection,
    provider: &str,
    rows: &[&RegisterRow],
    ids: &[Uuid],
    ends: Ends,
) -> sqlx::Result<Openings> {
    let references: Vec<String> = distinct(rows.iter().map(|it| it.provider_reference.clone()));
    let ids = distinct(ids.iter().copied().chain(rows.iter().filter_map(|it| it.opening())));
    let mut named = Openings::of(openings::reported(connection, provider, &references, &ids).await?);
    let wanted = match ends {
        Ends::All => named.by_id.keys().copied().collect(),
        Ends::ThatClassify => named.named_by_undecided(rows),
    };
    named.add_ends(connection, wanted.into_iter()).await?;
    Ok(named)
}

impl OurOpening {
    /// Without the time of its decision. None: a state of a newer version, which this one cannot compare.
    pub(in crate::reconciliation) fn of(held: Held) -> Option<Self> {
        let state: StateName = held.state.parse().ok()?;
        Some(OurOpening {
            id: held.id,
            state,
            provider_reference: held.provider_ref,
            market: held.market,
            currency: held.currency,
            iban: held.iban,
            bic: held.bic,
            ended_at: None,
            erased: held.erased,
        })
    }
}

/// Rows of other slices and reports, by tracking id.
struct Said(HashMap<String, Vec<Earlier>>);

impl Said {
    fn of(rows: Vec<Earlier>) -> Self {
        let mut by_reference: HashMap<String, Vec<Earlier>> = HashMap::new();
        for row in rows {
            by_reference.entry(row.provider_reference.clone()).or_default().push(row);
        }
        Self(by_reference)
    }

    fn of_row(&self, asked: &Asked<'_>) -> &[Earlier] {
        self.0.get(&asked.row.provider_reference).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Earlier {
    fn conflicts(&self, file: &File<'_>, asked: &Asked<'_>) -> bool {
        self.report_id == file.report && self.n != asked.n && self.row_key == asked.key && self.digest != asked.digest
    }

    fn is_conflicting(&self) -> bool {
        self.class == Class::ConflictingRows.as_str()
    }

    fn is_same(&self, file: &File<'_>, asked: &Asked<'_>) -> bool {
        self.report_id != file.report && self.row_key == asked.key && self.digest == asked.digest
    }

    fn is_revised_by(&self, file: &File<'_>, asked: &Asked<'_>) -> bool {
        self.report_id != file.report && self.row_key == asked.key && self.digest != asked.digest
    }

    /// A final answer in another row of the same file.
    fn is_final_here(&self, file: &File<'_>, asked: &Asked<'_>) -> bool {
        self.is_final && self.report_id == file.report && self.n != asked.n
    }

    /// Of two files of one time the digests say which row counts, so that both orders end the same.
    fn is_newer(&self, file: &File<'_>, asked: &Asked<'_>) -> bool {
        let rank = |as_of: Time, is_final: bool, digest: &[u8]| (as_of, is_final, digest.to_vec());
        let theirs = |as_of| rank(as_of, self.is_final, &self.digest);
        let ours = || rank(file.times.as_of, asked.row.is_final(), &asked.digest);
        let counts = self.report_id != file.report && !self.is_conflicting() && self.digest != asked.digest;
        counts && self.as_of.is_some_and(|as_of| theirs(as_of) > ours())
    }
}

/// The rows of this slice, to compare them with each other.
struct Here<'a> {
    by_key: HashMap<&'a str, Vec<&'a [u8; 32]>>,
    finals: HashMap<&'a str, i64>,
}

impl<'a> Here<'a> {
    fn of(rows: &'a [Asked<'a>]) -> Self {
        let mut by_key: HashMap<&str, Vec<&[u8; 32]>> = HashMap::new();
        let mut finals = HashMap::new();
        for row in rows {
            by_key.entry(row.key).or_default().push(&row.digest);
            if row.row.is_final() {
                finals.insert(row.row.provider_reference.as_str(), row.n);
            }
        }
        Self { by_key, finals }
    }

    fn conflicts(&self, asked: &Asked<'_>) -> bool {
        self.by_key.get(asked.key).is_some_and(|all| all.iter().any(|it| **it != asked.digest))
    }

    fn has_final(&self, asked: &Asked<'_>) -> bool {
        self.finals.get(asked.row.provider_reference.as_str()).is_some_and(|n| *n != asked.n)
    }
}

#[cfg(test)]
mod tests;
