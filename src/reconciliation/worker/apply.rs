//! Applies what a report says, in commits of 1,000 findings. Rows are compared anew: our side may have moved since they were read,
//! or while the report was held.

use serde_json::json;
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

use super::judge::LOOK;
use super::{COMMIT_WITHIN, Job, NAME, Reconciled, Reconciler, Went, end};
use crate::db::openings::Absent;
use crate::db::report_rows::{self, Row as Stored};
use crate::db::reports::{self, Stage};
use crate::db::{WITHIN, begin_slice, conclude, conclude_slice, inbox, mismatches};
use crate::driver::TickError;
use crate::faults::Step;
use crate::reconciliation::classify::Class;
use crate::reconciliation::classify::register::{absent, conflicting};
use crate::reconciliation::events;
use crate::reconciliation::matching::register::{Asked, Ends, File, compare};
use crate::reconciliation::resolve::{Found, RECONCILIATION, Writer};
use crate::report_files::row::{Kind, RegisterRow};

/// The most rows that are applied in one commit.
const BATCH: i64 = 1_000;

impl Reconciler {
    pub(super) async fn apply(&self, job: &mut Job, done: &mut Reconciled) -> Result<Went, TickError> {
        let mut pace = self.pace().await?;
        loop {
            if self.stop.is_cancelled() || self.inbox_is_full().await? {
                return Ok(Went::Later);
            }
            let Some((rows, facts)) = self.apply_batch(job).await? else { return Ok(Went::Later) };
            done.facts += facts;
            self.context.cell.wakers.inbox.notify_one();
            if rows < BATCH {
                break;
            }
            self.give_way(&mut pace).await?;
        }
        if !self.apply_absences(job, done).await? {
            return Ok(Went::Later);
        }
        self.finish(job).await
    }

