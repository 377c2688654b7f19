//! Reads a report: each slice is matched, classified and stored with a checkpoint, in one commit.
//!
//! The commits before the last do not wait for the disk: their rows can be read again from the kept file. A crash of Postgres loses
//! the newest of them whole, rows and checkpoint. A worker that outlives it commits nothing after the gap: each checkpoint must find
//! the position of the slice before it. The last slice waits for the disk, and with it all before it are safe.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::{COMMIT_WITHIN, Job, NAME, Reconciled, Reconciler, Went, bank, charges, end};
use crate::db::report_rows::{self, NewRow};
use crate::db::reports::{self, BadRow, Progress, Stage};
use crate::db::{WITHIN, begin_repeatable_slice, begin_slice, conclude, conclude_slice, mismatches};
use crate::driver::TickError;
use crate::faults::Step;
use crate::reconciliation::classify::register::{Basis, Times};
use crate::reconciliation::classify::{Class, Classified, Finding};
use crate::reconciliation::matching::register::{self, Asked, Compared, Ends};
use crate::reconciliation::reading::{Reading, ReadingError, SLICE, Slice, Source};
use crate::reconciliation::text;
use crate::report_files::profile::Profiles;
use crate::report_files::row::{Kind, Located, Row, Statement};
use crate::report_files::{Ending, ReportError};
use crate::telemetry::metrics;

/// The most rows that one statement inserts, so that a slice of charges takes four: until they are sent, a statement's parameters are two more
/// copies of its rows.
const INSERTED: usize = SLICE;
const INSERTED_OF_CHARGES: usize = 6_250;

/// A stored slice: its rows, and earlier rows that conflict with them.
pub(super) struct Stored {
    pub rows: Vec<NewRow>,
    /// Earlier rows of the report, and the classes that they had.
    pub reclassified: Vec<(i64, String)>,
    pub cases: i64,
}

impl Reconciler {
    pub(super) async fn read(&self, job: &mut Job, done: &mut Reconciled) -> Result<Went, TickError> {
        let kind: Kind = job.claimed.kind.parse().unwrap_or(Kind::Register);
        let source = Source {
            report: job.claimed.id,
            provider: job.claimed.provider.clone(),
            kind,
            format: job.claimed.format.clone(),
            // They were checked at the start.
            profiles: Profiles::of(&self.settings.report_profiles).unwrap_or_default(),
        };
        let mut reading = Reading::of(self.context.cell.pool.clone(), source);
        let (mut read, mut pace) = (self.resumed(job).await?, self.pace().await?);
        loop {
            if self.stop.is_cancelled() {
                return Ok(Went::Later);
            }
            let most = if job.is_of_charges() { charges::slice(job) } else { SLICE };
            let slice = match reading.next(pace.rows(most)).await {
                Ok(Some(slice)) => slice,
                Ok(None) => return Ok(Went::Later),
                Err(ReadingError::Header(error)) => return self.fail(job, &error.to_string()).await,
                Err(ReadingError::Io(error)) => {
                    tracing::warn!(report.id = %job.claimed.id, %error, "a report cannot be read yet");
                    return Ok(Went::Later);
                }
            };
            if let Some(failed) = slice.ending.as_ref().and_then(|it| it.failed.as_ref()) {
                return self.fail(job, &failed.to_string()).await;
            }
            if read.is_no_report() {
                let why = format!(
                    "{} of the first {} rows are bad: it is no report",
                    read.bad_rows,
                    read.rows + read.bad_rows
                );
                return self.fail(job, &why).await;
            }
            if !self.store(job, &mut read, slice, done).await? {
                return Ok(Went::Later);
            }
            if read.ended {
                return Ok(Went::On);
            }
            self.give_way(&mut pace).await?;
        }
    }

