//! The worker's steps for bank statements: a slice is stored by what it names, the whole file judged, and its payments are booked.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::read::{CASES, Stored};
use super::{COMMIT_WITHIN, Job, NAME, Reconciler, Went};
use crate::db::bank_statements::{self, NewStatement};
use crate::db::report_rows::{self, NewRow, RowOfReport};
use crate::db::reports::Stage;
use crate::db::{WITHIN, bank_words, begin_slice, conclude, conclude_slice, openings, reports, settlements};
use crate::driver::TickError;
use crate::faults::Step;
use crate::reconciliation::bank::{Bank, Incoming, Mentioned, Previewed, Seen, shown};
use crate::reconciliation::classify::Class;
use crate::reconciliation::classify::bank::{Rules, names};
use crate::reconciliation::reading::SLICE;
use crate::reconciliation::text;
use crate::report_files::row::{BankRow, Kind, Located, Row, Statement};

/// The most settlements that are judged in one commit where no file is applied, or after a try without progress.
const FEW: i64 = 500;
/// How many slices of rows one commit marks the settlements of: the commit reads only the words of these rows.
const MARKED: i64 = 5;

impl Job {
    pub(super) fn is_of_bank(&self) -> bool {
        self.claimed.kind == Kind::Bank.as_str()
    }
}

impl Reconciler {
    /// `report`: the one that is applied.
    pub(super) fn bank(&self, provider: &str, report: Option<Uuid>) -> Bank {
        Bank {
            ids: self.context.shell.ids.clone(),
            sinks: self.context.cell.effect_context.sinks.clone(),
            provider: provider.to_owned(),
            window: self.settings.settlement_window,
            now: self.now(),
            report,
        }
    }

    /// Gives the rows that name settlements the class that the whole file gives them, and counts the statements that do not add up
    /// or follow on. Returns how many of those there are. None: another replica has the report.
    pub(super) async fn judge_bank(&self, job: &mut Job) -> Result<Option<i64>, TickError> {
        if !job.is_of_bank() {
            return Ok(Some(0));
        }
        let bank = self.bank(&job.claimed.provider, Some(job.claimed.id));
        let mut connection = self.context.cell.pool.acquire().await?;
        let look = async {
            let (seen, flawed) = bank.foresee(&mut connection, job.claimed.id).await?;
            let rules = bank.rules(&mut connection, &seen).await?;
            Ok::<_, sqlx::Error>((seen, flawed, rules))
        };
        let result = timeout(WITHIN, look).await;
        let (seen, flawed, rules) = conclude(connection, result)?;
        let Some(told) = self.judge_named(job, (&seen, rules)).await? else { return Ok(None) };
        for class in [Class::BalanceMismatch, Class::StatementGap] {
            let of_class = flawed.iter().filter(|(_, judged)| judged.outcome.class() == Some(class));
            let untold = of_class.filter(|(held, _)| !told.contains(&held.n)).count();
            let mut connection = self.context.cell.pool.acquire().await?;
            let count = report_rows::count_of_class(&mut connection, job.claimed.id, class.as_str());
            let result = timeout(WITHIN, count).await;
            let count = conclude(connection, result)? + i64::try_from(untold).unwrap_or_default();
            job.counts.remove(class.as_str());
            if count > 0 {
                job.count(class, count);
            }
        }
        Ok(Some(i64::try_from(flawed.len()).unwrap_or_default()))
    }

