//! The faults: their times are drawn from the seed, and each returns evidence that it happened.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chaos::{Cut, Proxy, Seen as Carried};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_postgres::Cluster;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::provider::Provider;
use crate::record::Fault;
use crate::services::Replica;
use crate::sql;
use crate::world::link;

/// How often each is struck in a minute.
const A_MINUTE: [(Fault, f64); 15] = [
    (Fault::KillService, 16.0),
    (Fault::KillPostgres, 4.0),
    (Fault::PauseService, 2.0),
    (Fault::CutConnections, 4.0),
    (Fault::HalfClose, 3.0),
    (Fault::DelayConnections, 3.0),
    (Fault::LoseCommit, 5.0),
    (Fault::TerminateBackend, 3.0),
    (Fault::LockStorm, 3.0),
    (Fault::ProviderError, 2.0),
    (Fault::ProviderHang, 2.0),
    (Fault::ProviderThrottle, 2.0),
    (Fault::ProviderGarbage, 2.0),
    (Fault::ProviderGateway, 2.0),
    (Fault::ProviderGzip, 2.0),
];
/// Never struck, because they are part of the data throughout.
const IN_THE_DATA: [Fault; 4] = [Fault::LongId, Fault::CutCharacter, Fault::UnknownWord, Fault::FoldedSignature];
/// The share of strikes that must have evidence, at least one: a service that is down cannot be cut off.
const MUST_SHOW: f64 = 0.5;
/// The first seconds are without faults, so that there is work to disturb.
const QUIET: f64 = 2.0;
/// Longer than a lease: `PROVIDER_TIMEOUT` and `LEASE_MARGIN` of a run are five seconds together.
pub const PAUSE: Duration = Duration::from_millis(7_500);
/// How long to wait for a fault's evidence.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);
/// How long Postgres may take to come back.
const BACK_WITHIN: Duration = Duration::from_secs(25);

/// A fault, at its time.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub at: Duration,
    pub fault: Fault,
    /// The replica, for faults of replicas.
    pub replica: usize,
    /// Duration or severity, 0.0..1.0.
    pub force: f64,
}

/// All strikes of a run, in order.
pub fn draw(seed: u64, seconds: u64, replicas: usize) -> Vec<Strike> {
    let mut random = StdRng::seed_from_u64(seed);
    #[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
    let (length, mut strikes) = (seconds as f64 - QUIET - 1.0, Vec::new());
    for (fault, a_minute) in A_MINUTE {
        let count = times(a_minute, seconds);
        for number in 0..count {
            // Each in its own slot of time, so that a short run has all of them.
            let place = (f64::from(number) + random.random_range(0.1..0.9)) / f64::from(count);
            let at = Duration::from_secs_f64(QUIET + length.max(1.0) * place);
            strikes.push(Strike { at, fault, replica: random.random_range(0..replicas), force: random.random() });
        }
    }
    strikes.sort_by_key(|strike| strike.at);
    strikes
}

/// The faults that must have evidence, with their minimum number.
pub fn must_show(seconds: u64) -> std::collections::BTreeMap<Fault, u64> {
    let least = |count: u32| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let least = (f64::from(count) * MUST_SHOW).floor() as u64;
        least.max(1)
    };
    let drawn = A_MINUTE.into_iter().map(|(fault, a_minute)| match fault {
        // Promised by number: twelve and three per minute.
        Fault::KillService | Fault::KillPostgres => (fault, u64::from(times(a_minute * 0.75, seconds))),
        _ => (fault, least(times(a_minute, seconds))),
    });
    drawn.chain([(Fault::SkewedClock, 1)]).chain(IN_THE_DATA.map(|fault| (fault, 1))).collect()
}

fn times(a_minute: f64, seconds: u64) -> u32 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let count = (a_minute * seconds as f64 / 60.0).floor() as u32;
    count.max(1)
}

/// The targets of faults.
pub struct Targets {
    pub replicas: Vec<Arc<Replica>>,
    pub proxies: Vec<Arc<Proxy>>,
    cluster: RwLock<Arc<Cluster>>,
    pub provider: Provider,
    /// The provider has one fault at a time; the second waits, so that evidence is attributed correctly.
    pub provider_is_struck: Mutex<()>,
}

impl Targets {
    pub fn new(replicas: Vec<Arc<Replica>>, proxies: Vec<Arc<Proxy>>, cluster: Cluster, provider: Provider) -> Self {
        let cluster = RwLock::new(Arc::new(cluster));
        Self { replicas, proxies, cluster, provider, provider_is_struck: Mutex::default() }
    }

    /// The cluster that the services are on now.
    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its database, as the superuser.
    pub fn url(&self) -> String {
        self.cluster().url().to_owned()
    }

    /// Points the services to another cluster and stops the old one.
    pub fn move_to(&self, cluster: Cluster) -> anyhow::Result<()> {
        for proxy in &self.proxies {
            proxy.lead_to(link(cluster.url())?);
        }
        *self.cluster.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(cluster);
        Ok(())
    }

