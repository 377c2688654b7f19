//! The worker's steps for charges: a slice is previewed and stored, the whole file judged, and its lines are booked.

use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::read::{CASES, Stored};
use super::{COMMIT_WITHIN, Job, NAME, Reconciler, Went};
use crate::db::fee_ledger::Look;
use crate::db::report_rows::{self, ChargeOfReport, NewRow};
use crate::db::reports::Stage;
use crate::db::{WITHIN, begin_slice, charge_lines, conclude, conclude_slice, mismatches};
use crate::driver::TickError;
use crate::faults::Step;
use crate::reconciliation::charges::{Again, Charges, File, Incoming, Previewed, incoming, rules};
use crate::reconciliation::classify::Class;
use crate::reconciliation::classify::charges::is_a_case;
use crate::reconciliation::resolve::SELDOM;
use crate::reconciliation::{reading, text};
use crate::report_files::row::{ChargeRow, Kind, Located, Row};

/// The rows of a commit while no webhooks arrive. A charge is read and then booked, by more statements than other rows; they cost less per row
/// the more rows they have.
const SLICE: usize = 25_000;
/// The most lines that are booked in one commit after a try without progress: a large batch may take too long.
const FEW: i64 = 1_000;
/// The expected fees that one statement looks at for absences.
const LOOK: i64 = 20_000;
/// The longest that looks go on without renewing the lease, which outlasts it by more than a look.
const RENEWED_EACH: Duration = Duration::from_secs(15);
/// The absences that one commit writes.
const ABSENT: i64 = 2_500;
/// The groups and settlements that are judged in one commit, and after a try without progress.
const STALE: i64 = 2_500;
const FEW_STALE: i64 = 500;
/// The most open mismatches that one look takes.
const LOOK_AGAIN: i64 = 1_000;

impl Job {
    pub(super) fn is_of_charges(&self) -> bool {
        self.claimed.kind == Kind::Charges.as_str()
    }

    pub(super) fn charges_file(&self) -> File {
        let it = &self.claimed;
        File {
            report: it.id,
            as_of: it.as_of.unwrap_or(it.received_at),
            received_at: it.received_at,
            period: it.period_from.zip(it.period_until),
            is_complete: it.complete,
        }
    }
}

impl Reconciler {
    /// `report`: the one that is applied.
    pub(super) fn charges(&self, provider: &str, report: Option<Uuid>) -> Charges {
        let settings = &self.settings;
        Charges {
            ids: self.context.shell.ids.clone(),
            sinks: self.context.cell.effect_context.sinks.clone(),
            provider: provider.to_owned(),
            prices: self.context.cell.effect_context.price_list.clone(),
            rules: rules(settings.amount_tolerance, settings.charge_window, settings.settlement_window, self.now()),
            report,
        }
    }

