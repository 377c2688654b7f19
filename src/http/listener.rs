//! The accept loop of both listeners.
//!
//! `axum::serve` has no time-out for a request's head or body and no limit of connections, so a few slow clients could
//! hold them all. Here head and body must arrive in time, the answer must be read in time, and idle connections are
//! closed. A connection beyond the limit replaces the one that has been idle for longest; if none is idle, it waits
//! until another ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::{Extension, Router};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::timeout::DeadlineBody;

use super::head_timer::HeadTimer;
use super::outgoing::Outgoing;
use super::public;
use crate::config::Settings;

/// Without a free file descriptor, an immediate retry would only spin.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// The maximum size of a request's head, and of an unread body.
const MAX_BUFFER: usize = 64 * 1_024;
/// The maximum number of connections per listener: far more than a provider or a fleet of callers opens. The limit of
/// open files may allow fewer.
pub const CONNECTIONS: usize = 1_024;
/// Time limit for a head on the public listener.
const OUTSIDE_HEAD: Duration = Duration::from_secs(20);
/// Time limit for a head on the internal listener.
const INSIDE_HEAD: Duration = Duration::from_mins(1);
/// Time limit for a body on the internal listener: at most 64 KiB, from nearby machines.
const INSIDE_BODY: Duration = Duration::from_secs(10);
/// Time limit for a body that is a file: a gigabyte over a slow line.
const FILE_BODY: Duration = Duration::from_mins(30);
/// How long an answer may wait to be read.
const ANSWER: Duration = Duration::from_secs(30);

/// A client's limits on a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time limit of a request's head; also the idle limit before the first request.
    pub head_within: Duration,
    /// Idle limit after an answer.
    pub idle_within: Duration,
    /// Time limit of a request's body after its head. Beyond it, the body ends in an error that
    /// [`super::body::is_too_slow`] recognises.
    pub body_within: Duration,
    /// The path that takes files as bodies, and their time limit.
    pub files: Option<(&'static str, Duration)>,
    /// How long an answer may wait to be read.
    pub answer_within: Duration,
    /// The maximum number of connections.
    pub connections: usize,
    /// How long connections may take to finish after the stop; the rest is cut.
    pub drain: Duration,
}

impl Limits {
    #[must_use]
    pub fn outside(settings: &Settings) -> Self {
        let body_within = public::body_within(settings.ack_timeout);
        Self { head_within: OUTSIDE_HEAD, body_within, files: None, ..Self::inside(settings) }
    }

    #[must_use]
    pub fn inside(settings: &Settings) -> Self {
        Self {
            head_within: INSIDE_HEAD,
            idle_within: settings.keep_alive,
            body_within: INSIDE_BODY,
            files: Some(("/v1/reports", FILE_BODY)),
            answer_within: ANSWER,
            connections: CONNECTIONS,
            // An accepted request is answered within this time.
            drain: settings.ack_timeout + Duration::from_secs(1),
        }
    }
}

/// Serves until `stop`. Then accepts no connections, lets requests in progress finish, and cuts the rest after
/// [`Limits::drain`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let crowded = Arc::new(Notify::new());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &slots, &crowded)).await {
        let Some((stream, peer, slot)) = accepted else { continue };
        // Answers are small and must not be delayed.
        let _ = stream.set_nodelay(true);
        let timer = HeadTimer::new(limits.head_within, limits.idle_within, Arc::clone(&crowded));
        let stream = TokioIo::new(Outgoing::new(stream, limits.answer_within, timer.clone()));
        // Adds the peer's address, as `axum::serve` does.
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let is_file = limits.files.filter(|(path, _)| *path == request.uri().path());
            let within = is_file.map_or(limits.body_within, |(_, within)| within);
            service.clone().oneshot(request.map(|body| DeadlineBody::new(within, body)))
        });
        let connection = http1::Builder::new()
            .timer(timer)
            // Enables the timer, which has its own limits.
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
        // Drops finished tasks as new ones arrive.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.drain, graceful.shutdown()).await;
    connections.shutdown().await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once a slot is free. If all are taken, `crowded` makes the connection that has been idle for
/// longest close.
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
    // Withdraw the request if no connection was idle, so that a later idle connection does not close for it.
    let _ = crowded.notified().now_or_never();
    Some((stream, peer, slot))
}
