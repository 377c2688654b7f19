//! How fast the poller claims timers when many are due at once.

use std::time::Instant;

use account_opening::clock::Clock;
use account_opening::db::timers::{Fronts, Room, claim};
use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};

use crate::cell::Cell;
use crate::fill;
use crate::options::Options;
use crate::report::aligned;
use crate::stats::{Spread, per_second};
use crate::world::World;

/// What the poller claims at once.
const BATCH: u8 = 32;
const WORKERS: usize = 4;
/// No more are claimed in one round, however many are due.
const CLAIMS: u64 = 50_000;
const LEASE: TimeDelta = TimeDelta::minutes(10);

/// What an opening that waits takes on the disk, with its history and its timer.
const BYTES: u64 = 1_600;

/// What the databases take on the disk.
pub fn needed(options: &Options) -> u64 {
    options.due.iter().sum::<u64>() * BYTES
}

/// Claims with so many due, in turn; prints claims per second.
pub async fn run(world: &World, options: &Options) {
    let mut databases = Vec::new();
    for due in &options.due {
        eprintln!("filling a database with {due} openings that are due");
        databases.push((Claims::make(world, *due).await, Vec::new()));
    }
    for round in 1..=options.rounds {
        for (claims, rates) in &mut databases {
            let rate = claims.run().await;
            eprintln!("round {round}: {} due: {rate:.0} claims/s", claims.due);
            rates.push(rate);
        }
    }
    let mut lines = vec![vec!["due".to_owned(), "poller claims/s".to_owned()]];
    for (claims, rates) in databases {
        lines.push(vec![claims.due.to_string(), Spread::of(rates).map_or("-".into(), |it| it.to_string())]);
    }
    println!("{}", aligned(&lines));
}

/// A database in which so many openings are to be asked about.
struct Claims {
    cell: Cell,
    due: u64,
}

impl Claims {
    async fn make(world: &World, due: u64) -> Self {
        let mut cell = Cell::make(world, &format!("due_{due}")).await;
        cell.fill_many(world.due(), due).await;
        Self { cell, due }
    }

    /// Claims per second.
    async fn run(&mut self) -> f64 {
        let again = "update timers set due_at = now() - interval '1 hour' where due_at > now()";
        fill::run(&mut self.cell.connection, again).await;
        self.cell.settle().await;
        let each = self.due.min(CLAIMS) / WORKERS as u64;
        let mut workers = tokio::task::JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..WORKERS {
            connections.push(PgConnection::connect(&self.cell.url).await.expect("Postgres answers"));
        }
        let began = Instant::now();
        let fronts = Fronts::default();
        for connection in connections {
            workers.spawn(work(connection, fronts.clone(), each));
        }
        let claimed: u64 = workers.join_all().await.into_iter().sum();
        per_second(claimed, began.elapsed())
    }
}

/// Claims about so many, as a poller does; how many there were.
async fn work(mut connection: PgConnection, fronts: Fronts, most: u64) -> u64 {
    let rooms = [Room { provider: "nexusbank", most: BATCH.into() }];
    let mut claimed = 0;
    while claimed < most {
        let now = Clock::system().now();
        let due = claim(&mut connection, &fronts, now, now + LEASE, &rooms, BATCH.into()).await;
        let due = due.expect("Postgres answers");
        if due.is_empty() {
            break;
        }
        claimed += due.len() as u64;
    }
    claimed
}
