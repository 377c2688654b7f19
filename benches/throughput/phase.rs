//! One phase of one round: a number of openings completed in one way, and what that took.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc::unbounded_channel;

use crate::cell::Cell;
use crate::load::Load;
use crate::service::Service;
use crate::stats::{Figure, Figures, millis, percentile};
use crate::usage::{self, Usage};
use crate::{check, limit, watch, webhooks};

/// Webhooks a second in the steady phase.
const STEADY: u32 = 200;

/// The ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// pgbench with so many clients, one webhook a call.
    Limit(u64),
    /// pgbench with so many clients, 64 webhooks a call.
    Batched(u64),
    /// Ours, over so many connections.
    Ours(u16),
    /// Ours, at 200 webhooks a second.
    Steady,
}

impl Phase {
    pub const ALL: [Self; 8] = [
        Self::Limit(8),
        Self::Limit(32),
        Self::Batched(8),
        Self::Ours(1),
        Self::Ours(16),
        Self::Ours(64),
        Self::Ours(256),
        Self::Steady,
    ];

    /// How many webhooks, where the largest phases have `count`: about as long as the others.
    pub fn count(self, count: u64) -> u64 {
        let count = match self {
            Self::Ours(1) => count / 8,
            Self::Steady => count / 8,
            _ => count,
        };
        // Whole batches for each client.
        (count / 512).max(1) * 512
    }
}

impl Display for Phase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(clients) => write!(f, "pg{clients}"),
            Self::Batched(clients) => write!(f, "batched{clients}"),
            Self::Ours(connections) => write!(f, "ours{connections}"),
            Self::Steady => f.write_str("steady"),
        }
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(|it| it.to_string()).join(", ");
        Self::ALL.into_iter().find(|it| it.to_string() == text).ok_or_else(|| format!("one of {}", known()))
    }
}

/// What phases run against.
pub struct Setting {
    pub cell: Cell,
    pub services: Vec<Service>,
    pub postmaster: Option<u32>,
    pub pgbench: PathBuf,
}

impl Setting {
    /// Runs a phase on openings that were filled for it. What it came to, and what was not as it must be.
    pub async fn run(&mut self, phase: Phase, first: u64, count: u64) -> (Figures, Vec<String>) {
        self.cell.settle().await;
        match phase {
            Phase::Limit(clients) => self.limit(clients, None, first, count).await,
            Phase::Batched(clients) => self.limit(clients, Some(limit::BATCH), first, count).await,
            Phase::Ours(connections) => self.ours(connections.into(), None, first, count).await,
            Phase::Steady => self.ours(16, Some(Duration::from_secs(1) / STEADY), first, count).await,
        }
    }

    async fn limit(&mut self, clients: u64, batch: Option<u64>, first: u64, count: u64) -> (Figures, Vec<String>) {
        let before = (self.usage(), self.cell.wal().await);
        let (pgbench, url) = (self.pgbench.clone(), self.cell.url.clone());
        let run = move || limit::run(&pgbench, &url, clients, batch, first, count);
        let per_second = tokio::task::spawn_blocking(run).await.expect("pgbench runs");
        let mut figures = self.cost(before, count).await;
        figures.extend([(Figure::Acknowledged, per_second), (Figure::Applied, per_second)]);
        (figures, Vec::new())
    }

    async fn ours(
        &mut self,
        connections: usize,
        beat: Option<Duration>,
        first: u64,
        count: u64,
    ) -> (Figures, Vec<String>) {
        let watcher = PgConnection::connect(&self.cell.url).await.expect("Postgres answers");
        let (tell, told) = unbounded_channel();
        let to = self.services.iter().map(|it| it.public).collect();
        let load = Load { to, webhooks: webhooks::make(first, count), connections, beat, watch: tell };
        self.services.iter().for_each(|it| usage::forget_peak(it.pid()));
        let before = (self.usage(), self.cell.wal().await);
        let loading = tokio::task::spawn_blocking(move || load.run());
        let watching = tokio::spawn(watch::watch(watcher, told));
        let loaded = loading.await.expect("the load runs");
        self.cell.drained().await;
        let applied_after = loaded.began.elapsed();
        let mut figures = self.cost(before, count).await;
        let to_applied = watching.await.expect("the watcher runs");
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let (all, not_taken) = (count as f64, loaded.not_taken as f64);
        let at = |share| percentile(&loaded.latencies, share).map(millis);
        let optional = [
            (Figure::P50, at(0.5)),
            (Figure::P99, at(0.99)),
            (Figure::P999, at(0.999)),
            (Figure::ToApplied, percentile(&to_applied, 0.99).map(millis)),
            (Figure::Memory, self.services.iter().map(|it| usage::memory(it.pid(), "VmHWM:")).sum()),
        ];
        figures.extend(optional.into_iter().filter_map(|(figure, value)| Some((figure, value?))));
        figures.extend([
            (Figure::Acknowledged, all / loaded.took.as_secs_f64()),
            (Figure::Applied, all / applied_after.as_secs_f64()),
            (Figure::NotTaken, not_taken),
        ]);
        (figures, check::applied_once(&mut self.cell.connection, first, count).await)
    }

    fn usage(&self) -> Usage {
        let pids: Vec<u32> = self.services.iter().map(Service::pid).collect();
        Usage::now(&pids, self.postmaster)
    }

    /// What each of `count` webhooks took since then.
    async fn cost(&mut self, before: (Usage, f64), count: u64) -> Figures {
        let (used, wal) = (self.usage().since(before.0), self.cell.wal().await - before.1);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let count = count as f64;
        let mut figures = Figures::from([
            (Figure::ServiceCpu, used.service * 1e6 / count),
            (Figure::PostgresCpu, used.postgres * 1e6 / count),
            (Figure::Wal, wal / count),
        ]);
        figures.extend(used.written.map(|it| (Figure::Written, it / count)));
        figures
    }
}