    async fn inbox_is_full(&self) -> sqlx::Result<bool> {
        let bound = self.context.policies.max_waiting;
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, inbox::due(&mut connection, self.now(), bound)).await;
        Ok(conclude(connection, result)? >= bound)
    }

    /// How many rows were looked at, and how many facts were new. None: another replica has the report.
    async fn apply_batch(&self, job: &mut Job) -> sqlx::Result<Option<(i64, usize)>> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let write = self.context.shell.faults.around(NAME, Step::Settle, self.write_batch(&mut connection, job));
        let result = timeout(WITHIN, write).await;
        conclude(connection, result)
    }

    async fn write_batch(&self, connection: &mut PgConnection, job: &mut Job) -> sqlx::Result<Option<(i64, usize)>> {
        let now = self.now();
        let mut transaction = begin_slice(connection).await?;
        let rows = report_rows::to_apply(&mut transaction, job.claimed.id, job.claimed.position, BATCH).await?;
        let Some(position) = rows.last().map(|it| it.n) else {
            transaction.rollback().await?;
            return Ok(Some((0, 0)));
        };
        let found = found(&mut transaction, &job.file(self.settings.window), &rows).await?;
        let facts =
            Writer::of(&self.context.cell.effect_context, &job.claimed, now).write(&mut transaction, found).await?;
        let counts = json!(job.counts);
        if !job.commit(transaction, &job.progress(Stage::Apply, position, &counts), now).await? {
            return Ok(None);
        }
        job.claimed.position = position;
        Ok(Some((i64::try_from(rows.len()).unwrap_or(i64::MAX), facts)))
    }

    /// The judgement that found no absence is not repeated: a period that is over gets no more openings.
    async fn apply_absences(&self, job: &Job, done: &mut Reconciled) -> Result<bool, TickError> {
        if !job.counts.contains_key(Class::MissingExternal.as_str()) {
            return Ok(true);
        }
        let mut place = None;
        while let Some((found, next)) = self.absences(job, place, LOOK).await? {
            for batch in found.chunks(usize::try_from(BATCH).unwrap_or(1)) {
                let mut connection = self.context.cell.pool.acquire().await?;
                let write = self.write_absences(&mut connection, job, batch);
                let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
                let Some(facts) = conclude_slice(connection, result)? else { return Ok(false) };
                done.facts += facts;
                self.context.cell.wakers.inbox.notify_one();
            }
            place = next;
            if place.is_none() {
                break;
            }
        }
        Ok(true)
    }

    async fn write_absences(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        batch: &[Absent],
    ) -> sqlx::Result<Option<usize>> {
        let (claimed, now) = (&job.claimed, self.now());
        let ids: Vec<Uuid> = batch.iter().map(|it| it.id).collect();
        let mut transaction = begin_slice(connection).await?;
        let again = mismatches::missed_before(&mut transaction, &claimed.provider, claimed.id, &ids).await?;
        let found = batch.iter().filter_map(|it| missing(it, again.contains(&it.id))).collect();
        let facts = Writer::of(&self.context.cell.effect_context, claimed, now).write(&mut transaction, found).await?;
        let counts = json!(job.counts);
        let ours = job.commit(transaction, &job.progress(Stage::Apply, claimed.position, &counts), now).await?;
        Ok(ours.then_some(facts))
    }

    /// The open mismatches that the report speaks of are due for a look, and the report is finished, in one commit.
    pub(super) async fn finish(&self, job: &Job) -> Result<Went, TickError> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, self.write_finish(&mut connection, job)).await;
        Ok(if conclude(connection, result)? { Went::Ended("finished") } else { Went::Later })
    }

    async fn write_finish(&self, connection: &mut PgConnection, job: &Job) -> sqlx::Result<bool> {
        let (claimed, now) = (&job.claimed, self.now());
        let mut transaction = begin_slice(connection).await?;
        if claimed.kind == Kind::Register.as_str() {
            mismatches::renew_evidence(&mut transaction, &claimed.provider, claimed.id, now).await?;
            // The replaced report may finish last: it was held, or the inbox was full.
            for report in reports::replacing(&mut transaction, claimed.id).await? {
                mismatches::supersede(&mut transaction, report, RECONCILIATION, now).await?;
            }
        }
        let ours = reports::finish(&mut transaction, claimed.id, job.token, now).await?;
        if ours {
            let sinks = &self.context.cell.effect_context.sinks;
            events::report_finished(&mut transaction, sinks, claimed.id, now).await?;
        }
        end(transaction, ours).await
    }
}

async fn found(connection: &mut PgConnection, file: &File<'_>, stored: &[Stored]) -> sqlx::Result<Vec<Found>> {
    let parsed: Vec<(&Stored, RegisterRow)> =
        stored.iter().filter_map(|it| Some((it, serde_json::from_value(it.theirs.clone()).ok()?))).collect();
    let asked: Vec<Asked<'_>> =
        parsed.iter().map(|(it, row)| Asked { n: it.n, digest: digest(it), key: &it.row_key, row }).collect();
    let slice = compare(connection, file, &asked, Ends::All).await?;
    let mut found = Vec::new();
    for ((stored, row), compared) in parsed.iter().zip(slice.rows) {
        let opening = compared.ours.opening().cloned();
        let findings = if stored.class == Class::ConflictingRows.as_str() {
            vec![conflicting(row)]
        } else {
            compared.classified.findings
        };
        found.extend(findings.into_iter().map(|finding| Found {
            finding,
            line: stored.line,
            opening_id: opening.as_ref().map(|it| it.id),
            market: opening.as_ref().map(|it| it.market.clone()).or_else(|| row.market.clone()),
            provider_reference: Some(row.provider_reference.clone()),
            row: Some(row.clone()),
        }));
    }
    Ok(found)
}

fn digest(stored: &Stored) -> [u8; 32] {
    stored.digest.as_slice().try_into().unwrap_or_default()
}

fn missing(it: &Absent, again: bool) -> Option<Found> {
    Some(Found {
        finding: absent(it.id, it.state.parse().ok()?, &it.provider_ref, again),
        line: 0,
        opening_id: Some(it.id),
        market: Some(it.market.clone()),
        provider_reference: Some(it.provider_ref.clone()),
        row: None,
    })
}