    /// Gives the rows whose class only the whole file can tell their class, and counts the fees that no row charges. Returns how
    /// many of those a person must look at. None: another replica has the report.
    pub(super) async fn judge_charges(&self, job: &mut Job) -> Result<Option<i64>, TickError> {
        if !job.is_of_charges() {
            return Ok(Some(0));
        }
        let mut place = None;
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_shared(&mut connection, job, place.as_ref());
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            let Some(next) = conclude_slice(connection, result)? else { return Ok(None) };
            place = next;
            if place.is_none() {
                break;
            }
        }
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = self.write_sums(&mut connection, job);
        let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
        if !conclude_slice(connection, result)? {
            return Ok(None);
        }
        Ok(Some(self.count_absences(job).await?))
    }

    /// Where to go on. None: another replica has the report.
    async fn write_shared(
        &self,
        connection: &mut PgConnection,
        job: &mut Job,
        place: Option<&report_rows::Place>,
    ) -> sqlx::Result<Option<Option<report_rows::Place>>> {
        let (charges, file) = (self.charges(&job.claimed.provider, Some(job.claimed.id)), job.charges_file());
        let (again, next) = charges.preview_shared(connection, file, place).await?;
        Ok(self.reclassify(connection, job, again).await?.then_some(next))
    }

    async fn write_sums(&self, connection: &mut PgConnection, job: &mut Job) -> sqlx::Result<bool> {
        let (charges, file) = (self.charges(&job.claimed.provider, Some(job.claimed.id)), job.charges_file());
        let again = charges.preview_sums(connection, file).await?;
        self.reclassify(connection, job, again).await
    }

    /// False: another replica has the report.
    async fn reclassify(&self, connection: &mut PgConnection, job: &mut Job, again: Vec<Again>) -> sqlx::Result<bool> {
        for (was, is) in &again {
            *job.counts.entry(was.class.clone()).or_default() -= 1;
            job.count(is.class, 1);
            let cases = i64::from(is.is_case) - i64::from(is_a_case(&was.class, &was.rule));
            *job.counts.entry(CASES.to_owned()).or_default() += cases;
        }
        job.counts.retain(|name, count| *count != 0 || name == CASES);
        let judged = |(was, is): &Again| report_rows::Judged {
            n: was.n,
            class: is.class.as_str(),
            rule: is.rule,
            ours: text(&is.basis),
        };
        let rows: Vec<report_rows::Judged> = again.iter().map(judged).collect();
        let counts = json!(job.counts);
        let mut transaction = connection.begin().await?;
        report_rows::judge(&mut transaction, job.claimed.id, &rows).await?;
        job.commit(transaction, &job.progress(Stage::Judge, job.claimed.position, &counts), self.now()).await
    }

    async fn count_absences(&self, job: &mut Job) -> Result<i64, TickError> {
        if !job.claimed.complete {
            return Ok(0);
        }
        let (charges, file, report) =
            (self.charges(&job.claimed.provider, Some(job.claimed.id)), job.charges_file(), job.claimed.id);
        let (mut absent, mut missing, mut after, mut pace) = (0, 0, None, self.pace().await?);
        let mut renewed = Instant::now();
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let look = Look { after, most: pace.share_of(LOOK), found: LOOK };
            let result = timeout(WITHIN, charges.absences(&mut connection, file, Some(report), look)).await;
            let (found, next) = conclude(connection, result)?;
            let late = found.iter().filter(|(_, it)| it.class == Class::MissingExternal).count();
            missing += i64::try_from(late).unwrap_or_default();
            absent += found.len();
            after = next;
            if after.is_none() {
                break;
            }
            if renewed.elapsed() > RENEWED_EACH {
                self.renew(job).await?;
                renewed = Instant::now();
            }
            self.give_way(&mut pace).await?;
        }
        let is_over = file.period.is_some_and(|(_, until)| until <= self.now());
        job.is_all_charged = absent == 0 && is_over;
        if missing > 0 {
            job.count(Class::MissingExternal, missing);
        }
        Ok(missing)
    }

    /// Books the lines of a report, then judges groups and settlements, then misses the fees that no line charges.
    pub(super) async fn apply_charges(&self, job: &mut Job) -> Result<Went, TickError> {
        let mut pace = self.pace().await?;
        loop {
            if self.stop.is_cancelled() {
                return Ok(Went::Later);
            }
            let mut connection = self.context.cell.pool.acquire().await?;
            let all = i64::try_from(pace.rows(SLICE)).unwrap_or(FEW);
            let most = if job.claimed.claims > 1 { FEW } else { all };
            let write = self.write_lines(&mut connection, job, most);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(Went::Later),
                Some(lines) if lines < most => break,
                Some(_) => self.give_way(&mut pace).await?,
            }
        }
        if !self.judge_stale_charges(job).await?
            || !self.judge_settlements(job).await?
            || !self.miss_charges(job).await?
        {
            return Ok(Went::Later);
        }
        self.finish(job).await
    }

    /// How many lines there were. None: another replica has the report.
    async fn write_lines(&self, connection: &mut PgConnection, job: &mut Job, most: i64) -> sqlx::Result<Option<i64>> {
        let (charges, file) = (self.charges(&job.claimed.provider, Some(job.claimed.id)), job.charges_file());
        let mut transaction = begin_slice(connection).await?;
        let mut rows = report_rows::charges(&mut transaction, job.claimed.id, job.claimed.position, most).await?;
        let Some(position) = rows.last().map(|it| it.n) else {
            transaction.rollback().await?;
            return Ok(Some(0));
        };
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let is_conflicting = |it: &mut ChargeOfReport| it.class == Class::ConflictingRows.as_str();
        let conflicting: Vec<ChargeOfReport> = rows.extract_if(.., is_conflicting).collect();
        // Each row is freed as soon as it is parsed.
        let parsed =
            |rows: Vec<ChargeOfReport>| -> Vec<Incoming> { rows.into_iter().filter_map(|it| incoming(&it)).collect() };
        let (conflicting, usable) = (parsed(conflicting), parsed(rows));
        charges.take(&mut transaction, file, usable, &conflicting).await?;
        let counts = json!(job.counts);
        if !job.commit(transaction, &job.progress(Stage::Apply, position, &counts), self.now()).await? {
            return Ok(None);
        }
        job.claimed.position = position;
        Ok(Some(count))
    }

    async fn judge_stale_charges(&self, job: &Job) -> Result<bool, TickError> {
        let most = if job.claimed.claims > 1 { FEW_STALE } else { STALE };
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_stale(&mut connection, job, most);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(false),
                Some(judged) if judged < most => return Ok(true),
                Some(_) => {}
            }
        }
    }

    /// How many lines were judged. None: another replica has the report.
    async fn write_stale(&self, connection: &mut PgConnection, job: &Job, most: i64) -> sqlx::Result<Option<i64>> {
        let mut transaction = begin_slice(connection).await?;
        let charges = self.charges(&job.claimed.provider, Some(job.claimed.id));
        let judged = charges.judge_stale(&mut transaction, most).await?;
        Ok(self.commit_charges(job, transaction).await?.then_some(judged))
    }

    async fn miss_charges(&self, job: &Job) -> Result<bool, TickError> {
        let mut place = None;
        if !job.claimed.complete || job.is_all_charged {
            return Ok(true);
        }
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_missed(&mut connection, job, place);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(false),
                Some(None) => break,
                Some(next) => place = next,
            }
        }
        Ok(true)
    }

    async fn write_missed(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        place: Option<Uuid>,
    ) -> sqlx::Result<Option<Option<Uuid>>> {
        let (charges, file) = (self.charges(&job.claimed.provider, Some(job.claimed.id)), job.charges_file());
        let mut transaction = begin_slice(connection).await?;
        charge_lines::lock(&mut transaction, &job.claimed.provider).await?;
        let look = Look { after: place, most: LOOK, found: ABSENT };
        let (found, next) = charges.absences(&mut transaction, file, None, look).await?;
        charges.miss(&mut transaction, file, found).await?;
        Ok(self.commit_charges(job, transaction).await?.then_some(next))
    }

    async fn commit_charges(
        &self,
        job: &Job,
        transaction: sqlx::Transaction<'_, sqlx::Postgres>,
    ) -> sqlx::Result<bool> {
        let counts = json!(job.counts);
        job.commit(transaction, &job.progress(Stage::Apply, job.claimed.position, &counts), self.now()).await
    }

    /// Judges open mismatches about charges again; how many there were.
    pub(super) async fn review_charges(&self) -> sqlx::Result<usize> {
        let mut seen = 0;
        let mut connection = self.context.cell.pool.acquire().await?;
        let due = timeout(WITHIN, mismatches::providers_with_charges_due(&mut connection, self.now())).await;
        for provider in conclude(connection, due)? {
            seen += self.review_charges_of(&provider).await?;
        }
        Ok(seen)
    }

    async fn review_charges_of(&self, provider: &str) -> sqlx::Result<usize> {
        let charges = self.charges(provider, None);
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = self.context.shell.faults.around(NAME, Step::Settle, write_review(&mut connection, &charges));
        let result = timeout(WITHIN, write).await;
        let mut seen = conclude(connection, result)?;
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.context.shell.faults.around(NAME, Step::Settle, write_due(&mut connection, &charges));
            let result = timeout(WITHIN, write).await;
            if !conclude(connection, result)? {
                return Ok(seen);
            }
            seen += 1;
        }
    }
}

