//! The service during an outage of the bank: the bank takes calls and answers none, under load.
//!
//! `cargo bench --bench outage` runs the release build as a process on a private Postgres, with its default settings but for
//! frequent polls (`POLL_SCHEDULE=20s`), against the simulated world, for about two minutes: 20 openings and 100 signed
//! webhooks a second before, during and after an outage of 60 s (`-- --seconds N`). It prints what callers and the bank saw,
//! and ends with 1 if a limit was not kept. What is counted and not timed is asserted by `tests/it/outbound` too.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends by saying why")]

mod load;
mod report;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use ::world::{Api, Fault};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::load::Load;
use self::report::{Report, Times};
use self::world::World;

/// The length of the outage that the limits are about.
const SECONDS: u64 = 60;
/// Load before the outage, and at least after it.
const CALM: Duration = Duration::from_secs(15);
/// All work is done so long after the outage.
const DONE_WITHIN: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let outage = Duration::from_secs(seconds());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(run(outage));
    print!("{report}");
    if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds() -> u64 {
    let mut arguments = std::env::args().skip_while(|it| it != "--seconds").skip(1);
    arguments.next().map_or(SECONDS, |it| it.parse().expect("--seconds takes a whole number"))
}

async fn run(outage: Duration) -> Report {
    let mut world = World::start().await;
    let stop = CancellationToken::new();
    let load = Load::start(&world, &stop).await;
    let began = Instant::now();
    println!("load before the outage: {} s", CALM.as_secs());
    sleep(CALM).await;
    println!("the bank hangs: {} s", outage.as_secs());
    let hangs_from = (Instant::now(), world.now());
    world.simulator.outage(Api::Bank, Some(Fault::HangBefore));
    sleep_until(hangs_from.0 + outage).await;
    world.simulator.outage(Api::Bank, None);
    let back_from = (Instant::now(), world.now());
    println!("the bank is back; load until what had been started is done, at least {} s", CALM.as_secs());
    let (backlog_done, ()) = tokio::join!(world.backlog_done(back_from), sleep(CALM));
    stop.cancel();
    let all_done = world.all_done(back_from.0).await;
    let times = Times { began, hangs_from, back_from, backlog_done, all_done };
    let seen = load.ended().await;
    let left = world.left().await;
    let ledger = world.simulator.ledger();
    let pool_timeouts = world.stop().await;
    Report { times, seen, left, ledger, pool_timeouts }
}
