//! Measures the dashboard: what its pages cost, and what open browsers cost.
//!
//! `cargo bench --bench dashboard` runs the release build as a process on a private Postgres with a million openings, 5,000 facts on
//! one of them, and a busy day of work. It asks for every page, and counts its statements by `pg_stat_statements`. Then 100 browsers
//! ask for live updates as `live.js` does, alone and beside webhooks. It ends with 1 unless every page was answered and every
//! acknowledged webhook was applied exactly once.
//!
//! ```text
//! seed.rs       the database               visitor.rs    a signed-in browser, without its window
//! pages.rs      which pages are asked for  browsers.rs   many of them, open for a while
//! counted.rs    statements per page        targets.rs    what is to be reached
//! the rest      is shared with the benches `throughput` and `reconciliation`
//! ```

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]
#![allow(dead_code, reason = "the modules of `throughput` do more than is needed here")]

mod browsers;
#[path = "../throughput/cell.rs"]
mod cell;
#[path = "../throughput/check.rs"]
mod check;
#[path = "../throughput/connection.rs"]
mod connection;
mod counted;
#[path = "../throughput/fill.rs"]
mod fill;
#[path = "../throughput/limit.rs"]
mod limit;
#[path = "../throughput/load.rs"]
mod load;
#[path = "../throughput/numbers.rs"]
mod numbers;
mod pages;
#[path = "../throughput/report.rs"]
mod report;
#[path = "../throughput/rows.rs"]
mod rows;
mod seed;
#[path = "../throughput/service.rs"]
mod service;
#[path = "../throughput/setting.rs"]
mod setting;
#[path = "../reconciliation/statements.rs"]
mod statements;
#[path = "../throughput/stats.rs"]
mod stats;
mod targets;
#[path = "../throughput/usage.rs"]
mod usage;
mod visitor;
#[path = "../throughput/watch.rs"]
mod watch;
#[path = "../throughput/webhooks.rs"]
mod webhooks;
#[path = "../throughput/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use self::browsers::{Browsers, Cost};
use self::cell::Cell;
use self::counted::Counter;
use self::pages::{Measured, Page, pages};
use self::report::Results;
use self::seed::Seed;
use self::setting::{Setting, Way};
use self::visitor::Visitor;
use self::world::World;

/// Measures the dashboard: what its pages cost, and what open browsers cost
#[derive(Clone, Debug, Parser)]
#[command(name = "dashboard", bin_name = "cargo bench --bench dashboard --")]
struct Options {
    /// Completed openings in the database
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    openings: u64,
    /// Facts on the opening that is shown
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    facts: u64,
    /// Requests for each page that has a time to keep; of any other a tenth, and no fewer than ten
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..))]
    visits: u64,
    /// Browsers that are open at once
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    browsers: u64,
    /// How long they are open, and how long webhooks are sent beside them
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// How often webhooks are sent without and with browsers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Webhooks in each load at 64 connections
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    /// The pages alone
    #[arg(long)]
    pages: bool,
}

/// A second's webhooks of the steady load.
const RATE: u64 = 200;
const STEADY: Way = Way { connections: 16, beat: Some(Duration::from_millis(1_000 / RATE)), watched: 16 };
const AT_ONCE: Way = Way { connections: 64, beat: None, watched: 64 };

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
    let settings = statements::settings();
    if settings.is_empty() {
        return Err("statements cannot be counted: this Postgres has no pg_stat_statements".to_owned());
    }
    let world = World::start(&settings).await?;
    println!("{}", world.machine().await);
    let began = Instant::now();
    let mut cell = Cell::make(&world, "dashboard").await;
    let seed = Seed::fill(&mut cell, options.openings, options.facts).await;
    eprintln!("filled in {} s", began.elapsed().as_secs());
    statements::install(&mut cell.connection).await;
    let mut bench = Bench {
        setting: Setting::start(&world, cell, 1).await,
        options: options.clone(),
        results: Results::default(),
        pages: Vec::new(),
        quiet: None,
        loaded: Vec::new(),
    };
    bench.pages(&seed).await;
    if !options.pages {
        bench.quiet(&seed).await;
        bench.beside(&seed).await;
    }
    let right = bench.print();
    bench.setting.stop().await;
    world.stop().await;
    Ok(right)
}

/// How long the service is looked at before pages are asked for.
const IDLE: Duration = Duration::from_secs(10);

struct Bench<'a> {
    setting: Setting<'a>,
    options: Options,
    results: Results,
    pages: Vec<(Page, Measured)>,
    /// The cost of the browsers while nothing changes.
    quiet: Option<Cost>,
    /// Their cost beside webhooks.
    loaded: Vec<(&'static str, Cost)>,
}

impl Bench<'_> {
    async fn pages(&mut self, seed: &Seed) {
        let visitor = Visitor::signed_in(self.setting.services[0].internal).await;
        let mut counter = Counter::start(&mut self.setting.cell.connection, IDLE).await;
        for page in pages(seed) {
            let visits = if page.p99.is_some() { self.options.visits } else { (self.options.visits / 10).max(10) };
            let measured = counter.measure(&visitor, &page.path, visits).await;
            let Measured { statements, median, p99, .. } = &measured;
            eprintln!("{}: {statements} statements, {median:.1} ms, p99 {p99:.1} ms", page.name);
            self.results.judge(page.name, &measured.wrong);
            self.pages.push((page, measured));
        }
    }

    /// Browsers alone.
    async fn quiet(&mut self, seed: &Seed) {
        eprintln!("{} browsers are open, nothing changes", self.options.browsers);
        let (service, pages) = (self.setting.services[0].internal, seed.open_pages(self.options.browsers));
        // The statements that the service runs by itself are counted before a browser is open.
        let looked = Duration::from_secs(self.options.seconds);
        let mut counter = Counter::start(&mut self.setting.cell.connection, looked).await;
        let browsers = Browsers::open(service, &pages).await;
        counter.forget().await;
        tokio::time::sleep(looked).await;
        let statements = counter.beyond_idle(self.options.seconds).await;
        let cost = browsers.close().await;
        self.results.judge("browsers", &cost.wrong);
        self.quiet = Some(Cost { statements: Some(statements), ..cost });
    }

    async fn browsers(&self, seed: &Seed) -> Browsers {
        Browsers::open(self.setting.services[0].internal, &seed.open_pages(self.options.browsers)).await
    }

    /// Webhooks alone, and beside browsers.
    async fn beside(&mut self, seed: &Seed) {
        self.setting.warm_up(&mut self.results).await;
        let loads = [("200/s", STEADY, RATE * self.options.seconds), ("64 connections", AT_ONCE, self.options.count)];
        for round in 1..=self.options.rounds {
            for (name, way, count) in &loads {
                eprintln!("round {round}: {count} webhooks at {name}, without and with browsers");
                let outcome = self.setting.ours(way, *count).await;
                self.results.add(round, &targets::alone(name), outcome);
                let first = self.setting.fresh(*count).await;
                let browsers = self.browsers(seed).await;
                let outcome = self.setting.send(way, first, *count).await;
                let cost = browsers.close().await;
                self.results.add(round, &targets::beside(name), outcome);
                self.results.judge(name, &cost.wrong);
                self.loaded.push((name, cost));
            }
        }
    }

    fn print(&self) -> bool {
        println!("{}", targets::of_pages(&self.pages));
        if let Some(quiet) = &self.quiet {
            println!("{}\n{}", self.results.table(), targets::of_browsers(quiet, &self.loaded, &self.results));
        }
        self.results.all_right()
    }
}
