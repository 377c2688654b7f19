//! `verify-history`: every history against its key, its table of steps and its anchor, whatever the database says of itself.
//!
//! Findings and the summary go to standard output, everything else to standard error. A database that was given is only read (a
//! private cluster is started and migrated, as whenever it is opened); a file of heads appears whole, and only where nothing
//! was found, or not at all.

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
use crate::config::{self, RawHistory, SettingError};
use crate::domain::chain::HistoryKey;
use private_postgres::Cluster;

/// Heads that are compared at once.
const HEADS_AT_ONCE: usize = 5_000;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawHistory,
    /// Only this opening's history
    #[arg(long, env, conflicts_with_all = ["heads", "export_heads"])]
    opening: Option<String>,
    /// Compare to this file, which --export-heads wrote earlier: finds whole openings that were removed
    #[arg(long, env, value_name = "FILE")]
    heads: Option<String>,
    /// Write a line `opening_id,version,head` for each history to this file, to be kept elsewhere; only if nothing is found
    #[arg(long, env, value_name = "FILE")]
    export_heads: Option<String>,
    /// Print each finding, and at last the summary, as one JSON object in a line
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
}

const AFTER_HELP: &str = "Each finding is a line that says which opening, which version, and what: edited, deleted, \
inserted, swapped, truncated, illegal_step, anchor_disagrees, no_anchor; with --heads also removed, head_gone, another_head. \
Whoever holds the database can remove a whole opening, or set one back to an earlier version, without a trace in it: export \
the heads regularly, keep them where the database's owner cannot write, and compare.\n\nExit codes: 0 nothing found, \
1 something found, or the work failed, 2 wrong usage or configuration.";

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
        // Also of a file without a line, so that the summary says that nothing was compared.
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
        // Dropped: what stands there may be the only proof of what is gone.
        Some(_) if report.findings() > 0 => {
            eprintln!("the heads were not exported, since something was found; an earlier file is as it was");
            Ok(())
        }
        Some(export) => export.finish(),
        None => Ok(()),
    }
}

/// An option that was set to nothing is not set.
fn given<'a, T: ?Sized + 'a>(text: Option<&'a String>) -> Option<&'a T>
where
    str: AsRef<T>,
{
    text.filter(|it| !it.trim().is_empty()).map(|it| it.as_str().as_ref())
}

fn one(id: &str) -> Result<Uuid, Misconfigured> {
    let wrong = |_| SettingError { name: "OPENING", held: format!("held {id:?}"), takes: "an opening's id".to_owned() };
    id.parse().map_err(|error| vec![wrong(error)].into())
}

/// The key. None is made: one that was made now would verify nothing.
fn key_of(settings: &config::Database, set: Option<&HistoryKey>) -> anyhow::Result<HistoryKey> {
    let missing = || {
        let takes = "the key that the histories were written with: base64 of 32 bytes".to_owned();
        let held = format!("is not set, and {} holds no history.key", settings.data_dir.display());
        Misconfigured::from(vec![SettingError { name: "HISTORY_KEY", held, takes }])
    };
    let known = known_history_key(set, &settings.data_dir).map_err(super::refused_key)?;
    Ok(known.ok_or_else(missing)?)
}

/// A key under which nothing verifies is hardly the one that the histories were written with: it is told as that, and not as
/// an edit of each of them.
fn other_key(totals: &Totals) -> Misconfigured {
    let held = format!("held a value (not shown) under which none of the {} histories verifies", totals.openings);
    let takes = "the key that they were written with; should it be that key, then every history was rewritten: compare to \
                 a copy of the database and to exported heads";
    vec![SettingError { name: "HISTORY_KEY", held, takes: takes.to_owned() }].into()
}

/// Without a URL there must be a private cluster: an empty one, made for the occasion, would be found clean.
fn must_have_a_database(settings: &config::Database) -> Result<(), Misconfigured> {
    if settings.url.is_some() || Cluster::exists(&settings.data_dir) {
        return Ok(());
    }
    let held = format!("is not set, and {} holds no private cluster", settings.data_dir.display());
    let takes = "the database to verify, postgres://…".to_owned();
    Err(vec![SettingError { name: "DATABASE_URL", held, takes }].into())
}
