//! The accept loop of both listeners.
//!
//! `axum::serve` has no time-out for a request's head or body and no bound on connections, so that a handful of clients that
//! send a byte now and then could hold every one of them. Here head and body must arrive in time, the answer must be read in
//! time, and an idle connection is closed. A connection beyond the cap takes the place of the one that has been idle for longest;
//! where none is idle, it waits until another ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::timeout::RequestBodyDeadline;

use super::head_timer::HeadTimer;
use super::outgoing::Outgoing;
use super::public;
use crate::config::Settings;

/// Where the kernel has no file descriptor left, trying again at once would only spin.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// The most bytes of a request's head, and of a body that nobody reads.
const MAX_BUFFER: usize = 64 * 1_024;
/// The most connections to one listener: far more than a provider or a fleet of callers opens. The limit of open files may allow
/// fewer.
pub const CONNECTIONS: usize = 1_024;
/// How long a head may take on the public listener.
const OUTSIDE_HEAD: Duration = Duration::from_secs(20);
/// The same on the internal one.
const INSIDE_HEAD: Duration = Duration::from_mins(1);
/// How long a body may take on the internal listener: 64 KiB at the most, from machines nearby.
const INSIDE_BODY: Duration = Duration::from_secs(10);
/// How long an answer may wait to be read, on either.
const ANSWER: Duration = Duration::from_secs(30);

/// What a client may take of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest that a request's head may take. Before its first request, a connection is idle for no longer than this.
    pub head_within: Duration,
    /// The longest that a connection may be idle after an answer.
    pub idle_within: Duration,
    /// The longest that a request's body may take after its head, however it comes. Beyond it the body ends in an error,
    /// which [`super::body::is_too_slow`] tells.
    pub body_within: Duration,
    /// The longest that an answer may wait to be read.
    pub answer_within: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// How long connections may take to end after the stop; what is left then is cut.
    pub drain: Duration,
}

impl Limits {
    /// Those of the public listener.
    #[must_use]
    pub fn outside(settings: &Settings) -> Self {
        let body_within = public::body_within(settings.ack_timeout);
        Self { head_within: OUTSIDE_HEAD, body_within, ..Self::inside(settings) }
    }

    /// Those of the internal listener.
    #[must_use]
    pub fn inside(settings: &Settings) -> Self {
        Self {
            head_within: INSIDE_HEAD,
            idle_within: settings.keep_alive,
            body_within: INSIDE_BODY,
            answer_within: ANSWER,
            connections: CONNECTIONS,
            // A request that was taken is answered within this time.
            drain: settings.ack_timeout + Duration::from_secs(1),
        }
    }
}

/// Serves until `stop`: then accepts nothing more, lets requests under way end, and cuts what is left after
/// [`Limits::drain`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let crowded = Arc::new(Notify::new());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &slots, &crowded)).await {
        let Some((stream, peer, slot)) = accepted else { continue };
        // Answers are small and wait for nothing.
        let _ = stream.set_nodelay(true);
        let timer = HeadTimer::new(limits.head_within, limits.idle_within, Arc::clone(&crowded));
        let stream = TokioIo::new(Outgoing::new(stream, limits.answer_within, timer.clone()));
        // Whom the connection is from, as `axum::serve` would say it.
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let service = RequestBodyDeadline::new(service, limits.body_within);
        let connection = http1::Builder::new()
            .timer(timer)
            // Switches the timer on, which has its own times.
            .header_read_timeout(limits.head_within)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(stream, TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
        // Those that ended are forgotten as others come.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.drain, graceful.shutdown()).await;
    connections.shutdown().await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for it: where all places are taken, `crowded` asks the connection that has been idle
/// for longest for its own.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>, crowded: &Notify) -> Option<Accepted> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(AFTER_ERROR).await;
            return None;
        }
    };
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some((stream, peer, slot));
    }
    crowded.notify_one();
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    // If no connection was idle, the call still stands: the next to be idle must not answer it.
    let _ = crowded.notified().now_or_never();
    Some((stream, peer, slot))
}
