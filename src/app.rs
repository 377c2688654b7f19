//! The service as a whole: pool, clock and clients are built once, the workers and both listeners run on them, and a
//! shutdown drains in order: no new requests, answers to those that came, the queue to the inbox, the ticks under way.

mod database;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::database::{Database, OpenError, history_key};
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::advance::Writer;
use crate::domain::Topic;
use crate::domain::chain::HistoryKey;
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
/// How often the sweeper goes round.
const SWEEP: Duration = Duration::from_secs(10);
/// Loops per kind of work: a call that hangs holds up one of them.
const LOOPS: usize = 2;

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
    pool: PgPool,
    stop_listening: CancellationToken,
    stop_working: CancellationToken,
    listeners: JoinSet<()>,
    workers: JoinSet<()>,
    ingest: JoinHandle<()>,
    grace: Duration,
}

impl Parts {
    /// Wires the service on a database whose schema is current.
    ///
    /// # Errors
    /// When a client or the metrics cannot be set up.
    pub fn new(settings: Settings, pool: PgPool, key: HistoryKey, clock: Clock) -> anyhow::Result<Self> {
        let settings = Arc::new(settings);
        let ids = Ids::new(clock.clone());
        let wakers = Wakers::default();
        let client = Client::new(settings.provider_timeout).context("the HTTP client")?;
        let metrics = telemetry::metrics().map_err(anyhow::Error::msg).context("the metrics")?;
        let nexusbank: Arc<dyn Provider> = Arc::new(NexusBank::new(&settings.nexusbank, client.clone()));
        let providers = Providers::new([nexusbank]);
        let writer = Writer {
            ids: ids.clone(),
            key,
            dashboard_url: settings.dashboard_url.clone(),
            subscribers: settings.event_subscribers.iter().map(|it| it.url.clone()).collect(),
        };
        let (ingest, ingest_task) = Ingest::start(
            pool.clone(),
            clock.clone(),
            ids.clone(),
            Arc::clone(&wakers.inbox),
            settings.ingest_queue,
            settings.burst_dedup_ttl,
        );
        let context = Context {
            pool: pool.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            writer: writer.clone(),
            policy: settings.policy.clone(),
            retry: settings.retry.clone(),
            providers: providers.clone(),
            profiles: ProfileService::new(settings.profile_service_url.clone(), client.clone()),
            cards: CardIssuer::new(settings.card_service_url.clone(), client.clone()),
            subscribers: Subscribers::new(settings.event_subscribers.clone(), client),
            call_timeout: TimeDelta::from_std(settings.provider_timeout).unwrap_or(TimeDelta::MAX),
            lease_margin: settings.lease_margin,
            parked_ttl: settings.parked_ttl,
            wakers: wakers.clone(),
        };
        let edge = Edge { settings, pool, clock, ids, writer, providers, ingest, wakers, metrics };
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
        let (stop_listening, stop_working) = (CancellationToken::new(), CancellationToken::new());
        let pool = edge.pool.clone();
        let mut listeners = JoinSet::new();
        listeners.spawn(serve(public, public::router(edge.clone()), stop_listening.clone()));
        listeners.spawn(serve(internal, internal::router(edge), stop_listening.clone()));
        let workers = work(&context, &stop_working);
        let grace = settings.shutdown_grace;
        tracing::info!(public = %public_addr, internal = %internal_addr, environment = %settings.environment, "serving");
        Ok(App { public_addr, internal_addr, pool, stop_listening, stop_working, listeners, workers, ingest, grace })
    }
}

impl App {
    /// Stops within the grace period: what was acknowledged is in the inbox, ticks under way are finished.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        let deadline = tokio::time::Instant::now() + self.grace.saturating_sub(Duration::from_secs(2));
        self.stop_listening.cancel();
        self.stop_working.cancel();
        let drained = tokio::time::timeout_at(deadline, async {
            while self.listeners.join_next().await.is_some() {}
            // The last handle on the queue went with the listeners; its writer ends when it is empty.
            let _ = (&mut self.ingest).await;
            while self.workers.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!("some work did not end in time; its leases run out by themselves");
            self.listeners.abort_all();
            self.workers.abort_all();
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.pool.close()).await;
        tracing::info!("stopped");
    }
}

async fn listen(setting: &str, addr: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("{setting}: cannot listen on {addr}"))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "a listener ended");
    }
}

/// Every worker in its loops.
fn work(context: &Context, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let wakers = &context.wakers;
    for _ in 0..LOOPS {
        spawn(&mut tasks, context, stop, InboxWorker(context.clone()), Arc::clone(&wakers.inbox), LOOK);
        spawn(&mut tasks, context, stop, Poller(context.clone()), Arc::clone(&wakers.poller), LOOK);
        for topic in Topic::ALL.iter().copied() {
            let wake = Arc::clone(wakers.relay(topic));
            spawn(&mut tasks, context, stop, Relay { context: context.clone(), topic }, wake, LOOK);
        }
    }
    spawn(&mut tasks, context, stop, Sweeper(context.clone()), Arc::default(), SWEEP);
    tasks
}

fn spawn<W: Worker>(
    tasks: &mut JoinSet<()>,
    context: &Context,
    stop: &CancellationToken,
    worker: W,
    wake: Arc<tokio::sync::Notify>,
    idle: Duration,
) {
    tasks.spawn(drive(worker, Rhythm { wake, idle }, context.ids.clone(), stop.clone()));
}