    /// Where the reading of a report goes on.
    async fn resumed(&self, job: &Job) -> sqlx::Result<Read> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let look = report_rows::resumption(&mut connection, job.claimed.id, job.claimed.position);
        let result = timeout(WITHIN, look).await;
        let (last, erased) = conclude(connection, result)?;
        let erased = erased.into_iter().filter_map(|it| u64::try_from(it).ok()).collect();
        let last = last.and_then(|it| u64::try_from(it).ok());
        Ok(Read { rows: job.claimed.position, last, erased, ..Read::default() })
    }

    pub(super) async fn fail(&self, job: &Job, why: &str) -> Result<Went, TickError> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let fail = async {
            let mut transaction = connection.begin().await?;
            let ours = reports::fail(&mut transaction, job.claimed.id, job.token, why, self.now()).await?;
            end(transaction, ours).await
        };
        let result = timeout(WITHIN, fail).await;
        Ok(if conclude(connection, result)? { Went::Ended("failed") } else { Went::Later })
    }

    /// False: another replica has the report.
    async fn store(
        &self,
        job: &mut Job,
        read: &mut Read,
        slice: Slice,
        done: &mut Reconciled,
    ) -> Result<bool, TickError> {
        let Slice { rows, errors, ending, statements } = slice;
        let stored = job.claimed.position;
        let rows: Vec<Located<Row>> = rows.into_iter().filter(|it| !read.has(it)).collect();
        let new: Vec<(i64, Located<Row>)> = rows.into_iter().map(|it| (read.next_row(), it)).collect();
        let bad: Vec<BadRow> = errors.iter().filter_map(|it| read.next_error(it)).collect();
        if new.is_empty() && bad.is_empty() && statements.is_empty() && ending.is_none() {
            self.renew(job).await?;
            return Ok(true);
        }
        let position = new.last().map_or(stored, |(n, _)| *n);
        let sums = ending.as_ref().map(|it| json!(it.sums));
        job.claimed.complete = ending.as_ref().is_some_and(|it| read.is_complete(it));
        job.claimed.rows = position + read.bad_rows;
        job.claimed.bad_rows = read.bad_rows;
        let (sums, is_end) = (sums.as_ref(), ending.is_some());
        let part = Part { new, bad: &bad, statements: &statements, position, sums, is_end };
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = self.context.shell.faults.around(NAME, Step::Settle, self.write(&mut connection, job, part));
        let result = timeout(COMMIT_WITHIN, write).await;
        let Some(outcome) = conclude_slice(connection, result)? else { return Ok(false) };
        let is_end = ending.is_some();
        done.rows += outcome;
        job.claimed.position = position;
        if is_end {
            job.claimed.stage = Stage::Judge.to_string();
            read.ended = true;
        }
        Ok(true)
    }

    /// Matches, classifies and stores a part of the file in one transaction. How many rows are new; none: another replica has the
    /// report.
    async fn write(&self, connection: &mut PgConnection, job: &mut Job, part: Part<'_>) -> sqlx::Result<Option<u64>> {
        let Part { mut new, bad, statements, position, sums, is_end } = part;
        let mut transaction =
            if is_end { begin_slice(connection).await? } else { begin_repeatable_slice(connection).await? };
        let outcome = if job.is_of_charges() {
            let charges = self.charges(&job.claimed.provider, Some(job.claimed.id));
            // They are not kept beside what they become; no charge is erased late.
            charges::classified(&mut transaction, &charges, job.charges_file(), std::mem::take(&mut new)).await?
        } else if job.is_of_bank() {
            let bank = self.bank(&job.claimed.provider, Some(job.claimed.id));
            bank::classified(&mut transaction, &bank, job.claimed.id, &new, statements).await?
        } else {
            classified(&mut transaction, &job.file(self.settings.window), &new).await?
        };
        let (provider, report) = (job.claimed.provider.clone(), job.claimed.id);
        let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &outcome.rows {
            *classes.entry(row.class).or_default() += 1;
            *job.counts.entry(row.class.to_owned()).or_default() += 1;
        }
        for (n, class) in &outcome.reclassified {
            *job.counts.entry(class.clone()).or_default() -= 1;
            job.count(Class::ConflictingRows, 1);
            tracing::debug!(report.id = %report, row = n, "an earlier row of the report conflicts with a later one");
        }
        job.counts.retain(|_, count| *count != 0);
        let conflicts = i64::try_from(outcome.reclassified.len()).unwrap_or_default();
        *job.counts.entry(CASES.to_owned()).or_default() += outcome.cases + conflicts;
        let most = if job.is_of_charges() { INSERTED_OF_CHARGES } else { INSERTED };
        for rows in outcome.rows.chunks(most) {
            report_rows::insert(&mut transaction, report, &provider, rows).await?;
        }
        redact(&mut transaction, report, &outcome.rows).await?;
        bank::erase_late(&mut transaction, report, &provider, &new).await?;
        reports::insert_errors(&mut transaction, report, bad).await?;
        let conflicts: Vec<_> =
            outcome.reclassified.iter().map(|(n, _)| (*n, Class::ConflictingRows.as_str(), CONFLICT)).collect();
        report_rows::reclassify(&mut transaction, report, &conflicts).await?;
        let stage = if is_end { Stage::Judge } else { Stage::Read };
        let counts = json!(job.counts);
        let after = Some(job.claimed.position);
        let progress = Progress { sums, after, ..job.progress(stage, position, &counts) };
        if !job.commit(transaction, &progress, self.now()).await? {
            return Ok(None);
        }
        for (class, rows) in classes {
            metrics::report_rows(&provider, &job.claimed.kind, class, rows);
        }
        metrics::report_rows(&provider, &job.claimed.kind, "bad", u64::try_from(bad.len()).unwrap_or_default());
        Ok(Some(u64::try_from(outcome.rows.len()).unwrap_or_default()))
    }
}

