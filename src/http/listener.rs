//! The accept loop of both listeners.
//!
//! `axum::serve` has no time-out for a request's head and no bound on connections, so that a handful of clients that send a
//! byte now and then could hold every one of them. Here a head must arrive in time, an idle connection is closed, and a
//! connection beyond the cap waits to be accepted until another ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where the kernel has no file descriptor left, trying again at once would only spin.
const AFTER_ERROR: Duration = Duration::from_millis(50);
/// The most bytes of a request's head, and of a body that nobody reads.
const MAX_BUFFER: usize = 64 * 1_024;

/// What a client may take of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest that a request's head may take, and that a connection may be idle.
    pub head_within: Duration,
    /// The most connections at once.
    pub connections: usize,
    /// How long connections may take to end after the stop; what is left then is cut.
    pub drain: Duration,
}

/// Serves until `stop`: then accepts nothing more, lets requests under way end, and cuts what is left after
/// [`Limits::drain`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &slots)).await {
        let Some((stream, slot)) = accepted else { continue };
        // Answers are small and wait for nothing.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
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

type Accepted = (TcpStream, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(AFTER_ERROR).await;
            None
        }
    }
}
