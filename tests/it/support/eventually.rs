//! Waiting for what happens beside the test, without a fixed sleep.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long something may take that happens by itself in the same process.
const WITHIN: Duration = Duration::from_secs(30);
/// Between two looks; the condition, not this pause, decides when it is over.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to see; `what` is told if there never is.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(what, WITHIN, look).await
}

/// The same, with a time of the test's own: processes take longer.
pub async fn eventually_within<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match tokio::time::timeout_at(deadline.into(), look()).await {
            Ok(Some(seen)) => return seen,
            // A look that waits for nothing is done before its time is looked at.
            Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            Ok(None) | Err(_) => panic!("not within {within:?}: {what}"),
        }
    }
}

/// Does `work` again and again, each time to its end, until something else is done; what that came to. Work that is dropped
/// on its way leaves leases behind.
pub async fn meanwhile<T>(something: impl Future<Output = T>, work: impl AsyncFn()) -> T {
    let done = Cell::new(false);
    let something = async {
        let result = something.await;
        done.set(true);
        result
    };
    let working = async {
        while !done.get() {
            work().await;
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::join!(something, working).0
}
