//! How fast webhooks are acknowledged and applied, beside what Postgres alone can do with the same rows.
//!
//! `cargo bench --bench throughput` runs the release build as a process on a private Postgres. Rounds are interleaved: in each,
//! every phase completes fresh openings in its own way, `pgbench` with a function that does nothing but the row writes, and
//! signed webhooks over HTTP. It prints medians with least and most, and ends with 1 unless every acknowledged webhook was
//! applied exactly once. `-- --help` prints what else it can do.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]

mod cell;
mod check;
mod fill;
mod limit;
mod load;
mod numbers;
mod options;
mod phase;
mod report;
mod service;
mod stats;
mod usage;
mod watch;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

use self::cell::{Cell, World};
use self::options::Options;
use self::phase::{Phase, Setting};
use self::report::Results;
use self::service::Service;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> ExitCode {
    let world = World::start().await;
    let mut cell = Cell::make(&world, "bench").await;
    // Statistics and first pages: an empty table is planned for like none that is used.
    cell.fill(1_024).await;
    cell.settle().await;
    let service = Service::start(&cell.url, &world.simulator.base_url()).await;
    service.hold_cards().await;
    let postmaster = world.cluster.postmaster_pid();
    let mut setting = Setting { cell, services: vec![service], postmaster, pgbench: limit::pgbench(postmaster) };
    let phases = if options.only.is_empty() { Phase::ALL.to_vec() } else { options.only.clone() };
    let (mut results, mut failed) = (Results::default(), false);
    for round in 1..=options.rounds {
        for phase in &phases {
            let count = phase.count(options.count);
            let first = setting.cell.fill(count).await;
            let (figures, wrong) = setting.run(*phase, first, count).await;
            eprintln!("round {round}/{}: {phase}: {figures:.1?}", options.rounds);
            for wrong in &wrong {
                eprintln!("{phase}: {wrong}");
            }
            failed |= !wrong.is_empty();
            results.add(&phase.to_string(), figures);
        }
    }
    print!("{}", results.table());
    if failed {
        eprintln!("{}", setting.services[0].last_words());
    }
    for service in setting.services {
        service.stop().await;
    }
    world.stop().await;
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
