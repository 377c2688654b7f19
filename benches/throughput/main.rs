//! How fast webhooks are acknowledged and applied, beside what Postgres alone can do with the same rows.
//!
//! `cargo bench --bench throughput` runs the release build as a process on a private Postgres. Rounds are interleaved: in each,
//! every phase completes fresh openings in its own way, `pgbench` with a function that does nothing but the row writes, and
//! signed webhooks over HTTP. It prints medians with least and most, and ends with 1 unless every acknowledged webhook was
//! applied exactly once. `-- --help` prints what else it can do.
//!
//! ```text
//! options.rs   the command line                      rounds.rs    the plain run: every phase in turn
//! world.rs     the cluster, the simulated world      growth.rs    --growth; claims.rs  --claims
//! cell.rs      a database                            replicas.rs  --replicas
//! service.rs   the service as a process              soak.rs      --soak; against.rs  --against, --with
//! numbers.rs   what is known of opening number n     setting.rs   one phase, and what it took
//! rows.rs      its rows; fill.rs writes them         openings.rs  the phase from start to card
//! webhooks.rs  its webhook                           limit.rs     pgbench, with limit.sql
//! load.rs      sends requests, over connection.rs    check.rs     applied exactly once?
//! flood.rs     very many about one opening
//! watch.rs     from the ack to the opening           usage.rs     processor, memory, disk
//! stats.rs     percentiles, medians                  report.rs    tables, with targets.rs
//! ```

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]

mod against;
mod cell;
mod check;
mod claims;
mod connection;
mod fill;
mod flood;
mod growth;
mod limit;
mod load;
mod numbers;
mod openings;
mod options;
mod phase;
mod replicas;
mod report;
mod rounds;
mod rows;
mod service;
mod setting;
mod soak;
mod stats;
mod targets;
mod usage;
mod watch;
mod webhooks;
mod world;

use std::process::ExitCode;

use clap::Parser;

use self::options::Options;
use self::world::World;

fn main() -> ExitCode {
    // Cargo says that it is a bench.
    let options = Options::parse_from(std::env::args().filter(|it| it != "--bench"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Whether all was as it must be.
async fn run(options: &Options) -> Result<bool, String> {
    let world = World::start(&options.postgres).await?;
    println!("{}", world.machine().await);
    let right = if options.growth {
        growth::run(&world, options).await?
    } else if options.claims {
        growth::room(claims::needed(options))?;
        claims::run(&world, options).await;
        true
    } else if options.replicas {
        replicas::run(&world, options).await
    } else if let Some(other) = options.other() {
        against::run(&world, options, other).await?
    } else if options.soak {
        soak::run(&world, options).await
    } else {
        rounds::run(&world, options).await
    };
    world.stop().await;
    Ok(right)
}
