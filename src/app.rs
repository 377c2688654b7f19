//! The service as a whole: pool, clock and clients are built once, the workers and both listeners run on them, and a
//! shutdown drains in order: no new requests, answers to those that came, the queue to the inbox, the ticks under way.

mod database;
mod key;
pub mod verify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use self::database::{Database, OpenError};
pub use self::key::{history_key, known_history_key};
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::advance::Writer;
use crate::domain::Topic;
use crate::domain::chain::HistoryKey;
use crate::faults::FaultPoint;
use crate::guard::Gates;
use crate::http::internal::flags::Flags;
use crate::http::internal::openings::Lookout;
use crate::http::listener::{Limits, serve};
use crate::http::{Edge, internal, public};
use crate::ingest::Ingest;
use crate::provider::http::Client;
use crate::provider::nexusbank::NexusBank;
use crate::provider::{Provider, Providers};
use crate::services::{CardIssuer, ProfileService, Subscribers};
use crate::telemetry;
use crate::workers::driver::{Rhythm, Worker, drive};
use crate::workers::inbox::InboxWorker;
use crate::workers::poller::Poller;
use crate::workers::relay::Relay;
use crate::workers::sweeper::Sweeper;
use crate::workers::{Context, Wakers};

/// How often a worker looks for work that nobody woke it for.
const LOOK: Duration = Duration::from_millis(500);
/// How long the queue to the inbox may take to empty when no request is left.
const DRAIN: Duration = Duration::from_secs(2);
/// How long before the end of a shutdown calls under way are given up. Calls within `PROVIDER_TIMEOUT` have ended by then;
/// one that blocks may have not. What is left suffices to settle them.
const HANG_UP: Duration = Duration::from_secs(4);
/// How often the sweeper goes round.
const SWEEP: Duration = Duration::from_secs(10);
/// How often the metrics are tidied, whether or not somebody scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// The parts of the service, wired and not yet running: the listeners' state, and the workers'.
pub struct Parts {
    /// What handlers need.
    pub edge: Edge,
    /// What workers need.
    pub context: Context,
    ingest: JoinHandle<()>,
}

/// The service, running.
pub struct App {
    /// Where providers reach it.
    pub public_addr: SocketAddr,
    /// Where callers and operators reach it.
    pub internal_addr: SocketAddr,
    stop_listening: CancellationToken,
    stop_working: CancellationToken,
    hang_up: CancellationToken,
    listeners: JoinSet<()>,
    workers: JoinSet<()>,
    ingest: JoinHandle<()>,
}

impl Parts {
    /// Wires the service on a database whose schema is current.
    ///
    /// # Errors
    /// When a client or the metrics cannot be set up.
    pub fn new(settings: Settings, pool: PgPool, key: HistoryKey, clock: Clock) -> anyhow::Result<Self> {
        #[cfg(feature = "broken")]
        crate::faults::broken::keep(&pool);
        let settings = Arc::new(settings);
        let ids = Ids::new(clock.clone());
        let wakers = Wakers::default();
        let client = Client::new(settings.provider_timeout).context("the HTTP client")?;
        let metrics = telemetry::metrics().map_err(anyhow::Error::msg).context("the metrics")?;
        let gates = Gates::new(settings.breaker, settings.provider_concurrency, clock.clone());
        let providers = providers(&settings, &client, &gates);
        let writer = writer(&settings, ids.clone(), key);
        let faults = FaultPoint::default();
        let (ingest, ingest_task) = Ingest::start(
            pool.clone(),
            clock.clone(),
            ids.clone(),
            Arc::clone(&wakers.inbox),
            settings.ingest_queue,
            settings.burst_dedup_ttl,
            faults.clone(),
        );
        let context = Context {
            pool: pool.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            writer: writer.clone(),
            policy: settings.policy.clone(),
            retry: settings.retry.clone(),
            providers: providers.clone(),
            profiles: ProfileService::new(settings.profile_service_url.clone(), client.clone(), &gates),
            cards: CardIssuer::new(settings.card_service_url.clone(), client.clone(), &gates),
            subscribers: Subscribers::new(settings.event_subscribers.clone(), client, &gates),
            call_timeout: TimeDelta::from_std(settings.provider_timeout).unwrap_or(TimeDelta::MAX),
            blocking_call_timeout: TimeDelta::from_std(settings.sync_provider_timeout).unwrap_or(TimeDelta::MAX),
            hang_up: CancellationToken::new(),
            lease_margin: settings.lease_margin,
            parked_ttl: settings.parked_ttl,
            gates: gates.clone(),
            wakers: wakers.clone(),
            faults: faults.clone(),
        };
        let edge = Edge {
            settings,
            lookout: Lookout::new(pool.clone()),
            pool,
            clock,
            ids,
            writer,
            providers,
            gates,
            ingest,
            wakers,
            faults,
            metrics,
            flags: Flags::default(),
            stopping: CancellationToken::new(),
        };
        Ok(Self { edge, context, ingest: ingest_task })
    }

