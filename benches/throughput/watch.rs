//! How long it takes from the acknowledgement of a webhook until its opening has moved, as a reader of the table sees it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::numbers::{self, Kind};

const LOOK: Duration = Duration::from_millis(3);
/// How many are looked up at once, the oldest first: they move about in the order in which they came, and each look-up costs.
const AT_ONCE: usize = 16;

/// Watches until the load tells of no more openings and the last of them has moved; the times, sorted.
pub async fn watch(mut connection: PgConnection, mut told: UnboundedReceiver<(u64, Instant)>) -> Vec<Duration> {
    // A look is to cost as little as it can: what it takes is taken from what is measured.
    sqlx::query("set plan_cache_mode = force_generic_plan").execute(&mut connection).await.expect("Postgres answers");
    let (mut times, mut waiting) = (Vec::new(), VecDeque::new());
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    while open || !waiting.is_empty() {
        looks.tick().await;
        loop {
            match told.try_recv() {
                Ok((n, at)) => waiting.push_back((numbers::id(Kind::Opening, n), at)),
                Err(error) => {
                    open &= error == tokio::sync::mpsc::error::TryRecvError::Empty;
                    break;
                }
            }
        }
        if waiting.is_empty() {
            continue;
        }
        let oldest: Vec<Uuid> = waiting.iter().take(AT_ONCE).map(|(id, _)| *id).collect();
        let moved = "select id from account_openings where id = any($1) and state <> 'awaiting_provider'";
        let moved: Vec<Uuid> =
            sqlx::query_scalar(moved).bind(oldest).fetch_all(&mut connection).await.expect("Postgres answers");
        let now = Instant::now();
        waiting.retain(|(id, at)| {
            let there = moved.contains(id);
            if there {
                times.push(now.duration_since(*at));
            }
            !there
        });
    }
    times.sort_unstable();
    times
}
