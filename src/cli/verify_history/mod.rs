//! `verify-history`: checks every history against its key, the table of transitions and its anchor, without trusting
//! the database.
//!
//! Findings and the summary go to standard output, everything else to standard error. An external database is only
//! read; a private cluster is started and migrated as usual. A file of heads appears only completely, and only if
//! nothing was found.

mod heads;
mod report;

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use uuid::Uuid;

use self::heads::{Export, Heads};
use self::report::Report;
use super::Misconfigured;
use crate::app::verify::Totals;
use crate::app::{Database, known_history_key, verify};
use crate::config::{self, RawHistory};
use crate::domain::chain::HistoryKey;
use crate::settings::{SettingError, invalid};
use private_postgres::Cluster;

/// Heads compared per query.
const HEADS_AT_ONCE: usize = 5_000;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawHistory,
    /// Verify only this opening's history
    #[arg(long, env, conflicts_with_all = ["heads", "export_heads"])]
    opening: Option<String>,
    /// Compare with this file from an earlier --export-heads; finds openings that were removed completely
    #[arg(long, env, value_name = "FILE")]
    heads: Option<String>,
    /// Write a line `opening_id,version,head` per history to this file, to be kept elsewhere; only if nothing is found
    #[arg(long, env, value_name = "FILE")]
    export_heads: Option<String>,
    /// Print each finding, and finally the summary, as one JSON object per line
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
}

const AFTER_HELP: &str = "Each finding is one line: opening, version and kind, which is edited, deleted, \
inserted, swapped, truncated, illegal_step, anchor_disagrees, no_anchor; with --heads also removed, head_gone, another_head. \
An attacker who controls the database can remove a whole opening, or reset one to an earlier version, without a trace: export \
the heads regularly, keep them where the database's owner cannot write, and compare with them.\n\nExit codes: 0 no findings, \
1 findings or failure, 2 wrong usage or configuration.";

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (settings, key) = arguments.settings.checked().map_err(Misconfigured::from)?;
    let opening = given(arguments.opening.as_ref()).map(one).transpose()?;
    let heads = given(arguments.heads.as_ref()).map(Heads::checked).transpose()?;
    let key = key_of(&settings, key.as_ref())?;
    must_have_a_database(&settings)?;
    let database = Database::open(&settings).await.map_err(super::refused)?;
    if let Some(totals) = verify::under_another_key(&database.pool, &key).await.context("reading the histories")? {
        database.close().await;
        return Err(other_key(&totals).into());
    }
    let mut report = Report::new(arguments.json);
    let export = given(arguments.export_heads.as_ref());
    let verified = verify(&database, &key, opening, heads, export, &mut report).await;
    database.close().await;
    verified?;
    report.finish()
}

async fn verify(
    database: &Database,
    key: &HistoryKey,
    only: Option<Uuid>,
    heads: Option<Heads>,
    export: Option<&Path>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut export = export.map(Export::begin).transpose()?;
    let totals = verify::histories(&database.pool, key, only, |so_far, verified| {
        report.progress(so_far);
        verified.findings.iter().for_each(|it| report.finding(it));
        match (&mut export, &verified.head) {
            (Some(export), Some(head)) => export.add(head),
            _ => Ok(()),
        }
    });
    let totals = totals.await.context("reading the histories")?;
    report.totals(totals);
    if let Some(heads) = heads {
        // Also for an empty file, so that the summary says that nothing was compared.
        report.compared(0);
        let mut lines = heads.lines()?.peekable();
        while lines.peek().is_some() {
            let some = lines.by_ref().take(HEADS_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
            let comparing = verify::heads(&database.pool, &some, |finding| report.finding(&finding));
            comparing.await.context("comparing the heads")?;
            report.compared(some.len());
        }
    }
    match export {
        // The old file is kept: it may be the only proof of the removed rows.
        Some(_) if report.findings() > 0 => {
            eprintln!("heads not exported because of the findings; an earlier file is unchanged");
            Ok(())
        }
        Some(export) => export.finish(),
        None => Ok(()),
    }
}

/// An empty option counts as unset.
fn given<'a, T: ?Sized + 'a>(text: Option<&'a String>) -> Option<&'a T>
where
    str: AsRef<T>,
{
    text.filter(|it| !it.trim().is_empty()).map(|it| it.as_str().as_ref())
}

fn one(id: &str) -> Result<Uuid, Misconfigured> {
    let wrong = |_| SettingError { name: "OPENING", problem: invalid(id), expected: "an opening's id".to_owned() };
    id.parse().map_err(|error| vec![wrong(error)].into())
}

/// Finds the key. Generates none: a new key would verify nothing.
fn key_of(settings: &config::Database, set: Option<&HistoryKey>) -> anyhow::Result<HistoryKey> {
    let missing = || {
        let expected = "the key that the histories were written with: base64 of 32 bytes".to_owned();
        let problem = format!("not set, and {} contains no history.key", settings.data_dir.display());
        Misconfigured::from(vec![SettingError { name: "HISTORY_KEY", problem, expected }])
    };
    let known = known_history_key(set, &settings.data_dir).map_err(super::refused_key)?;
    Ok(known.ok_or_else(missing)?)
}

/// If nothing verifies, the key is probably wrong: report that instead of a finding per history.
fn other_key(totals: &Totals) -> Misconfigured {
    let problem = format!("invalid value (not shown): none of the {} histories verifies with it", totals.openings);
    let expected = "the key that the histories were written with; if this is that key, every history was rewritten: \
                    compare with a backup of the database and with exported heads";
    vec![SettingError { name: "HISTORY_KEY", problem, expected: expected.to_owned() }].into()
}

/// Without a URL a private cluster must exist: a new, empty one would be reported as clean.
fn must_have_a_database(settings: &config::Database) -> Result<(), Misconfigured> {
    if settings.url.is_some() || Cluster::exists(&settings.data_dir) {
        return Ok(());
    }
    let problem = format!("not set, and {} contains no private cluster", settings.data_dir.display());
    let expected = "the database to verify, postgres://…".to_owned();
    Err(vec![SettingError { name: "DATABASE_URL", problem, expected }].into())
}