/// Overwrites the rows of a register that name erased openings.
async fn redact(connection: &mut PgConnection, report: Uuid, rows: &[NewRow]) -> sqlx::Result<()> {
    for row in rows.iter().filter(|it| it.redacted) {
        reports::redact(connection, report, row.byte, row.length).await?;
    }
    Ok(())
}

/// A part of a file to be stored in one commit.
struct Part<'a> {
    new: Vec<(i64, Located<Row>)>,
    bad: &'a [BadRow],
    statements: &'a [Statement],
    position: i64,
    sums: Option<&'a Value>,
    is_end: bool,
}

/// The rows that a person decides about, counted beside the classes.
pub(super) const CASES: &str = "cases";
const CONFLICT: &str = "same_key_other_content";

/// Bad rows from which on a file that has more of them than good ones is given up.
const MANY_BAD: i64 = 100_000;

/// How far the parser is. Stored rows are known by their place: the row of an opening that was erased since is not readable any
/// more, so their number is no help.
#[derive(Default)]
struct Read {
    /// The byte at which the last stored row ends.
    last: Option<u64>,
    /// The bytes of overwritten rows.
    erased: HashSet<u64>,
    /// Overwritten rows that were met.
    met: u64,
    rows: i64,
    errors: i64,
    bad_rows: i64,
    ended: bool,
}

impl Read {
    /// So many bad rows, and more than good ones, are not listed to the end.
    const fn is_no_report(&self) -> bool {
        self.bad_rows > MANY_BAD && self.bad_rows > self.rows
    }

    fn next_row(&mut self) -> i64 {
        self.rows += 1;
        self.rows
    }

    /// Whether a row is stored. Rows are compared by their last byte: the row for the rest of a bank entry begins before the entry's
    /// transactions.
    fn has(&self, row: &Located<Row>) -> bool {
        self.last.is_some_and(|last| row.byte + row.len <= last)
    }

    fn is_complete(&self, ending: &Ending) -> bool {
        ending.is_complete() || (self.met > 0 && self.errors == 0 && ending.is_complete_but_for_bad_rows())
    }

