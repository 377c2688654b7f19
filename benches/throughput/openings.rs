//! Openings from their start to their card: the service and the simulated world, which answers at once.

use std::time::{Duration, Instant};

use account_opening::clock::{Clock, Ids};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cell::Cell;
use crate::connection::Request;
use crate::load::Load;
use crate::service::{Build, Service, TOKEN};
use crate::setting::{Outcome, cost};
use crate::stats::{Figure, per_second};
use crate::usage;
use crate::world::World;

const CONNECTIONS: usize = 64;
const LOOK: Duration = Duration::from_millis(20);
/// Openings that are not completed so long after the last was started are told as wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database and a service of their own, so that webhooks measured elsewhere are not disturbed.
pub struct Openings<'a> {
    world: &'a World,
    cell: Cell,
    service: Service,
    next: u64,
    /// The size of the database before the first.
    empty: f64,
}

impl<'a> Openings<'a> {
    pub async fn start(world: &'a World, build: Build<'_>, name: &str) -> Self {
        let mut cell = Cell::of(world, name, build).await;
        let empty = size_of(&mut cell.connection).await;
        let service = Service::start(build, &cell.url, &world.simulator.base_url()).await;
        Self { world, cell, service, next: 0, empty }
    }

    /// How many bytes of the database each has taken so far, indexes included.
    pub async fn size_of_each(&mut self) -> f64 {
        let size = size_of(&mut self.cell.connection).await;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let openings = self.next.max(1) as f64;
        (size - self.empty) / openings
    }

    pub async fn stop(self) {
        self.service.stop().await;
    }

    /// Starts `count` openings and waits until each has its card.
    pub async fn run(&mut self, count: u64) -> Outcome {
        // The simulator may have sent its webhooks to another service before.
        self.world.simulator.deliver_to(format!("http://{}/webhooks/nexusbank", self.service.public));
        self.cell.settle().await;
        let after = Ids::new(Clock::system()).next();
        let requests = (self.next..self.next + count).map(request).collect();
        self.next += count;
        let to = vec![self.service.internal];
        let load = Load { to, requests, taken: 202, connections: CONNECTIONS, beat: None, watch: None };
        usage::forget_peak(self.service.pid());
        let effects = self.effects();
        let before = (self.world.probe.usage([self.service.pid()]), self.cell.wal().await);
        let loaded = tokio::task::spawn_blocking(move || load.run()).await.expect("the load runs");
        let done = all_completed(&mut self.cell.connection, after).await;
        let completed_after = loaded.began.elapsed();
        let used = self.world.probe.usage([self.service.pid()]).since(before.0);
        let wal = self.cell.wal().await - before.1;
        let mut figures = cost(used, wal, count);
        figures.extend(loaded.figures());
        figures.extend(usage::memory(self.service.pid(), "VmHWM:").map(|it| (Figure::Memory, it)));
        figures.insert(Figure::Applied, per_second(count, completed_after));
        let mut wrong = check(&mut self.cell.connection, after, count).await;
        let made = [count, count, count, 0];
        let there: Vec<u64> = self.effects().iter().zip(effects).map(|(now, before)| now - before).collect();
        if !done || there != made {
            wrong.push(format!("profiles, accounts, cards, double effects at the other side: {there:?}, not {made:?}"));
        }
        (figures, wrong)
    }

    /// Profiles, accounts, cards; what was made twice.
    fn effects(&self) -> [u64; 4] {
        let counts = self.world.simulator.ledger().counts;
        [counts.profiles, counts.accounts, counts.cards, counts.double_effects]
    }
}

/// Bytes of the database.
async fn size_of(connection: &mut PgConnection) -> f64 {
    let size = "select pg_database_size(current_database())::float8";
    sqlx::query_scalar(size).fetch_one(connection).await.expect("Postgres answers")
}

fn request(n: u64) -> Request {
    let body = json!({
        "market": "BE", "customer_type": "company", "currency": "EUR",
        "customer": {"reference": format!("cus_{n}"), "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
    })
    .to_string();
    let head = format!(
        "POST /v1/account-openings HTTP/1.1\r\nhost: 127.0.0.1:8081\r\nauthorization: Bearer {TOKEN}\r\n\
         idempotency-key: key_{n}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Request { n, bytes: [head, body].concat().into_bytes() }
}

/// Whether all openings that were started after this id came to their end in time.
async fn all_completed(connection: &mut PgConnection, after: Uuid) -> bool {
    let left = "select exists (select from account_openings where id > $1 and state <> 'completed')";
    let began = Instant::now();
    while sqlx::query_scalar(left).bind(after).fetch_one(&mut *connection).await.expect("Postgres answers") {
        if began.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

async fn check(connection: &mut PgConnection, after: Uuid, count: u64) -> Vec<String> {
    let there = "select count(*) from account_openings where id > $1 and state = 'completed' and version = 5";
    let there: i64 = sqlx::query_scalar(there).bind(after).fetch_one(connection).await.expect("Postgres answers");
    if u64::try_from(there) == Ok(count) {
        Vec::new()
    } else {
        vec![format!("{there} of {count} openings are completed")]
    }
}
