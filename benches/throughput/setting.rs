//! A database with the services that work on it, and what completing openings there takes.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc::unbounded_channel;

use crate::cell::Cell;
use crate::connection::Request;
use crate::limit::Calls;
use crate::load::Load;
use crate::report::Results;
use crate::service::{Build, Service, this_build};
use crate::stats::{Figure, Figures, millis, per_second, percentile};
use crate::usage::{self, Usage};
use crate::world::World;
use crate::{check, limit, stats, watch, webhooks};

const WARM_UP: u64 = 2_048;

/// The figures of a phase, and what was not as it must be.
pub type Outcome = (Figures, Vec<String>);

/// How signed webhooks are sent.
pub struct Way {
    pub connections: usize,
    /// Between two webhooks. None: as fast as they are acknowledged.
    pub beat: Option<Duration>,
    /// Of so many webhooks one is followed until it is applied.
    pub watched: u64,
}

pub struct Setting<'a> {
    pub world: &'a World,
    pub cell: Cell,
    pub services: Vec<Service>,
}

impl<'a> Setting<'a> {
    /// Starts `replicas` services, none of which calls the card issuer: what is measured is the webhooks, and not what follows
    /// them.
    pub async fn start(world: &'a World, cell: Cell, replicas: usize) -> Self {
        Self::of(world, cell, this_build(), replicas).await
    }

    /// The same of another build.
    pub async fn of(world: &'a World, cell: Cell, build: Build<'_>, replicas: usize) -> Self {
        let mut services = Vec::new();
        for _ in 0..replicas {
            let service = Service::start(build, &cell.url, &world.simulator.base_url()).await;
            service.hold_cards().await;
            services.push(service);
        }
        Self { world, cell, services }
    }

    /// Ends the services.
    pub async fn stop(self) -> Cell {
        for service in self.services {
            service.stop().await;
        }
        self.cell
    }

    /// Completes fresh openings with pgbench.
    pub async fn limit(&mut self, calls: Calls, count: u64) -> Outcome {
        let first = self.fresh(count).await;
        let before = self.so_far().await;
        let (pgbench, url) = (self.world.pgbench.clone(), self.cell.url.clone());
        let complete = move || limit::complete(&pgbench, &url, calls, first, count);
        let (per_second, latencies) = tokio::task::spawn_blocking(complete).await.expect("pgbench runs");
        let mut figures = self.cost(before, count).await;
        figures.extend([(Figure::Acknowledged, per_second), (Figure::Applied, per_second)]);
        figures.extend(stats::of_latencies(&latencies));
        (figures, check::completed(&mut self.cell.connection, first, count).await)
    }

    /// Completes fresh openings with signed webhooks.
    pub async fn ours(&mut self, way: &Way, count: u64) -> Outcome {
        let first = self.fresh(count).await;
        self.send(way, first, count).await
    }

    /// Completes openings that are there.
    pub async fn send(&mut self, way: &Way, first: u64, count: u64) -> Outcome {
        let figures = self.load(way, webhooks::make(first, count)).await;
        (figures, check::applied_once(&mut self.cell.connection, first, count).await)
    }

    /// Sends webhooks until all are applied.
    pub async fn load(&mut self, way: &Way, requests: Vec<Request>) -> Figures {
        let count = requests.len() as u64;
        let watcher = PgConnection::connect(&self.cell.url).await.expect("Postgres answers");
        let (tell, told) = unbounded_channel();
        let load = Load {
            to: self.services.iter().map(|it| it.public).collect(),
            requests,
            taken: 200,
            connections: way.connections,
            beat: way.beat,
            watch: Some((way.watched, tell)),
        };
        self.services.iter().for_each(|it| usage::forget_peak(it.pid()));
        let before = self.so_far().await;
        let loading = tokio::task::spawn_blocking(move || load.run());
        let watching = tokio::spawn(watch::watch(watcher, told));
        let loaded = loading.await.expect("the load runs");
        self.cell.drained().await;
        let applied_after = loaded.began.elapsed();
        let mut figures = self.cost(before, count).await;
        let to_applied = watching.await.expect("the watcher runs");
        figures.extend(loaded.figures());
        let memory: Option<f64> = self.services.iter().map(|it| usage::memory(it.pid(), "VmHWM:")).sum();
        figures.extend(memory.map(|it| (Figure::Memory, it)));
        figures.extend(percentile(&to_applied, 0.99).map(|it| (Figure::ToApplied, millis(it))));
        figures.insert(Figure::Applied, per_second(count, applied_after));
        figures
    }

    /// Before anything is measured: first connections, first pages.
    pub async fn warm_up(&mut self, results: &mut Results) {
        let way = Way { connections: 64, beat: None, watched: 16 };
        let (_, wrong) = self.ours(&way, WARM_UP).await;
        results.judge("warm-up", &wrong);
    }

    /// Adds openings that wait for the bank; the number of the first.
    pub async fn fresh(&mut self, count: u64) -> u64 {
        let first = self.cell.fill(count).await;
        self.cell.settle().await;
        first
    }

    async fn so_far(&mut self) -> (Usage, f64) {
        (self.world.probe.usage(self.services.iter().map(Service::pid)), self.cell.wal().await)
    }

    /// The cost of each of `count` openings since then.
    async fn cost(&mut self, before: (Usage, f64), count: u64) -> Figures {
        let (usage, wal) = self.so_far().await;
        cost(usage.since(before.0), wal - before.1, count)
    }
}

/// The share that each of `count` openings has in these totals.
pub fn cost(used: Usage, wal: f64, count: u64) -> Figures {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let count = count as f64;
    let mut figures = Figures::from([
        (Figure::ServiceCpu, used.service * 1e6 / count),
        (Figure::PostgresCpu, used.postgres * 1e6 / count),
        (Figure::LoadCpu, used.load * 1e6 / count),
        (Figure::Wal, wal / count),
    ]);
    figures.extend(used.others().map(|it| (Figure::OthersCpu, it * 1e6 / count)));
    figures.extend(used.written.map(|it| (Figure::Written, it / count)));
    figures
}