    /// Judges the rows that name settlements. Returns the numbers of the statements that do not count, as far as their rows show it.
    /// None: another replica has the report.
    async fn judge_named(&self, job: &mut Job, by: (&Seen, Rules)) -> Result<Option<HashSet<i64>>, TickError> {
        let (mut after, mut told, mut pace) = (0, HashSet::new(), self.pace().await?);
        loop {
            let most = limit(pace.rows(SLICE));
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_named(&mut connection, job, by, (after, most), &mut told);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(None),
                Some((rows, _)) if rows < most => return Ok(Some(told)),
                Some((_, last)) => after = last,
            }
            self.give_way(&mut pace).await?;
        }
    }

    /// How many rows there were, and the number of the last. None: another replica has the report.
    async fn write_named(
        &self,
        connection: &mut PgConnection,
        job: &mut Job,
        (seen, rules): (&Seen, Rules),
        (after, most): (i64, i64),
        told: &mut HashSet<i64>,
    ) -> sqlx::Result<Option<(i64, i64)>> {
        let mut transaction = begin_slice(connection).await?;
        let rows = report_rows::naming(&mut transaction, job.claimed.id, after, most).await?;
        let Some(last) = rows.last().map(|it| it.n) else {
            transaction.rollback().await?;
            return Ok(Some((0, after)));
        };
        let bank = self.bank(&job.claimed.provider, Some(job.claimed.id));
        let previewed = bank.preview_named(&mut transaction, (seen, rules), &rows).await?;
        told.extend(shown(&rows, &previewed));
        job.recount(&rows, &previewed);
        let judged = |it: &Previewed| report_rows::Judged {
            n: it.n,
            class: it.class.as_str(),
            rule: it.rule,
            ours: text(&it.basis),
        };
        let judged: Vec<report_rows::Judged> = previewed.iter().map(judged).collect();
        report_rows::judge(&mut transaction, job.claimed.id, &judged).await?;
        let counts = json!(job.counts);
        let progress = job.progress(Stage::Judge, job.claimed.position, &counts);
        Ok(job.commit(transaction, &progress, self.now()).await?.then_some((limit(rows.len()), last)))
    }

    /// Decides the statements, marks the settlements that the rows name, and judges all that are marked.
    pub(super) async fn apply_bank(&self, job: &mut Job) -> Result<Went, TickError> {
        let mut after = String::new();
        loop {
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_statements(&mut connection, job, &after);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(Went::Later),
                Some(None) => break,
                Some(Some(next)) => after = next,
            }
        }
        let mut pace = self.pace().await?;
        loop {
            if self.stop.is_cancelled() {
                return Ok(Went::Later);
            }
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_marks(&mut connection, job, MARKED * limit(pace.rows(SLICE)));
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(Went::Later),
                Some(false) => break,
                Some(true) => self.give_way(&mut pace).await?,
            }
        }
        if !self.judge_settlements(job).await? {
            return Ok(Went::Later);
        }
        self.finish(job).await
    }

    async fn write_statements(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        place: &str,
    ) -> sqlx::Result<Option<Option<String>>> {
        let mut transaction = begin_slice(connection).await?;
        let next = self
            .bank(&job.claimed.provider, Some(job.claimed.id))
            .decide(&mut transaction, job.claimed.id, place)
            .await?;
        Ok(self.commit_applied(job, transaction, job.claimed.position).await?.then_some(next))
    }

    /// Whether there are more rows. None: another replica has the report.
    async fn write_marks(&self, connection: &mut PgConnection, job: &mut Job, most: i64) -> sqlx::Result<Option<bool>> {
        let (after, last) = (job.claimed.position, job.claimed.rows - job.claimed.bad_rows);
        let until = last.min(after + most);
        let mut transaction = begin_slice(connection).await?;
        if until > after {
            let bank = self.bank(&job.claimed.provider, Some(job.claimed.id));
            bank.mark(&mut transaction, job.claimed.id, (after, until)).await?;
        }
        if until >= last && job.claimed.complete {
            settlements::mark_open(&mut transaction, &job.claimed.provider).await?;
        }
        if !self.commit_applied(job, transaction, until.max(after)).await? {
            return Ok(None);
        }
        job.claimed.position = until.max(after);
        Ok(Some(until < last))
    }

    /// Judges the settlements that are marked, those that charges have changed too. False: another replica has the report.
    pub(super) async fn judge_settlements(&self, job: &Job) -> Result<bool, TickError> {
        let (rules, mut pace) = (self.rules(&job.claimed.provider).await?, self.pace().await?);
        loop {
            let most = if job.claimed.claims > 1 { FEW } else { limit(pace.rows(SLICE)) };
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_settlements(&mut connection, job, (rules, most));
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            match conclude_slice(connection, result)? {
                None => return Ok(false),
                Some(judged) if judged < most => return Ok(true),
                Some(_) => self.give_way(&mut pace).await?,
            }
        }
    }

    /// The rules by the reports that count now.
    async fn rules(&self, provider: &str) -> sqlx::Result<Rules> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let bank = self.bank(provider, None);
        let result = timeout(WITHIN, bank.rules(&mut connection, &Seen::default())).await;
        conclude(connection, result)
    }

    async fn write_settlements(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        (rules, most): (Rules, i64),
    ) -> sqlx::Result<Option<i64>> {
        let mut transaction = begin_slice(connection).await?;
        let bank = self.bank(&job.claimed.provider, Some(job.claimed.id));
        let judged = bank.judge_due(&mut transaction, rules, most).await?;
        Ok(self.commit_applied(job, transaction, job.claimed.position).await?.then_some(judged))
    }

    async fn commit_applied(
        &self,
        job: &Job,
        transaction: sqlx::Transaction<'_, sqlx::Postgres>,
        position: i64,
    ) -> sqlx::Result<bool> {
        let counts = json!(job.counts);
        job.commit(transaction, &job.progress(Stage::Apply, position, &counts), self.now()).await
    }

    /// Judges settlements past their window; returns the number of batches.
    pub(super) async fn review_settlements(&self) -> sqlx::Result<usize> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, settlements::providers_due(&mut connection, self.now())).await;
        let mut seen = 0;
        for provider in conclude(connection, result)? {
            let rules = self.rules(&provider).await?;
            let mut connection = self.context.cell.pool.acquire().await?;
            let write = self.write_review_of(&mut connection, &provider, rules);
            let result = timeout(COMMIT_WITHIN, self.context.shell.faults.around(NAME, Step::Settle, write)).await;
            seen += usize::from(conclude_slice(connection, result)?);
        }
        Ok(seen)
    }

    async fn write_review_of(&self, connection: &mut PgConnection, provider: &str, rules: Rules) -> sqlx::Result<bool> {
        let mut transaction = connection.begin().await?;
        let judged = self.bank(provider, None).judge_due(&mut transaction, rules, FEW).await?;
        transaction.commit().await?;
        Ok(judged > 0)
    }
}

