//! Readers of openings, and now and then of everything else.

use std::sync::Arc;

use rand::rngs::StdRng;
use serde::Deserialize;
use tokio::time::Instant;

use super::pace::Pace;
use super::run::{Run, count};
use crate::files::now;
use crate::provider::rng;
use crate::record::Seen;

/// Beside every so many readings of an opening, something else is read.
const ASIDE: u64 = 20;
/// The other resources that are read.
const OTHERS: [&str; 7] = [
    "/v1/account-openings/{id}/history",
    "/v1/account-openings/{id}/timeline",
    "/v1/account-openings?limit=50",
    "/v1/account-openings?status=in_progress&limit=200",
    "/v1/dead-letters?queue=inbox",
    "/v1/cases",
    "/metrics",
];

/// Reads at a rate.
pub struct Readers {
    run: Arc<Run>,
    pace: Pace,
    rng: StdRng,
    begun: u64,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    version: i64,
    state: String,
}

impl Readers {
    pub fn new(run: Arc<Run>, now: Instant) -> Self {
        let (pace, rng) = (Pace::new(run.config.reads_per_second, now), rng(run.config.seed, "readers", 0));
        Self { run, pace, rng, begun: 0 }
    }

    /// Reads what is due.
    pub fn tick(&mut self, now: Instant) {
        self.pace.tick(now);
        while self.pace.is_due() {
            let Some(id) = self.run.any_opening(&mut self.rng) else { return };
            self.pace.send();
            self.begun += 1;
            count(&self.run.counts.reads);
            if self.begun.is_multiple_of(ASIDE) {
                let other = usize::try_from(self.begun / ASIDE).unwrap_or_default() % OTHERS.len();
                self.read(OTHERS[other].replace("{id}", &id), false);
            }
            self.read(format!("/v1/account-openings/{id}"), true);
        }
    }

    fn read(&mut self, path: String, an_opening: bool) {
        let (run, replica) = (Arc::clone(&self.run), self.run.replica(&mut self.rng));
        self.run.spawn(async move {
            let reply = run.net.send(replica, &run.get(path)).await;
            let (at, status) = (now(), reply.status);
            if status != 200 {
                run.history.record(&Seen::Unread { at, replica, status });
            } else if an_opening {
                let seen = match serde_json::from_slice::<Resource>(&reply.body) {
                    Ok(Resource { id, version, state }) => Seen::Read { at, replica, id, version, state },
                    Err(_) => Seen::Unread { at, replica, status },
                };
                run.history.record(&seen);
            }
        });
    }
}
