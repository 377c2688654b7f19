//! `--growth`: the same with more and more openings in the database, and more and more of them due at once.

use std::path::Path;
use std::process::Command;

use sqlx::PgConnection;

use crate::cell::Cell;
use crate::claims;
use crate::limit::Calls;
use crate::options::Options;
use crate::phase::Phase;
use crate::report::{Results, aligned};
use crate::rounds::at_once;
use crate::rows::Life;
use crate::setting::Setting;
use crate::stats::Figure;
use crate::world::World;

/// The disk space of a completed opening with its history and its fact, indexes, sorts and WAL included.
const BYTES_OF_COMPLETED: u64 = 3_200;

/// Runs it and prints it; whether all was as it must be.
///
/// # Errors
/// When the disk is too small for it.
pub async fn run(world: &World, options: &Options) -> Result<bool, String> {
    room(options.sizes.iter().sum::<u64>() * BYTES_OF_COMPLETED + claims::needed(options))?;
    let mut results = Results::default();
    applied(world, options, &mut results).await;
    println!("{}", results.table());
    println!("{}", ratios(&options.sizes, &results));
    claims::run(world, options).await;
    Ok(results.all_right())
}

/// Whether the disk has room.
///
/// # Errors
/// When it has not.
pub fn room(needed: u64) -> Result<(), String> {
    let folder = std::env::temp_dir();
    let Some(free) = free(&folder) else { return Ok(()) };
    let gb = |bytes: u64| bytes / 1_000_000_000 + 1;
    if free > needed {
        return Ok(());
    }
    let folder = folder.display();
    Err(format!("needs about {} GB in {folder}, where {} are free: give smaller --sizes", gb(needed), gb(free)))
}

/// Bytes. None: the system does not say.
fn free(folder: &Path) -> Option<u64> {
    let told = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    told.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

fn row(phase: Phase, size: u64) -> String {
    format!("{phase}, {size} openings")
}

/// The phases at each size, in turn.
async fn applied(world: &World, options: &Options, results: &mut Results) {
    let mut settings = Vec::new();
    for size in &options.sizes {
        eprintln!("filling a database with {size} openings");
        let mut cell = Cell::make(world, &format!("grown_{size}")).await;
        cell.fill_many(Life::Completed, *size).await;
        cell.settle().await;
        cell.warm().await;
        eprintln!("it takes {}", size_of(&mut cell.connection).await);
        let mut setting = Setting::start(world, cell, 1).await;
        setting.warm_up(results).await;
        settings.push((*size, setting));
    }
    for round in 1..=options.rounds {
        for (size, setting) in &mut settings {
            let phase = Phase::Limit(32);
            let calls = Calls { clients: 32, batch: None, rate: None };
            let outcome = setting.limit(calls, phase.openings(options.count)).await;
            results.add(round, &row(phase, *size), outcome);
            let phase = Phase::Ours(64);
            let outcome = setting.ours(&at_once(64), phase.openings(options.count)).await;
            results.add(round, &row(phase, *size), outcome);
            // Or autovacuum does it while another database is measured.
            setting.cell.settle().await;
        }
    }
    for (size, setting) in settings {
        let mut cell = setting.stop().await;
        let moved = "select exists (select from inbox_archive)";
        if sqlx::query_scalar(moved).fetch_one(&mut cell.connection).await.expect("Postgres answers") {
            results.judge(&format!("{size} openings"), &["facts were archived while it was measured".to_owned()]);
        }
    }
}

async fn size_of(connection: &mut PgConnection) -> String {
    let size = "select pg_size_pretty(pg_database_size(current_database()))";
    sqlx::query_scalar(size).fetch_one(connection).await.expect("Postgres answers")
}

/// How the figures change with the size.
fn ratios(sizes: &[u64], results: &Results) -> String {
    let Some(smallest) = sizes.iter().min() else { return String::new() };
    let median = |phase, size| results.spread(&row(phase, size), Figure::Applied).map(|it| it.median);
    let names = ["openings", "pg32 ÷ with the fewest", "ours64 applied/s ÷ with the fewest", "ours64 applied/s ÷ pg32"];
    let mut lines = vec![names.map(str::to_owned).to_vec()];
    for size in sizes {
        let cell =
            |one: Option<f64>, other: Option<f64>| one.zip(other).map_or("-".into(), |(a, b)| format!("{:.2}", a / b));
        let (limit, ours) = (median(Phase::Limit(32), *size), median(Phase::Ours(64), *size));
        lines.push(vec![
            size.to_string(),
            cell(limit, median(Phase::Limit(32), *smallest)),
            cell(ours, median(Phase::Ours(64), *smallest)),
            cell(ours, limit),
        ]);
    }
    aligned(&lines)
}
