//! Measures how fast the service reads registers, and how webhooks fare beside them.
//!
//! `cargo bench --bench reconciliation` runs the release build as a process on a private Postgres with a million openings. It
//! uploads registers of 50,000 rows and one of a million, tells the time from the 202 to `finished`, the memory beyond idle and
//! the statements per slice; then it sends signed webhooks with and without a million rows being read beside them. It ends with 1
//! unless every report finished with the counts that its making implies, and every acknowledged webhook was applied exactly once.
//!
//! ```text
//! register.rs   a register as bytes            reports.rs   uploads it, waits for its end
//! statements.rs counts statements              the rest     is shared with the bench `throughput`
//! ```

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]
#![allow(dead_code, reason = "the modules of `throughput` do more than is needed here")]

#[path = "../throughput/cell.rs"]
mod cell;
#[path = "../throughput/check.rs"]
mod check;
#[path = "../throughput/connection.rs"]
mod connection;
#[path = "../throughput/fill.rs"]
mod fill;
#[path = "../throughput/limit.rs"]
mod limit;
#[path = "../throughput/load.rs"]
mod load;
#[path = "../throughput/numbers.rs"]
mod numbers;
mod register;
#[path = "../throughput/report.rs"]
mod report;
mod reports;
#[path = "../throughput/rows.rs"]
mod rows;
#[path = "../throughput/service.rs"]
mod service;
#[path = "../throughput/setting.rs"]
mod setting;
mod statements;
#[path = "../throughput/stats.rs"]
mod stats;
#[path = "../throughput/usage.rs"]
mod usage;
#[path = "../throughput/watch.rs"]
mod watch;
#[path = "../throughput/webhooks.rs"]
mod webhooks;
#[path = "../throughput/world.rs"]
mod world;

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::cell::Cell;
use self::register::Register;
use self::report::{Results, aligned};
use self::reports::{Read, Reports};
use self::rows::Life;
use self::setting::{Setting, Way};
use self::stats::{Figure, Spread};
use self::world::World;

/// Measures how fast the service reads registers, and how webhooks fare beside them
#[derive(Clone, Debug, Parser)]
#[command(name = "reconciliation", bin_name = "cargo bench --bench reconciliation --")]
struct Options {
    /// How often each measurement is made
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Completed openings in the database, and rows of the long register
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
    openings: u64,
    /// Webhooks in each of the two loads at 64 connections
    #[arg(long, default_value_t = 40_000)]
    count: u64,
}

/// Rows of the short register; one in a hundred is about an opening that still waits.
const ROWS: u64 = 50_000;
const MISSED: u64 = ROWS / 100;
const AT_ONCE: Way = Way { connections: 64, beat: None, watched: 64 };
/// 200 a second, for 30 seconds.
const STEADY: Way = Way { connections: 16, beat: Some(Duration::from_millis(5)), watched: 16 };
const STEADY_COUNT: u64 = 6_000;

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
    let world = World::start(&statements::settings()).await?;
    println!("{}", world.machine().await);
    eprintln!("filling a database with {} openings", options.openings);
    let mut cell = Cell::make(&world, "reconciliation").await;
    cell.fill_many(Life::Completed, options.openings).await;
    cell.settle().await;
    let counted = statements::install(&mut cell.connection).await;
    let mut bench = Bench {
        setting: Setting::start(&world, cell, 1).await,
        options: options.clone(),
        results: Results::default(),
        registers: Vec::new(),
        made: 0,
    };
    bench.setting.warm_up(&mut bench.results).await;
    bench.short().await;
    bench.long(counted).await;
    bench.beside().await;
    let right = bench.print();
    bench.setting.stop().await;
    world.stop().await;
    Ok(right)
}

struct Bench<'a> {
    setting: Setting<'a>,
    options: Options,
    results: Results,
    /// Name, seconds until finished, megabytes beyond idle.
    registers: Vec<(String, Read)>,
    /// Registers that were made: no two have the same bytes.
    made: u64,
}

impl Bench<'_> {
    fn reports(&self) -> Reports {
        Reports::of(&self.setting.services[0])
    }

    /// Of completed openings, and of others that wait although the bank has answered.
    fn register(&mut self, rows: Range<u64>, waiting: Range<u64>) -> Register {
        self.made += 1;
        Register { rows, waiting, as_of_second: self.made }
    }

    async fn read(&mut self, name: &str, register: &Register) {
        let read = self.reports().read(register).await;
        eprintln!("{name}: {:.2} s, {:.0} MB beyond idle", read.took.as_secs_f64(), read.memory);
        let wrong = read.wrong(register);
        self.results.judge(name, &wrong);
        self.registers.push((name.to_owned(), read));
    }

    async fn short(&mut self) {
        for round in 0..u64::from(self.options.rounds) {
            let first = 1 + round * ROWS % (self.options.openings - ROWS);
            let waiting = self.setting.fresh(MISSED).await;
            let register = self.register(first..first + ROWS - MISSED, waiting..waiting + MISSED);
            self.read("50,000 rows", &register).await;
            self.setting.cell.drained().await;
        }
    }

    /// A million rows; the statements that it took per slice of 10,000.
    async fn long(&mut self, counted: bool) {
        let register = self.register(1..self.options.openings + 1, 0..0);
        let connection = &mut self.setting.cell.connection;
        if counted {
            statements::forget(connection).await;
        }
        self.read("all openings", &register).await;
        if counted {
            let slices = self.options.openings.div_ceil(statements::SLICE);
            let told = statements::per_slice(&mut self.setting.cell.connection, slices).await;
            println!("{told}");
        } else {
            println!("statements: not counted, this Postgres has no pg_stat_statements\n");
        }
    }

    /// Webhooks alone, and beside a register of all openings that is read all the while.
    async fn beside(&mut self) {
        for round in 1..=self.options.rounds {
            for (way, name, count) in [(AT_ONCE, "64 connections", self.options.count), (STEADY, "200/s", STEADY_COUNT)]
            {
                let outcome = self.setting.ours(&way, count).await;
                self.results.add(round, &format!("{name}, alone"), outcome);
                let register = self.register(1..self.options.openings + 1, 0..0);
                let first = self.setting.fresh(count).await;
                let reports = self.reports();
                let id = reports.upload(&register).await;
                let outcome = self.setting.send(&way, first, count).await;
                let was_read = reports.state(&id).await;
                self.results.add(round, &format!("{name}, beside a register"), outcome);
                if was_read != "reading" {
                    eprintln!("the register was {was_read} before the webhooks were through");
                }
                let read = reports.until_finished(&id).await;
                self.results.judge(name, &read.wrong(&register));
            }
        }
    }

    fn print(&self) -> bool {
        let mut lines =
            vec![["register", "seconds from the 202 to finished", "MB beyond idle"].map(str::to_owned).to_vec()];
        for name in ["50,000 rows", "all openings"] {
            let of_name = || self.registers.iter().filter(|it| it.0 == name);
            let show = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let seconds = Spread::of(of_name().map(|it| it.1.took.as_secs_f64()));
            lines.push(vec![name.to_owned(), show(seconds), show(Spread::of(of_name().map(|it| it.1.memory)))]);
        }
        println!("{}\n{}", aligned(&lines), self.results.table());
        let acknowledged = |row: &str| self.results.spread(row, Figure::Acknowledged).map(|it| it.median);
        let (alone, beside) =
            (acknowledged("64 connections, alone"), acknowledged("64 connections, beside a register"));
        if let (Some(alone), Some(beside)) = (alone, beside) {
            println!("acknowledged/s beside a register ÷ alone: {:.2}", beside / alone);
        }
        self.results.all_right()
    }
}
