//! The plain run: every phase in turn, as many times as there are rounds.

use std::time::Duration;

use crate::cell::Cell;
use crate::flood;
use crate::limit::{BATCH, Calls};
use crate::openings::Openings;
use crate::options::Options;
use crate::phase::Phase;
use crate::report::Results;
use crate::service::this_build;
use crate::setting::{Setting, Way};
use crate::targets;
use crate::world::World;

/// Webhooks a second that leave the service idle most of the time.
const STEADY_RATE: u64 = 200;
pub const STEADY: Way = Way { connections: 16, beat: Some(Duration::from_millis(1_000 / STEADY_RATE)), watched: 1 };
/// Of so many webhooks one is followed, where there are many.
const WATCHED: u64 = 16;

const NOTES: &str = "\
pg8, pg32: pgbench -M prepared with 8 and 32 clients, one call and one commit a webhook: inbox, anchor, history, outbox.
batched8: the same with 64 webhooks a call and commit. Neither has the event, the timer and the settling of the fact, which
ours writes too. pgsteady: one a call, 200 a second with 16 clients, at times that are independent of each other; a call that
begins late counts from when it was to begin. ours1 to ours256: signed webhooks over so many connections, as fast as they are
acknowledged; steady: 200 a second, one every 5 ms. applied/s counts until no fact is pending. The inbox workers run all the time; the breaker of the card issuer is
forced open, so that nothing else does. flood: all but one in 64 webhooks are about one opening, and ack to applied is that of
others of its market. openings: started over REST at 64 connections; applied means that they have
their card; the simulated world runs in the process of the load. Costs are for one webhook, of `openings` for one
opening. CPU of others is of whoever has no part in it: where it is not small, the round was disturbed. What was written
is what reached the disk, whoever wrote it.
";

/// A way to send webhooks as fast as they are acknowledged.
pub const fn at_once(connections: usize) -> Way {
    Way { connections, beat: None, watched: WATCHED }
}

/// Runs it and prints it; whether all was as it must be.
pub async fn run(world: &World, options: &Options) -> bool {
    let phases = if options.only.is_empty() { Phase::ALL.to_vec() } else { options.only.clone() };
    let mut setting = Setting::start(world, Cell::make(world, "webhooks").await, 1).await;
    let (mut openings, mut results) = (None, Results::default());
    setting.warm_up(&mut results).await;
    for round in 1..=options.rounds {
        for phase in &phases {
            let count = phase.openings(options.count);
            let outcome = match *phase {
                Phase::Limit(clients) => setting.limit(Calls { clients, batch: None, rate: None }, count).await,
                Phase::Batched(clients) => {
                    setting.limit(Calls { clients, batch: Some(BATCH), rate: None }, count).await
                }
                Phase::LimitSteady => {
                    setting.limit(Calls { clients: 16, batch: None, rate: Some(STEADY_RATE) }, count).await
                }
                Phase::Ours(connections) => setting.ours(&at_once(connections), count).await,
                Phase::Steady => setting.ours(&STEADY, count).await,
                Phase::Flood => flood::run(&mut setting, count).await,
                Phase::Openings => {
                    let openings = match &mut openings {
                        Some(openings) => openings,
                        none => none.insert(Openings::start(world, this_build(), "openings").await),
                    };
                    openings.run(count).await
                }
            };
            results.add(round, &phase.to_string(), outcome);
        }
    }
    println!("{}{NOTES}\n{}", results.table(), targets::table(&results));
    if let Some(openings) = &mut openings {
        println!("A completed opening takes {:.1} kB of the database.", openings.size_of_each().await / 1_000.0);
    }
    if !results.all_right() {
        eprintln!("{}", setting.services[0].last_words());
    }
    setting.stop().await;
    if let Some(openings) = openings {
        openings.stop().await;
    }
    results.all_right()
}