impl Job {
    /// Counts rows under their new classes.
    fn recount(&mut self, rows: &[RowOfReport], previewed: &[Previewed]) {
        let by_number: HashMap<i64, &RowOfReport> = rows.iter().map(|row| (row.n, row)).collect();
        for it in previewed {
            let Some(was) = by_number.get(&it.n) else { continue };
            *self.counts.entry(was.class.clone()).or_default() -= 1;
            self.count(it.class, 1);
            let was_case = was.class == Class::BankMismatch.as_str();
            *self.counts.entry(CASES.to_owned()).or_default() += i64::from(it.is_case) - i64::from(was_case);
        }
        self.counts.retain(|name, count| *count != 0 || name == CASES);
    }
}

/// A slice of a bank report: its statements and words are stored, and its rows classified by what they name.
pub(super) async fn classified(
    connection: &mut PgConnection,
    bank: &Bank,
    report: Uuid,
    rows: &[(i64, Located<Row>)],
    statements: &[Statement],
) -> sqlx::Result<Stored> {
    let statements: Vec<NewStatement> = statements.iter().map(new_statement).collect();
    bank_statements::insert(connection, report, &bank.provider, &statements).await?;
    let incoming = |(n, located): &(i64, Located<Row>)| {
        let Row::Bank(row) = &located.row else { return None };
        Some(Incoming { n: *n, key: located.key.clone(), digest: digest(row), row: row.clone() })
    };
    let incoming: Vec<Incoming> = rows.iter().filter_map(incoming).collect();
    let words: Vec<(i64, &str)> =
        incoming.iter().flat_map(|it| names::words(&it.row.references).into_iter().map(|word| (it.n, word))).collect();
    let known = bank_words::insert(connection, report, &bank.provider, &words).await?;
    let previewed = bank.preview(connection, report, &incoming, &known).await?;
    let located = rows.iter().filter(|(_, it)| matches!(it.row, Row::Bank(_)));
    let rows =
        located.zip(incoming).zip(previewed).map(|(((_, located), it), previewed)| new_row(located, it, previewed));
    Ok(Stored { rows: rows.collect(), reclassified: Vec::new(), cases: 0 })
}

/// Erases the rows of a slice that mention openings which are erased already.
pub(super) async fn erase_late<'a>(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    rows: &'a [(i64, Located<Row>)],
) -> sqlx::Result<()> {
    let of_bank = |(_, located): &'a (i64, Located<Row>)| match &located.row {
        Row::Bank(row) => Some(row),
        _ => None,
    };
    let mentioned = Mentioned::of(rows.iter().filter_map(of_bank));
    let erased = openings::erased(connection, provider, &mentioned.references, &mentioned.ids).await?;
    if erased.is_empty() {
        return Ok(());
    }
    let erased = openings::read(connection, &erased).await?;
    reports::erase_read_late(connection, report, &erased).await
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(FEW)
}

fn digest(row: &BankRow) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(&row.entry()).unwrap_or_default()).into()
}

fn new_statement(statement: &Statement) -> NewStatement {
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    NewStatement {
        n: number(statement.number_in_file),
        account_key: statement.account_key.clone(),
        line: number(statement.line),
        content: serde_json::to_value(statement).unwrap_or(Value::Null),
    }
}

fn new_row(located: &Located<Row>, it: Incoming, previewed: Previewed) -> NewRow {
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    NewRow {
        n: it.n,
        line: number(located.line),
        byte: number(located.byte),
        length: number(located.len),
        kind: Kind::Bank.as_str(),
        row_key: it.key,
        digest: it.digest,
        provider_reference: it.row.servicer_reference.clone(),
        reference: previewed.settlement,
        status: None,
        amount: Some(it.row.amount),
        currency: Some(it.row.currency.clone()),
        class: previewed.class.as_str(),
        rule: previewed.rule,
        opening_id: None,
        theirs: text(&it.row),
        ours: None,
        found: false,
        redacted: false,
    }
}
