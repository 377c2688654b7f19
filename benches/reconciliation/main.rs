//! Measures how fast the service reads report files, and how webhooks fare beside them.
//!
//! `cargo bench --bench reconciliation` runs the release build as a process on a private Postgres with a million openings. Its parts:
//!
//! ```text
//! register   registers of 50,000 rows, and one of all openings
//! beside     signed webhooks alone, and while a register of all openings is read
//! hostile    signed webhooks alone, and while files that are made to hurt are posted
//! charges    charges of 50,000 rows with a price list, then the bank statement of 50,000 entries that pays them
//! ```
//!
//! Of each file it tells the time from the 202 to `finished`, the memory beyond idle and the statements per 10,000 rows. It ends with 1
//! unless every report finished with the counts that its making implies, and every acknowledged webhook was applied exactly once.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]
#![allow(dead_code, reason = "the modules of `throughput` do more than is needed here")]

#[path = "../throughput/cell.rs"]
mod cell;
mod charges;
#[path = "../throughput/check.rs"]
mod check;
#[path = "../throughput/connection.rs"]
mod connection;
mod file;
#[path = "../throughput/fill.rs"]
mod fill;
mod hostile;
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

use clap::{Parser, ValueEnum};

use self::cell::Cell;
use self::charges::{Charges, PRICES};
use self::file::File;
use self::hostile::Hostile;
use self::register::Register;
use self::report::{Results, aligned};
use self::reports::{Read, Reports};
use self::rows::Life;
use self::service::{Build, this_build};
use self::setting::{Setting, Way};
use self::stats::{Figure, Spread};
use self::world::World;

/// Measures how fast the service reads report files, and how webhooks fare beside them
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
    /// Only these parts
    #[arg(long, value_delimiter = ',', default_value = "register,beside,hostile,charges")]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Register,
    Beside,
    Hostile,
    Charges,
}

/// Rows of the short files; in a register one in a hundred is about an opening that still waits.
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
    let has = |part| options.only.contains(&part);
    let mut bench = Bench::of(&world, cell, this_build(), options, counted).await;
    bench.setting.warm_up(&mut bench.results).await;
    if has(Part::Register) {
        bench.short().await;
        bench.long().await;
    }
    if has(Part::Beside) {
        bench.beside().await;
    }
    if has(Part::Hostile) {
        bench.hostile().await;
    }
    if has(Part::Charges) {
        let prices = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(prices.path(), PRICES).expect("a temporary file");
        let settings = [("PRICE_LIST".to_owned(), prices.path().display().to_string())];
        let Bench { setting, results, files, made, .. } = bench;
        let cell = setting.stop().await;
        bench = Bench::of(&world, cell, Build { settings: &settings, ..this_build() }, options, counted).await;
        bench = Bench { results, files, made, ..bench };
        bench.charges().await;
    }
    let right = bench.print();
    bench.setting.stop().await;
    world.stop().await;
    Ok(right)
}

struct Bench<'a> {
    setting: Setting<'a>,
    options: Options,
    results: Results,
    /// Whether statements can be counted.
    counted: bool,
    /// Name, seconds until finished, megabytes beyond idle.
    files: Vec<(String, Read)>,
    /// Registers that were made: no two have the same bytes.
    made: u64,
}

impl<'a> Bench<'a> {
    async fn of(world: &'a World, cell: Cell, build: Build<'_>, options: &Options, counted: bool) -> Self {
        let setting = Setting::of(world, cell, build, 1).await;
        Self { setting, options: options.clone(), results: Results::default(), counted, files: Vec::new(), made: 0 }
    }

    fn reports(&self) -> Reports {
        Reports::of(&self.setting.services[0])
    }

    /// Of completed openings, and of others that wait although the bank has answered.
    fn register(&mut self, rows: Range<u64>, waiting: Range<u64>) -> File {
        self.made += 1;
        Register { rows, waiting, as_of_second: self.made }.file()
    }

    async fn read(&mut self, name: &str, file: File) {
        let expected = File { text: String::new(), classes: file.classes.clone(), ..file };
        let read = self.reports().read(file).await;
        eprintln!("{name}: {:.2} s, {:.0} MB beyond idle", read.took.as_secs_f64(), read.memory);
        self.results.judge(name, &expected.wrong(&read.report));
        self.files.push((name.to_owned(), read));
    }