    /// Strikes; returns the target and the evidence.
    pub async fn strike(&self, strike: Strike) -> (String, Option<Value>) {
        let number = self.one_that_runs(strike.replica).await;
        let (replica, proxy) = (&self.replicas[number], &self.proxies[number]);
        let name = format!("service {number}");
        let seconds = |least: f64, most: f64| Duration::from_secs_f64(least + (most - least) * strike.force);
        match strike.fault {
            Fault::KillService => (name, replica.kill(seconds(0.1, 1.2)).await),
            Fault::PauseService => (name, replica.pause(PAUSE).await),
            Fault::KillPostgres => ("postgres".to_owned(), self.kill_postgres().await),
            Fault::CutConnections => {
                let before = proxy.seen();
                proxy.cut(Cut::Both);
                (name, shows_since(proxy, before, |seen| seen.cut).await)
            }
            Fault::HalfClose => {
                let before = proxy.seen();
                proxy.cut(Cut::Half);
                (name, shows_since(proxy, before, |seen| seen.half_closed).await)
            }
            Fault::LoseCommit => {
                let before = proxy.seen();
                proxy.lose_commits(3);
                (name, shows_since(proxy, before, |seen| seen.commits_lost).await)
            }
            Fault::DelayConnections => {
                let before = proxy.seen();
                proxy.delay(Duration::from_millis(20 + number as u64 * 10));
                tokio::time::sleep(seconds(2.0, 4.0)).await;
                proxy.delay(Duration::ZERO);
                (name, shows_since(proxy, before, |seen| seen.delayed).await)
            }
            Fault::TerminateBackend => ("postgres".to_owned(), self.terminate_backends().await),
            Fault::LockStorm => {
                let table = ["inbox", "account_openings", "outbox"][number % 3];
                let waited = sql::storm(&self.url(), table, seconds(1.5, 3.0)).await.unwrap_or_default();
                (format!("table {table}"), (waited > 0).then(|| json!({"waiting_sessions": waited})))
            }
            Fault::SkewedClock | Fault::LongId | Fault::CutCharacter | Fault::UnknownWord | Fault::FoldedSignature => {
                (name, None)
            }
            Fault::ProviderError
            | Fault::ProviderHang
            | Fault::ProviderThrottle
            | Fault::ProviderGarbage
            | Fault::ProviderGateway
            | Fault::ProviderGzip => {
                ("provider".to_owned(), self.strike_provider(strike.fault, seconds(1.5, 3.0)).await)
            }
        }
    }

    /// Most calls to the provider fail for so long; returns how many did. While Postgres is down the service makes no call, so the fault lasts
    /// until it met one.
    async fn strike_provider(&self, fault: Fault, within: Duration) -> Option<Value> {
        let _one_at_a_time = self.provider_is_struck.lock().await;
        let before = self.provider.counts().suffered;
        self.provider.strike(Some(fault), 0.8);
        let begun = Instant::now();
        let met = || self.provider.counts().suffered - before;
        while begun.elapsed() < within || (met() == 0 && begun.elapsed() < BACK_WITHIN) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.provider.strike(None, 0.0);
        let calls = met();
        (calls > 0).then(|| json!({"calls": calls}))
    }

    /// The drawn replica, or the next one that is running.
    pub async fn one_that_runs(&self, drawn: usize) -> usize {
        for step in 0..self.replicas.len() {
            let number = (drawn + step) % self.replicas.len();
            if self.replicas[number].is_up().await {
                return number;
            }
        }
        drawn
    }

    /// kill -9 of the postmaster; its supervisor restarts it.
    async fn kill_postgres(&self) -> Option<Value> {
        let url = &self.url();
        let before = sql::started(&mut sql::connect_patiently(url).await.ok()?).await.ok()?;
        let pid = self.cluster().postmaster_pid()?;
        kill(Pid::from_raw(i32::try_from(pid).ok()?), Signal::SIGKILL).ok()?;
        let killed = Instant::now();
        while killed.elapsed() < BACK_WITHIN {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Ok(mut connection) = sql::connect(url).await else { continue };
            let Ok(after) = sql::started(&mut connection).await else { continue };
            if after != before {
                return Some(json!({"pid": pid, "away_milliseconds": killed.elapsed().as_millis()}));
            }
        }
        None
    }

    async fn terminate_backends(&self) -> Option<Value> {
        let mut connection = sql::connect_patiently(&self.url()).await.ok()?;
        let ended = sql::terminate_backends(&mut connection).await.ok()?;
        (ended > 0).then(|| json!({"connections": ended}))
    }

    /// Ends every lasting fault.
    pub fn heal(&self) {
        self.provider.strike(None, 0.0);
        for proxy in &self.proxies {
            proxy.delay(Duration::ZERO);
            proxy.lose_commits(0);
            proxy.lose_commits_of("", 0);
        }
    }
}

/// Waits until the proxy's counter increases; returns the evidence.
pub async fn shows_since(proxy: &Proxy, before: Carried, count: impl Fn(Carried) -> u64) -> Option<Value> {
    let started = Instant::now();
    while started.elapsed() < SHOWS_WITHIN {
        let more = count(proxy.seen()) - count(before);
        if more > 0 {
            return Some(json!({"times": more}));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_every_fault_and_the_same_seed_the_same_ones() {
        let strikes = draw(7, 60, 3);
        let kills = |fault| strikes.iter().filter(|strike| strike.fault == fault).count();
        assert!(kills(Fault::KillService) >= 12 && kills(Fault::KillPostgres) >= 3);
        for (fault, least) in must_show(60) {
            let is_struck = fault != Fault::SkewedClock && !IN_THE_DATA.contains(&fault);
            assert!(!is_struck || kills(fault) as u64 >= least, "{fault:?}");
        }
        let again = draw(7, 60, 3);
        assert!(strikes.iter().zip(&again).all(|(a, b)| a.at == b.at && a.fault == b.fault && a.replica == b.replica));
        assert!(strikes.iter().all(|strike| strike.at < Duration::from_mins(1)));
    }
}