    /// Listens and works.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn run(self) -> anyhow::Result<App> {
        let Self { edge, context, ingest } = self;
        let settings = Arc::clone(&edge.settings);
        let (public, public_addr) = listen("PUBLIC_ADDR", settings.public_addr).await?;
        let (internal, internal_addr) = listen("INTERNAL_ADDR", settings.internal_addr).await?;
        let (stop_listening, stop_working) = (edge.stopping.clone(), CancellationToken::new());
        let hang_up = context.hang_up.clone();
        let metrics = edge.metrics.clone();
        let mut listeners = JoinSet::new();
        let (outside, inside) = (Limits::outside(&settings), Limits::inside(&settings));
        listeners.spawn(serve(public, public::router(edge.clone()), outside, stop_listening.clone()));
        listeners.spawn(serve(internal, internal::router(edge), inside, stop_listening.clone()));
        let mut workers = work(&context, &stop_working);
        workers.spawn(keep_metrics(metrics, stop_working.clone()));
        tracing::info!(public = %public_addr, internal = %internal_addr, environment = %settings.environment, "serving");
        Ok(App { public_addr, internal_addr, stop_listening, stop_working, hang_up, listeners, workers, ingest })
    }
}

impl App {
    /// Stops, by `deadline` at the latest: what was acknowledged is in the inbox, ticks under way are finished.
    pub async fn stop(mut self, deadline: Instant) {
        tracing::info!("stopping");
        self.stop_listening.cancel();
        self.stop_working.cancel();
        let (hang_up, token) = (hang_up_at(Instant::now(), deadline), self.hang_up);
        let hanging_up = tokio::spawn(async move {
            tokio::time::sleep_until(hang_up).await;
            token.cancel();
        });
        let requests = async {
            let _ = timeout_at(deadline, async { while self.listeners.join_next().await.is_some() {} }).await;
            self.listeners.abort_all();
            // The last handle on the queue went with the last request; its writer ends when it is empty.
            let _ = timeout_at(deadline.min(Instant::now() + DRAIN), &mut self.ingest).await;
            self.ingest.abort();
        };
        let work = timeout_at(deadline, async { while self.workers.join_next().await.is_some() {} });
        let ((), finished) = tokio::join!(requests, work);
        if finished.is_err() {
            tracing::warn!("some work did not end in time; its leases run out by themselves");
            self.workers.abort_all();
        }
        hanging_up.abort();
        tracing::info!("stopped");
    }
}

fn providers(settings: &Settings, client: &Client, gates: &Gates) -> Providers {
    let blocking = settings.sync_provider_timeout;
    let nexusbank: Arc<dyn Provider> = Arc::new(NexusBank::new(&settings.nexusbank, client.clone(), blocking, gates));
    Providers::new([nexusbank])
}

fn writer(settings: &Settings, ids: Ids, key: HistoryKey) -> Writer {
    Writer {
        ids,
        key,
        dashboard_url: settings.dashboard_url.clone(),
        subscribers: settings.event_subscribers.iter().map(|it| it.url.clone()).collect(),
    }
}

/// When calls are given up: at the half of a short time to stop, else when just enough of it is left.
fn hang_up_at(now: Instant, deadline: Instant) -> Instant {
    deadline - HANG_UP.min(deadline.saturating_duration_since(now) / 2)
}

async fn listen(setting: &str, addr: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("{setting}: cannot listen on {addr}"))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Every worker in its loops.
fn work(context: &Context, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let wakers = &context.wakers;
    let mut spawn = Spawn { tasks: &mut tasks, context, stop };
    spawn.worker(InboxWorker(context.clone()), Rhythm { wake: Arc::clone(&wakers.inbox), idle: LOOK, at_once: 2 });
    // A tick that waits for a hanging system leaves three others to the rest.
    spawn.worker(Poller(context.clone()), Rhythm { wake: Arc::clone(&wakers.poller), idle: LOOK, at_once: 4 });
    for topic in Topic::ALL.iter().copied() {
        let rhythm = Rhythm { wake: Arc::clone(wakers.relay(topic)), idle: LOOK, at_once: 4 };
        spawn.worker(Relay { context: context.clone(), topic }, rhythm);
    }
    spawn.worker(Sweeper(context.clone()), Rhythm { wake: Arc::default(), idle: SWEEP, at_once: 1 });
    tasks
}

struct Spawn<'a> {
    tasks: &'a mut JoinSet<()>,
    context: &'a Context,
    stop: &'a CancellationToken,
}

impl Spawn<'_> {
    fn worker<W: Worker>(&mut self, worker: W, rhythm: Rhythm) {
        self.tasks.spawn(drive(worker, rhythm, self.context.ids.clone(), self.stop.clone()));
    }
}

async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        metrics.run_upkeep();
    }
}