async fn write_review(connection: &mut PgConnection, charges: &Charges) -> sqlx::Result<usize> {
    let (provider, now) = (&charges.provider, charges.rules.now);
    let mut transaction = connection.begin().await?;
    charge_lines::lock(&mut transaction, provider).await?;
    let due = mismatches::claim_charges(&mut transaction, provider, now, now + SELDOM, LOOK_AGAIN).await?;
    charges.review(&mut transaction, &due).await?;
    transaction.commit().await?;
    Ok(due.len())
}

/// Whether there were stale groups or settlements.
async fn write_due(connection: &mut PgConnection, charges: &Charges) -> sqlx::Result<bool> {
    let mut transaction = begin_slice(connection).await?;
    let judged = charges.judge_stale(&mut transaction, FEW_STALE).await?;
    transaction.commit().await?;
    Ok(judged > 0)
}

/// The rows of the next slice while no webhooks arrive. After a try without progress fewer: a large slice may take too long.
pub(super) const fn slice(job: &Job) -> usize {
    if job.claimed.claims > 1 { reading::SLICE } else { SLICE }
}

/// A slice of a charges file, with the classes of its rows.
pub(super) async fn classified(
    connection: &mut PgConnection,
    charges: &Charges,
    file: File,
    rows: Vec<(i64, Located<Row>)>,
) -> sqlx::Result<Stored> {
    let mut both = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    both.extend(rows.into_iter().filter_map(asked));
    let (places, incoming): (Vec<Place>, Vec<Incoming>) = both;
    let slice = charges.preview(connection, file, &incoming).await?;
    let cases = slice.rows.iter().filter(|it| it.is_case).count();
    let rows = places.into_iter().zip(incoming).zip(slice.rows).map(|((place, asked), it)| new_row(place, asked, it));
    Ok(Stored { rows: rows.collect(), reclassified: slice.conflicts, cases: i64::try_from(cases).unwrap_or_default() })
}

/// A row's place in its file, and its key.
struct Place {
    byte: u64,
    len: u64,
    key: String,
}

fn asked((n, located): (i64, Located<Row>)) -> Option<(Place, Incoming)> {
    let Located { line, byte, len, key, row: Row::Charge(row) } = located else { return None };
    let line = i64::try_from(line).unwrap_or(i64::MAX);
    Some((Place { byte, len, key }, Incoming { n, line, digest: digest(&row), row }))
}

fn digest(row: &ChargeRow) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(row).unwrap_or_default()).into()
}

fn new_row(place: Place, asked: Incoming, it: Previewed) -> NewRow {
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let Incoming { n, line, digest, row } = asked;
    NewRow {
        n,
        line,
        byte: number(place.byte),
        length: number(place.len),
        kind: Kind::Charges.as_str(),
        row_key: place.key,
        digest,
        theirs: text(&row),
        provider_reference: row.provider_reference,
        reference: row.reference,
        status: Some(row.line_type.to_string()),
        amount: Some(row.amount),
        currency: Some(row.currency),
        class: it.class.as_str(),
        rule: it.rule,
        opening_id: it.opening_id,
        ours: it.basis,
        found: false,
        redacted: false,
    }
}