    /// The same; prints the statements that it took.
    async fn read_counted(&mut self, name: &str, file: File) {
        let slices = file.rows.div_ceil(statements::SLICE);
        if self.counted {
            statements::forget(&mut self.setting.cell.connection).await;
        }
        self.read(name, file).await;
        if self.counted {
            let told = statements::per_slice(&mut self.setting.cell.connection, slices).await;
            println!("{name}\n\n{told}");
        } else {
            println!("statements: not counted, this Postgres has no pg_stat_statements\n");
        }
    }

    async fn short(&mut self) {
        for round in 0..u64::from(self.options.rounds) {
            let first = 1 + round * ROWS % (self.options.openings - ROWS);
            let waiting = self.setting.fresh(MISSED).await;
            let register = self.register(first..first + ROWS - MISSED, waiting..waiting + MISSED);
            self.read("register, 50,000 rows", register).await;
            self.setting.cell.drained().await;
        }
    }

    async fn long(&mut self) {
        let register = self.register(1..self.options.openings + 1, 0..0);
        self.read_counted("register, all openings", register).await;
    }

    /// Charges of openings that no round before charged, then the bank statement that pays them.
    async fn charges(&mut self) {
        for round in 0..u64::from(self.options.rounds) {
            let charges = Charges { first: 1 + round * ROWS % (self.options.openings - ROWS), rows: ROWS };
            charges.expect(&mut self.setting.cell.connection).await;
            self.setting.cell.settle().await;
            self.read_counted("charges, 50,000 rows", charges.file()).await;
            self.read_counted("bank statement, 50,000 entries", charges.statement()).await;
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
                let expected = File { text: String::new(), classes: register.classes.clone(), ..register };
                let first = self.setting.fresh(count).await;
                let reports = self.reports();
                let id = reports.upload(register).await;
                let outcome = self.setting.send(&way, first, count).await;
                let was_read = reports.state(&id).await;
                self.results.add(round, &format!("{name}, beside a register"), outcome);
                if was_read != "reading" {
                    eprintln!("the register was {was_read} before the webhooks were through");
                }
                let read = reports.until_finished(&id).await;
                self.results.judge(name, &expected.wrong(&read.report));
            }
        }
    }

    /// Webhooks alone, and beside files that are made to hurt, one after the other.
    async fn hostile(&mut self) {
        let (hostile, name) = (Hostile::make(), "200/s, beside hostile files");
        for round in 1..=self.options.rounds {
            let outcome = self.setting.ours(&STEADY, STEADY_COUNT).await;
            self.results.add(round, "200/s, before hostile files", outcome);
            let first = self.setting.fresh(STEADY_COUNT).await;
            let reports = self.reports();
            let idle = reports.idle();
            let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
            let sending = async {
                let (mut turns, mut wrong) = (0, Vec::new());
                while stopped.try_recv().is_err() {
                    turns += 1;
                    wrong.extend(hostile.send(&reports, self.made + turns).await);
                }
                (turns, wrong)
            };
            let loading = async {
                let outcome = self.setting.send(&STEADY, first, STEADY_COUNT).await;
                // They are sent until now.
                let _ = stop.send(());
                outcome
            };
            let (outcome, (turns, wrong)) = tokio::join!(loading, sending);
            self.made += turns;
            eprintln!("{turns} times all hostile files, {:.0} MB beyond idle", reports.beyond(idle));
            self.results.add(round, name, outcome);
            self.results.judge(name, &wrong);
        }
    }

    fn print(&self) -> bool {
        let mut lines =
            vec![["file", "seconds from the 202 to finished", "MB beyond idle"].map(str::to_owned).to_vec()];
        let mut names: Vec<&String> = self.files.iter().map(|it| &it.0).collect();
        names.dedup();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of_name = || self.files.iter().filter(|it| it.0 == *name);
            let show = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let seconds = Spread::of(of_name().map(|it| it.1.took.as_secs_f64()));
            lines.push(vec![name.clone(), show(seconds), show(Spread::of(of_name().map(|it| it.1.memory)))]);
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
