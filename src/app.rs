//! The running service. Pool, clock and clients are built once (`parts`); the workers (`work`) and both listeners share
//! them. A shutdown drains in order: new requests are refused, requests in progress are answered, the ingest queue is
//! written to the inbox, ticks in progress finish.

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
use sqlx::PgConnection;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use self::database::{Database, OpenError, unfit};
pub use self::key::{KeyError, evidence_key, history_key, known_history_key, made_history_key};
pub use self::parts::Parts;
use crate::context::Context;
use crate::db::{once, price_lists};
use crate::http::listener::{Limits, serve};
use crate::http::{internal, public};
use crate::workers::secret_uses;

/// Time limit for emptying the ingest queue after the last request.
const DRAIN: Duration = Duration::from_secs(2);
/// How long before the end of a shutdown calls in progress are aborted. Calls within `PROVIDER_TIMEOUT` have ended by
/// then; the blocking legacy call may not have. The rest of the time suffices to settle them.
const ABORT_CALLS: Duration = Duration::from_secs(4);

pub struct App {
    /// The listener for providers.
    pub public_addr: SocketAddr,
    /// The listener for callers and operators.
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
    /// Starts listeners and workers.
    ///
    /// # Errors
    /// If an address is unavailable, or the limit of open files is too low (a [`crate::settings::SettingError`]).
    pub async fn run(self) -> anyhow::Result<App> {
        self.start(None).await
    }

    /// As [`Parts::run`], with an internal listener that the caller has bound; the service does not bind `INTERNAL_ADDR`.
    ///
    /// # Errors
    /// As [`Parts::run`].
    pub async fn run_on(self, internal: TcpListener) -> anyhow::Result<App> {
        self.start(Some(internal)).await
    }

    async fn start(self, internal: Option<TcpListener>) -> anyhow::Result<App> {
        let Self { state, context, ingest, refused_webhooks } = self;
        let settings = Arc::clone(&state.settings);
        let most = file_limit::share(settings.database.pool)?;
        keep_price_list(&context).await.context("PRICE_LIST: cannot be stored")?;
        let public = listen("PUBLIC_ADDR", settings.public_addr).await?;
        let internal = match internal {
            Some(internal) => internal,
            None => listen("INTERNAL_ADDR", settings.internal_addr).await?,
        };
        let (public_addr, internal_addr) = (public.local_addr()?, internal.local_addr()?);
        let (stop_listening, stop_working) = (state.stopping.clone(), CancellationToken::new());
        let abort_calls = context.abort_calls.clone();
        // Before the first call, so that a breaker forced open stays open after a restart. If this fails, a task
        // reads the overrides soon.
        if let Err(error) = context.breaker_overrides().read().await {
            tracing::warn!(%error, "breaker overrides could not be read at the start; retrying in the background");
        }
        let shared = work::Shared {
            backlog: state.ingest.backlog().clone(),
            metrics: state.metrics.clone(),
            live: state.live.clone(),
        };
        let mut listeners = JoinSet::new();
        let outside = Limits { connections: most.public, ..Limits::outside(&settings) };
        let inside = Limits { connections: most.internal, ..Limits::inside(&settings) };
        listeners.spawn(serve(public, public::router(state.clone()), outside, stop_listening.clone()));
        listeners.spawn(serve(internal, internal::router(state), inside, stop_listening.clone()));
        let workers = work::start(&context, shared, &stop_working);
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
    /// Stops by `deadline` at the latest: acknowledged webhooks are in the inbox and ticks in progress are finished.
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
            // The last request dropped the last handle on the queues; their writers end once these are empty.
            let drained = async { tokio::join!(&mut self.ingest, &mut self.refused_webhooks) };
            let _ = timeout_at(deadline.min(Instant::now() + DRAIN), drained).await;
            self.ingest.abort();
            self.refused_webhooks.abort();
        };
        let work = timeout_at(deadline, async { while self.workers.join_next().await.is_some() {} });
        let ((), finished) = tokio::join!(requests, work);
        if finished.is_err() {
            tracing::warn!("shutdown deadline reached; unfinished work is taken over when its leases expire");
            self.workers.abort_all();
        }
        aborting.abort();
        let faults = &self.context.shell.faults;
        let pool = &self.context.cell.pool;
        let secret_uses = &self.context.secret_uses;
        let _ = timeout_at(deadline, secret_uses::write(pool, secret_uses, faults)).await;
        tracing::info!("stopped");
    }
}

/// Stores the price list before the first fee is booked with it. Waits for a database that restarts at this moment.
///
/// # Errors
/// If the database stays away or refuses the list.
pub async fn keep_price_list(context: &Context) -> Result<(), OpenError> {
    let Some(list) = &context.cell.effect_context.price_list else { return Ok(()) };
    let now = context.shell.clock.now();
    database::patiently(async || {
        let insert = async |connection: &mut PgConnection| price_lists::insert(connection, list, now).await;
        Ok(once(&context.cell.pool, insert).await?)
    })
    .await
}

/// When to abort calls: [`ABORT_CALLS`] before the deadline, or halfway if the time is short.
fn abort_calls_at(now: Instant, deadline: Instant) -> Instant {
    deadline - ABORT_CALLS.min(deadline.saturating_duration_since(now) / 2)
}

async fn listen(setting: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("{setting}: cannot listen on {addr}"))
}
