//! How long a connection waits for a request.
//!
//! The HTTP library has one time-out for the whole wait. Here the wait has two parts: until the first byte of a request the
//! connection is idle, and after an answer it may be so for as long as a balancer keeps it; from that byte on, the head must come
//! in time. Where the listener has no place left, the connection that has been idle for longest gives up its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, sleep};

/// The timer of one connection, which the HTTP library starts before each head and drops once the head is there.
#[derive(Clone)]
pub struct HeadTimer(Arc<Connection>);

struct Connection {
    head_within: Duration,
    idle_within: Duration,
    crowded: Arc<Notify>,
    /// Whether a head was waited for before.
    used: AtomicBool,
    /// Whether bytes came since the wait began.
    begun: AtomicBool,
}

impl HeadTimer {
    /// The timer of a connection whose heads must come within `head_within`, and which may be idle for `idle_within` after an
    /// answer. `crowded` ends the wait of the connection that has been idle for longest.
    #[must_use]
    pub fn new(head_within: Duration, idle_within: Duration, crowded: Arc<Notify>) -> Self {
        let (used, begun) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Connection { head_within, idle_within, crowded, used, begun }))
    }

    /// Says that bytes came.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Before its first request a connection has the time of one head for all: only a client that was answered is known to send any.
    fn wait(&self) -> Wait {
        let Connection { head_within, idle_within, crowded, used, begun } = &*self.0;
        let used = used.swap(true, Ordering::Relaxed);
        begun.store(false, Ordering::Relaxed);
        Wait {
            connection: Arc::clone(&self.0),
            ends: Box::pin(sleep(if used { *idle_within } else { *head_within })),
            head_within: used.then_some(*head_within),
            displaced: Some(Box::pin(Arc::clone(crowded).notified_owned())),
        }
    }
}

/// The library asks for the time-out of a head and for no other; how long that is, is decided here.
impl Timer for HeadTimer {
    fn sleep(&self, _within: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }
}

/// The wait for one head: it is over when its time is.
struct Wait {
    connection: Arc<Connection>,
    ends: Pin<Box<tokio::time::Sleep>>,
    /// What the head has from its first byte on; none: no time of its own.
    head_within: Option<Duration>,
    /// Its place in the line of idle connections, while it is one.
    displaced: Option<Pin<Box<OwnedNotified>>>,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    /// The library polls this after each read that did not complete the head.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.displaced.is_some() && self.connection.begun.load(Ordering::Relaxed) {
            self.displaced = None;
            if let Some(within) = self.head_within {
                self.ends.as_mut().reset(Instant::now() + within);
            }
        }
        if let Some(displaced) = &mut self.displaced
            && displaced.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        self.ends.as_mut().poll(cx)
    }
}