    /// None: an overwritten row, which is stored.
    fn next_error(&mut self, error: &ReportError) -> Option<BadRow> {
        if self.erased.contains(&error.byte) {
            self.met += 1;
            return None;
        }
        self.errors += 1;
        self.bad_rows += i64::from(error.is_row);
        let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        Some(BadRow {
            n: self.errors,
            line: number(error.line),
            byte: number(error.byte),
            length: number(error.len),
            field: error.problem.field.clone(),
            code: error.problem.code.to_string(),
            detail: error.problem.detail.clone(),
        })
    }
}

async fn classified(
    connection: &mut PgConnection,
    file: &register::File<'_>,
    rows: &[(i64, Located<Row>)],
) -> sqlx::Result<Stored> {
    let (asked, texts): (Vec<Asked<'_>>, Vec<Text>) = rows.iter().filter_map(|(n, it)| asked(*n, it)).unzip();
    let slice = register::compare(connection, file, &asked, Ends::ThatClassify).await?;
    let known = known(connection, file, &slice.rows).await?;
    let cases = slice.rows.iter().filter(|it| it.classified.is_a_case()).count();
    let rows = asked.iter().zip(texts).zip(slice.rows);
    let rows = rows.map(|((asked, text), it)| new_row(asked, text, it, &known, file.times)).collect();
    Ok(Stored { rows, reclassified: slice.conflicts, cases: i64::try_from(cases).unwrap_or_default() })
}

/// A row's place in its file, and its canonical text.
struct Text {
    line: u64,
    byte: u64,
    len: u64,
    theirs: Box<RawValue>,
}

fn asked(n: i64, located: &Located<Row>) -> Option<(Asked<'_>, Text)> {
    let Located { line, byte, len, key, row: Row::Register(row) } = located else { return None };
    let theirs = text(row);
    let digest = Sha256::digest(theirs.get()).into();
    Some((Asked { n, digest, key, row }, Text { line: *line, byte: *byte, len: *len, theirs }))
}

/// The findings that are mismatches already.
async fn known(
    connection: &mut PgConnection,
    file: &register::File<'_>,
    rows: &[Compared],
) -> sqlx::Result<HashSet<(String, String, String)>> {
    let repeated = rows.iter().filter(|it| it.came_before).flat_map(|it| &it.classified.findings);
    let keys: Vec<(String, String)> = repeated.map(|it| (it.subject.clone(), it.aspect.to_owned())).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let known = mismatches::known(connection, file.provider, Kind::Register.as_str(), &keys).await?;
    Ok(known.into_iter().collect())
}

fn new_row(
    asked: &Asked<'_>,
    written: Text,
    compared: Compared,
    known: &HashSet<(String, String, String)>,
    times: Times,
) -> NewRow {
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let Compared { ours, classified: Classified { class, rule, findings }, came_before, revises } = compared;
    let is_known = |it: &Finding| known.contains(&(it.subject.clone(), it.aspect.to_owned(), it.class.to_string()));
    let says_nothing_new = came_before && findings.iter().all(is_known) && class != Class::ConflictingRows;
    let found = !findings.is_empty() || class == Class::ConflictingRows;
    let class = match (says_nothing_new, class, revises) {
        (true, ..) => Class::Repeated,
        (false, Class::Matched, true) => Class::Revised,
        (false, class, _) => class,
    };
    let erased = ours.opening().is_some_and(|it| it.erased);
    let row = asked.row;
    NewRow {
        n: asked.n,
        line: number(written.line),
        byte: number(written.byte),
        length: number(written.len),
        kind: Kind::Register.as_str(),
        row_key: asked.key.to_owned(),
        digest: asked.digest,
        provider_reference: Some(row.provider_reference.clone()),
        reference: row.reference.clone(),
        status: Some(row.status.clone()),
        amount: None,
        currency: row.currency.clone(),
        class: class.as_str(),
        rule,
        opening_id: ours.opening().map(|it| it.id),
        theirs: if erased { text(&row.redacted()) } else { written.theirs },
        ours: Some(text(&Basis { ours, window: times.window })),
        found,
        redacted: erased,
    }
}
