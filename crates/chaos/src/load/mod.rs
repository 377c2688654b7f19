//! The load: callers that open accounts, the bank's messages, readers, and a follower of the events at each replica.
//!
//! Rates are independent of the service: a slow answer delays no other request. Unacknowledged requests are repeated,
//! as callers and banks do. A request is recorded before its bytes are sent, an answer after it arrived.

mod config;
mod courier;
mod fate;
mod follower;
mod messages;
mod net;
mod openings;
mod pace;
mod readers;
mod run;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

pub use self::config::{Config, Progress, Replica};
use self::messages::Messages;
pub use self::net::Net;
use self::openings::Openings;
use self::readers::Readers;
use self::run::Run;
pub use self::wire::{Call, Listener};
use crate::files::{Recorder, now};
use crate::provider::{Provider, Word};
use crate::record::Seen;

/// How often what is due is sent.
const TICK: Duration = Duration::from_millis(5);
/// How often a drain looks.
const LOOK: Duration = Duration::from_millis(50);

/// A load that runs.
pub struct Load {
    run: Arc<Run>,
    driver: JoinHandle<()>,
    followers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it. It begins no new work after `config.seconds`; unacknowledged openings and messages are repeated beyond that.
    /// The history's `Plan` is the supervisor's to write, before.
    pub fn start(
        config: Config,
        history: Recorder,
        provider: &Provider,
        replicas: Vec<Replica>,
    ) -> anyhow::Result<Self> {
        let followed = replicas.len();
        let run = Arc::new(Run::new(config, history, Net::new(replicas)?, provider.world()));
        let begun = Instant::now();
        let driver = Driver {
            openings: Openings::new(Arc::clone(&run), begun),
            messages: Messages::new(Arc::clone(&run), begun)?,
            readers: Readers::new(Arc::clone(&run), begun),
            words: provider.world().listen(),
            run: Arc::clone(&run),
        };
        let followers = (0..followed).map(|at| tokio::spawn(follower::follow(Arc::clone(&run), at))).collect();
        Ok(Self { run, driver: tokio::spawn(driver.drive(begun)), followers })
    }

    /// Returns when the planned seconds are over, or [`Self::stop`] was called.
    pub async fn ended(&self) {
        self.run.ended.cancelled().await;
    }

    /// Begins no new work from now on; returns when that is recorded. Repeats, the bank's own messages (of decisions still to
    /// come) and the followers go on.
    pub async fn stop(&self) {
        self.run.stop.cancel();
        self.ended().await;
    }

    /// To be called when all is healed: returns when every opening is acknowledged and every message acknowledged or given up,
    /// or after `within`. How many openings are left unacknowledged.
    pub async fn drain(&self, within: Duration) -> u64 {
        let deadline = Instant::now() + within;
        while self.progress().pending > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        let progress = self.progress();
        progress.openings - progress.acked
    }

    /// To be called when the service has come to rest: lets each follower read on until two pages in a row are empty, ends
    /// everything and flushes the history. What has been said since the drain is sent first. How many followers did not get there in time.
    pub async fn finish(self, within: Duration) -> anyhow::Result<usize> {
        let deadline = Instant::now() + within;
        self.run.stop.cancel();
        self.drain(within).await;
        self.run.finishing.cancel();
        let mut behind = 0;
        for mut follower in self.followers {
            if tokio::time::timeout_at(deadline, &mut follower).await.is_err() {
                follower.abort();
                behind += 1;
            }
        }
        self.run.abort.cancel();
        let _ = self.driver.await;
        self.run.history.flush().await?;
        Ok(behind)
    }

    pub fn progress(&self) -> Progress {
        self.run.progress()
    }
}

/// Sends everything at its time.
struct Driver {
    run: Arc<Run>,
    openings: Openings,
    messages: Messages,
    readers: Readers,
    words: UnboundedReceiver<Word>,
}

impl Driver {
    async fn drive(mut self, begun: Instant) {
        let end = begun + Duration::from_secs(self.run.config.seconds);
        self.run.history.record(&Seen::Load { at: now(), running: true });
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut over = false;
        while !over {
            ticks.tick().await;
            let now = Instant::now().min(end);
            self.openings.tick(now);
            self.messages.tick(now, &mut self.words);
            self.readers.tick(now);
            over = now == end || self.run.stop.is_cancelled();
        }
        self.run.history.record(&Seen::Load { at: now(), running: false });
        self.run.ended.cancel();
        let abort = self.run.abort.clone();
        while let Some(Some(word)) = abort.run_until_cancelled(self.words.recv()).await {
            self.messages.say(&word);
        }
    }
}
