//! Judges a report as a whole: whether it differs too much to be applied.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::read::CASES;
use super::{Job, LEASE, Reconciler, Went, end};
use crate::db::openings::{self, Absent, Period};
use crate::db::reports::{self, Stage};
use crate::db::{WITHIN, conclude, report_rows};
use crate::domain::{StateName, Status};
use crate::driver::TickError;
use crate::reconciliation::classify::{Act, Class, Finding, Suggestion};
use crate::reconciliation::resolve::{Found, Writer};
use crate::report_files::row::Kind;

/// So many rows may differ in any report.
const ALLOWED: i64 = 20;
/// From so many rows on, half of them must name something of ours.
const ENOUGH: i64 = 20;
/// The openings that one statement looks at for absences.
pub(super) const LOOK: i64 = 20_000;

impl Reconciler {
    pub(super) async fn judge(&self, job: &mut Job) -> Result<Went, TickError> {
        job.counts.remove(Class::MissingExternal.as_str());
        let mut absent = 0;
        let mut missing = 0;
        let (mut after, mut pace) = (None, self.pace().await?);
        while let Some((found, next)) = self.absences(job, after, pace.share_of(LOOK)).await? {
            self.give_way(&mut pace).await?;
            absent += i64::try_from(found.len()).unwrap_or_default();
            missing += i64::try_from(found.iter().filter(|it| is_a_case(it)).count()).unwrap_or_default();
            after = next;
            if after.is_none() {
                break;
            }
        }
        if absent > 0 {
            job.count(Class::MissingExternal, absent);
        }
        let Some(uncharged) = self.judge_charges(job).await? else { return Ok(Went::Later) };
        let Some(flawed) = self.judge_bank(job).await? else { return Ok(Went::Later) };
        missing += uncharged + flawed;
        let strangers = self.strangers(job).await?;
        match self.too_many(job, missing, strangers) {
            Some(why) if !job.claimed.released && !job.claimed.dry_run => self.hold(job, &why).await,
            _ => self.go_on(job).await,
        }
    }

    /// A look at the next `most` openings that the report should name. None: it says nothing about absences.
    pub(super) async fn absences(
        &self,
        job: &Job,
        after: Option<uuid::Uuid>,
        most: i64,
    ) -> sqlx::Result<Option<(Vec<Absent>, Option<uuid::Uuid>)>> {
        let it = &job.claimed;
        let (Some(from), Some(until)) = (it.period_from, it.period_until) else { return Ok(None) };
        let until = until - self.settings.window;
        if !it.complete || it.kind != Kind::Register.as_str() || until <= from {
            return Ok(None);
        }
        // An opening begins to wait while its submission is retried, or soon after.
        let made_before = self.context.policies.retry.retry_for + chrono::TimeDelta::days(1);
        let period = Period { from, until, made_before };
        let mut connection = self.context.cell.pool.acquire().await?;
        let look = openings::absent(&mut connection, &it.provider, it.id, period, after, most);
        let result = timeout(WITHIN, look).await;
        let found = conclude(connection, result)?;
        self.renew(job).await?;
        Ok(Some(found))
    }

    async fn strangers(&self, job: &Job) -> sqlx::Result<i64> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, report_rows::strangers(&mut connection, job.claimed.id)).await;
        conclude(connection, result)
    }

    fn too_many(&self, job: &Job, missing: i64, strangers: i64) -> Option<String> {
        let rows = job.claimed.rows;
        let share = self.settings.hold;
        if share >= Decimal::ONE_HUNDRED {
            return None;
        }
        let differing = job.counts.get(CASES).copied().unwrap_or_default() + missing;
        let allowed = (Decimal::from(rows) * share / Decimal::ONE_HUNDRED).max(Decimal::from(ALLOWED));
        if Decimal::from(differing) > allowed {
            return Some(format!("{differing} of {rows} rows differ; at most {} may", allowed.floor()));
        }
        (job.claimed.kind != Kind::Bank.as_str() && rows >= ENOUGH && strangers * 2 > rows)
            .then(|| format!("{strangers} of {rows} rows name nothing of ours"))
    }

    async fn hold(&self, job: &Job, why: &str) -> Result<Went, TickError> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, self.write_hold(&mut connection, job, why)).await;
        let ours = conclude(connection, result)?;
        tracing::warn!(report.id = %job.claimed.id, why, "a report is held until an operator releases or discards it");
        Ok(if ours { Went::Ended("held") } else { Went::Later })
    }

    async fn write_hold(&self, connection: &mut PgConnection, job: &Job, why: &str) -> sqlx::Result<bool> {
        let (claimed, now) = (&job.claimed, self.now());
        let finding = too_many(claimed.id, why);
        let found = Found { finding, line: 0, opening_id: None, market: None, provider_reference: None, row: None };
        let counts = json!(job.counts);
        let mut transaction = connection.begin().await?;
        Writer::of(&self.context.cell.effect_context, claimed, now).write(&mut transaction, vec![found]).await?;
        let progress = job.progress(Stage::Apply, 0, &counts);
        let ours = reports::checkpoint(&mut transaction, claimed.id, job.token, &progress, now + LEASE).await?
            && reports::hold(&mut transaction, claimed.id, job.token).await?;
        end(transaction, ours).await
    }

    /// A dry run ends here.
    async fn go_on(&self, job: &mut Job) -> Result<Went, TickError> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, self.write_judged(&mut connection, job)).await;
        let ours = conclude(connection, result)?;
        job.claimed.stage = Stage::Apply.to_string();
        job.claimed.position = 0;
        Ok(match (ours, job.claimed.dry_run) {
            (false, _) => Went::Later,
            (true, true) => Went::Ended("finished"),
            (true, false) => Went::On,
        })
    }

    async fn write_judged(&self, connection: &mut PgConnection, job: &Job) -> sqlx::Result<bool> {
        let counts = json!(job.counts);
        let now = self.now();
        let progress = job.progress(Stage::Apply, 0, &counts);
        let mut transaction = connection.begin().await?;
        let ours = reports::checkpoint(&mut transaction, job.claimed.id, job.token, &progress, now + LEASE).await?;
        if ours && job.claimed.dry_run {
            reports::finish(&mut transaction, job.claimed.id, job.token, now).await?;
        }
        end(transaction, ours).await
    }
}

fn is_a_case(absent: &Absent) -> bool {
    absent.state.parse().is_ok_and(|it: StateName| it.status() != Status::InProgress)
}

fn too_many(report: uuid::Uuid, why: &str) -> Finding {
    Finding {
        class: Class::TooManyDifferences,
        subject: report.to_string(),
        aspect: "report",
        act: Act::Case,
        ours: json!({}),
        theirs: json!({"report_id": report, "why": why}),
        differences: Vec::new(),
        suggested: Suggestion {
            class: Class::TooManyDifferences,
            because: vec![why.to_owned()],
            action: "check that it is the right file, then release or discard it".to_owned(),
        },
    }
}
