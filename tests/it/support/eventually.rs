//! Waiting for what happens beside the test, without a fixed sleep.

use std::time::Duration;

/// How long something may take that happens by itself.
const WITHIN: Duration = Duration::from_secs(30);

/// Looks again and again until there is something to see; `what` is told if there never is.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            // Lets others run; the condition, not this pause, decides when it is over.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(WITHIN, looking).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}
