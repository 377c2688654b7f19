//! Time limits for a connection's next request.
//!
//! The HTTP library has one time-out for the whole wait. Here the wait has two parts. Until the first byte of a request
//! the connection is idle, and after an answer it may stay idle as long as a load balancer keeps it. From the first
//! byte, the head must arrive in time. If the listener is full, the connection that has been idle for longest is
//! closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, sleep};

/// The timer of one connection. The HTTP library starts it before each head and drops it when the head has arrived.
#[derive(Clone)]
pub struct HeadTimer(Arc<Connection>);

struct Connection {
    head_within: Duration,
    idle_within: Duration,
    crowded: Arc<Notify>,
    /// Whether a head was awaited before.
    used: AtomicBool,
    /// Whether bytes arrived since the wait began.
    begun: AtomicBool,
}

impl HeadTimer {
    /// `head_within`: time limit of a head. `idle_within`: idle time after an answer. `crowded`: closes the connection
    /// that has been idle for longest.
    #[must_use]
    pub fn new(head_within: Duration, idle_within: Duration, crowded: Arc<Notify>) -> Self {
        let (used, begun) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Connection { head_within, idle_within, crowded, used, begun }))
    }

    /// Records that bytes arrived.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// A new connection gets only the time limit of a head: its client has not sent a request yet.
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

/// The library uses the timer only for heads; the duration is decided here.
impl Timer for HeadTimer {
    fn sleep(&self, _within: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }
}

/// The wait for one head; it resolves at the time-out.
struct Wait {
    connection: Arc<Connection>,
    ends: Pin<Box<tokio::time::Sleep>>,
    /// The time limit of the head from its first byte. None: no limit of its own.
    head_within: Option<Duration>,
    /// Its place in the queue of idle connections, while it is idle.
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
