//! `--replicas`: one, two and four services on one database, the load spread over them.

use crate::cell::Cell;
use crate::options::Options;
use crate::phase::Phase;
use crate::report::Results;
use crate::rounds::at_once;
use crate::setting::Setting;
use crate::world::World;

const REPLICAS: [usize; 3] = [1, 2, 4];
const CONNECTIONS: usize = 64;

/// Runs it and prints it; whether all was as it must be.
pub async fn run(world: &World, options: &Options) -> bool {
    let mut cell = Cell::make(world, "replicas").await;
    let mut results = Results::default();
    for round in 1..=options.rounds {
        for replicas in REPLICAS {
            let mut setting = Setting::start(world, cell, replicas).await;
            setting.warm_up(&mut results).await;
            let count = Phase::Ours(CONNECTIONS).openings(options.count);
            let outcome = setting.ours(&at_once(CONNECTIONS), count).await;
            results.add(round, &format!("{replicas} services"), outcome);
            cell = setting.stop().await;
        }
    }
    println!(
        "{}The load has {CONNECTIONS} connections in all. CPU and memory are those of all services.",
        results.table()
    );
    results.all_right()
}
