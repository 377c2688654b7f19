//! How fast the poller claims timers when many are due at once, and as many wait that are not due yet.

use std::time::Instant;

use account_opening::clock::Clock;
use account_opening::db::timers::{ClaimCursor, PollCapacity, claim};
use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};

use crate::cell::Cell;
use crate::fill;
use crate::options::Options;
use crate::report::aligned;
use crate::stats::{Spread, millis, per_second};
use crate::world::World;

/// The most timers that the poller claims at once.
const BATCH: u8 = 32;
const CAPACITIES: [PollCapacity; 1] = [PollCapacity { provider: "nexusbank", most: BATCH as usize }];
const WORKERS: usize = 4;
/// Looks that find nothing.
const LOOKS: u16 = 200;
/// No more are claimed in one round, however many are due.
const CLAIMS: u64 = 50_000;
const LEASE: TimeDelta = TimeDelta::minutes(10);
/// So long ago nothing was due.
const EARLY: TimeDelta = TimeDelta::hours(2);

/// The disk space of an opening that waits, with its history and its timer.
const BYTES: u64 = 1_600;

/// The disk space of the databases.
pub fn needed(options: &Options) -> u64 {
    2 * options.due.iter().sum::<u64>() * BYTES
}

/// Claims with so many due, in turn; prints claims per second.
pub async fn run(world: &World, options: &Options) {
    let mut databases = Vec::new();
    for due in &options.due {
        eprintln!("filling a database with {due} openings that are due and as many that are not");
        databases.push((Claims::make(world, *due).await, [Vec::new(), Vec::new(), Vec::new()]));
    }
    for round in 1..=options.rounds {
        for (claims, figures) in &mut databases {
            let now = [claims.run(false).await, claims.run(true).await, claims.look_for_nothing().await];
            let [rate, beside, look] = now;
            eprintln!(
                "round {round}: {} due: {rate:.0} claims/s, {beside:.0} beside an old snapshot, {look:.2} ms for a look that \
                 finds nothing",
                claims.due
            );
            figures.iter_mut().zip(now).for_each(|(values, value)| values.push(value));
        }
    }
    let names =
        ["due, and as many not", "poller claims/s", "the same beside an old snapshot", "a look that finds nothing, ms"];
    let mut lines = vec![names.map(str::to_owned).to_vec()];
    for (claims, figures) in databases {
        let cell = |values| Spread::of(values).map_or("-".into(), |it| it.to_string());
        lines.push(std::iter::once(claims.due.to_string()).chain(figures.map(cell)).collect());
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
        cell.fill(due).await;
        Self { cell, due }
    }

    /// Claims per second; beside an old snapshot nothing removes the row versions that the claims replace.
    async fn run(&mut self, beside_an_old_snapshot: bool) -> f64 {
        // Those that the round before has claimed.
        let again = "update timers set due_at = now() - interval '1 hour' where claims > 0 and due_at > now()";
        fill::run(&mut self.cell.connection, again).await;
        self.cell.settle().await;
        let each = self.due.min(CLAIMS) / WORKERS as u64;
        let mut workers = tokio::task::JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..WORKERS {
            connections.push(PgConnection::connect(&self.cell.url).await.expect("Postgres answers"));
        }
        let mut old = PgConnection::connect(&self.cell.url).await.expect("Postgres answers");
        if beside_an_old_snapshot {
            fill::run(&mut old, "begin isolation level repeatable read; select 1 from timers limit 1").await;
        }
        let began = Instant::now();
        let cursor = ClaimCursor::default();
        for connection in connections {
            workers.spawn(work(connection, cursor.clone(), each));
        }
        let claimed: u64 = workers.join_all().await.into_iter().sum();
        let rate = per_second(claimed, began.elapsed());
        old.close().await.expect("Postgres answers");
        rate
    }

    /// How long a look takes by a clock by which nothing is due, in milliseconds.
    async fn look_for_nothing(&mut self) -> f64 {
        self.cell.settle().await;
        let (early, began) = (Clock::system().now() - EARLY, Instant::now());
        for _ in 0..LOOKS {
            let found =
                claim(&mut self.cell.connection, &ClaimCursor::default(), early, early, &CAPACITIES, BATCH.into())
                    .await;
            assert!(found.expect("Postgres answers").is_empty(), "nothing is due");
        }
        millis(began.elapsed() / u32::from(LOOKS))
    }
}

/// Claims about so many, as a poller does; how many there were.
async fn work(mut connection: PgConnection, cursor: ClaimCursor, most: u64) -> u64 {
    let mut claimed = 0;
    while claimed < most {
        let now = Clock::system().now();
        let due = claim(&mut connection, &cursor, now, now + LEASE, &CAPACITIES, BATCH.into()).await;
        let due = due.expect("Postgres answers");
        if due.is_empty() {
            break;
        }
        claimed += due.len() as u64;
    }
    claimed
}
