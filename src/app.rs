//! The service as a whole: pool, clock and clients are built once (`parts`), the workers (`work`) and both listeners run on
//! them, and a shutdown drains in order: no new requests, answers to those that came, the queue to the inbox, the ticks under
//! way.

mod database;
mod file_limit;
mod key;
mod parts;
pub mod verify;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use self::database::{Database, OpenError, unfit};
pub use self::key::{KeyError, history_key, known_history_key, made_history_key};
pub use self::parts::Parts;
use crate::http::listener::{Limits, serve};
use crate::http::{internal, public};
use crate::workers::driver::tick;
use crate::workers::{Context, secret_uses};

/// How long the queue to the inbox may take to empty when no request is left.
const DRAIN: Duration = Duration::from_secs(2);
/// How long before the end of a shutdown calls under way are given up. Calls within `PROVIDER_TIMEOUT` have ended by then;
/// one that blocks may have not. What is left suffices to settle them.
const ABORT_CALLS: Duration = Duration::from_secs(4);

/// The service, running.
pub struct App {
    /// Where providers reach it.
    pub public_addr: SocketAddr,
    /// Where callers and operators reach it.
    pub internal_addr: SocketAddr,
    stop_listening: CancellationToken,
    stop_working: CancellationToken,
    abort_calls: CancellationToken,
    listeners: JoinSet<()>,
    workers: JoinSet<()>,
    ingest: JoinHandle<()>,
    refused_webhooks: JoinHandle<()>,
    context: Context,
}

impl Parts {
    /// Listens and works.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the limit of open files is too low (a [`crate::config::SettingError`]).
    pub async fn run(self) -> anyhow::Result<App> {
        let Self { state, context, ingest, refused_webhooks } = self;
        let settings = Arc::clone(&state.settings);
        let most = file_limit::share(settings.database.pool)?;
        let (public, public_addr) = listen("PUBLIC_ADDR", settings.public_addr).await?;
        let (internal, internal_addr) = listen("INTERNAL_ADDR", settings.internal_addr).await?;
        let (stop_listening, stop_working) = (state.stopping.clone(), CancellationToken::new());
        let abort_calls = context.abort_calls.clone();
        // Before the first call, so that a breaker that was forced open stays open. If the read fails, the worker reads soon.
        if let Err(error) = tick(&context.breaker_overrides()).await {
            tracing::warn!(%error, "overrides of circuit breakers are not read yet; calls go out until they are");
        }
        let metrics = state.metrics.clone();
        let mut listeners = JoinSet::new();
        let outside = Limits { connections: most.public, ..Limits::outside(&settings) };
        let inside = Limits { connections: most.internal, ..Limits::inside(&settings) };
        listeners.spawn(serve(public, public::router(state.clone()), outside, stop_listening.clone()));
        listeners.spawn(serve(internal, internal::router(state), inside, stop_listening.clone()));
        let workers = work::start(&context, metrics, &stop_working);
        tracing::info!(public = %public_addr, internal = %internal_addr, environment = %settings.environment, "serving");
        Ok(App {
            public_addr,
            internal_addr,
            stop_listening,
            stop_working,
            abort_calls,
            listeners,
            workers,
            ingest,
            refused_webhooks,
            context,
        })
    }
}

impl App {
    /// Stops, by `deadline` at the latest: what was acknowledged is in the inbox, ticks under way are finished.
    pub async fn stop(mut self, deadline: Instant) {
        tracing::info!("stopping");
        self.stop_listening.cancel();
        self.stop_working.cancel();
        let (abort_calls, token) = (abort_calls_at(Instant::now(), deadline), self.abort_calls);
        let aborting = tokio::spawn(async move {
            tokio::time::sleep_until(abort_calls).await;
            token.cancel();
        });
        let requests = async {
            let _ = timeout_at(deadline, async { while self.listeners.join_next().await.is_some() {} }).await;
            self.listeners.abort_all();
            // The last handle on the queues went with the last request; their writers end when they are empty.
            let drained = async { tokio::join!(&mut self.ingest, &mut self.refused_webhooks) };
            let _ = timeout_at(deadline.min(Instant::now() + DRAIN), drained).await;
            self.ingest.abort();
            self.refused_webhooks.abort();
        };
        let work = timeout_at(deadline, async { while self.workers.join_next().await.is_some() {} });
        let ((), finished) = tokio::join!(requests, work);
        if finished.is_err() {
            tracing::warn!("some work did not end in time; its leases run out by themselves");
            self.workers.abort_all();
        }
        aborting.abort();
        let Context { pool, secret_uses, faults, .. } = &self.context;
        let _ = timeout_at(deadline, secret_uses::keep(pool, secret_uses, faults)).await;
        tracing::info!("stopped");
    }
}

/// When calls are given up: at the half of a short time to stop, else when just enough of it is left.
fn abort_calls_at(now: Instant, deadline: Instant) -> Instant {
    deadline - ABORT_CALLS.min(deadline.saturating_duration_since(now) / 2)
}

async fn listen(setting: &str, addr: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("{setting}: cannot listen on {addr}"))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
