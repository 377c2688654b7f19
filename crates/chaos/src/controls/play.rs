//! One run of a control: the normal load and faults, plus the faults that make the missing defence matter, until a sign
//! shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::table::{Control, Deal};
use crate::asked::Asked;
use crate::checker::{Moment, Report};
use crate::load::Load;
use crate::record::Fault;
use crate::run::{self, say};
use crate::strikes::{PAUSE, Targets, shows_since};
use crate::world::{REPLICAS, World};
use crate::{sql, strikes};

/// The maximum extension of a run while the missing defence has not mattered.
const LONGER: u64 = 4;
/// After it mattered and the planned time passed, this many checks must show a sign.
const LOOKS: u32 = 3;
/// The interval of checks during a control.
const LOOK: Duration = Duration::from_secs(5);
/// The pause between two deals.
const BREATH: Duration = Duration::from_millis(500);
/// How long a table is locked.
const LOCKED: Duration = Duration::from_secs(1);
/// How long the way to the database is slow at most, and how slow.
const SLOW: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(30));
/// The interval of looks at a log: much shorter than a transaction on the slow way.
const GLANCE: Duration = Duration::from_millis(5);
/// The statement of a transaction that starts an opening, and of no other.
const START: &str = "idempotency::insert";
/// A broken service logs this line when its missing defence would have been needed.
const MATTERED: &str = "the missing defence mattered";

/// The result of a run.
pub struct Played {
    pub report: Report,
    /// How often the missing defence mattered, as far as proxy, strikes and the services' logs show.
    pub met: u64,
}

/// Runs until a sign shows or the time is over: the planned time, extended until the missing defence has mattered.
pub async fn play(world: &World, asked: &Asked, control: &Control) -> anyhow::Result<Played> {
    let bound = asked.seconds * LONGER;
    let config = crate::load::Config { many_hang_up: control.deal == Deal::HangUp, ..asked.load(bound) };
    let _load = Load::start(config, world.history.clone(), &world.targets.provider, world.addresses())?;
    let _strikes = run::strike_all(world, strikes::draw(asked.seed, bound, REPLICAS));
    let met = Arc::new(AtomicU64::new(0));
    let mut dealing = tokio::task::JoinSet::new();
    dealing.spawn(deal_on(Arc::clone(&world.targets), control.deal, world.folder.clone(), Arc::clone(&met)));
    let (began, mut looks) = (Instant::now(), 0);
    loop {
        sleep(LOOK).await;
        // Postgres is down; check again later.
        let Ok(report) = run::judge(world, Moment::Running).await else { continue };
        let met = met.load(Ordering::SeqCst) + told(&world.folder);
        looks += u32::from(met > 0);
        let enough = began.elapsed() > Duration::from_secs(asked.seconds) && looks > LOOKS;
        if report.shows(control.signs) || enough || began.elapsed() > Duration::from_secs(bound) {
            return Ok(Played { report, met });
        }
        say(&format!("{}: mattered {met} times, no sign yet", control.name));
    }
}

/// How often the services logged that the missing defence mattered.
fn told(folder: &Path) -> u64 {
    (0..REPLICAS).map(|replica| told_by(folder, replica)).sum()
}

/// How often this replica logged it.
fn told_by(folder: &Path, replica: usize) -> u64 {
    let log = std::fs::read_to_string(folder.join(format!("service-{replica}.log"))).unwrap_or_default();
    u64::try_from(log.matches(MATTERED).count()).unwrap_or_default()
}

/// Returns once this replica logged it again, or after `at_most`.
async fn until_told(folder: &Path, replica: usize, at_most: Duration) {
    let (began, before) = (Instant::now(), told_by(folder, replica));
    while began.elapsed() < at_most && told_by(folder, replica) == before {
        sleep(GLANCE).await;
    }
}

async fn deal_on(targets: Arc<Targets>, deal: Deal, folder: PathBuf, met: Arc<AtomicU64>) {
    for round in 0.. {
        if targets.deal(deal, round, &folder).await {
            met.fetch_add(1, Ordering::SeqCst);
        }
        sleep(BREATH).await;
    }
}

impl Targets {
    /// Deals once. Returns whether the missing defence mattered, if visible from outside.
    async fn deal(&self, deal: Deal, round: usize, folder: &Path) -> bool {
        let number = self.one_that_runs(round % REPLICAS).await;
        let (replica, proxy) = (&self.replicas[number], &self.proxies[number]);
        match deal {
            Deal::Load | Deal::TakeBack => sleep(LOCKED).await,
            Deal::KillInALock => {
                let killing = async {
                    sleep(LOCKED * 2 / 3).await;
                    replica.kill(BREATH).await.is_some()
                };
                let url = self.url();
                let (waiting, killed) = tokio::join!(sql::storm(&url, "inbox", LOCKED), killing);
                return killed && waiting.is_ok_and(|it| it > 0);
            }
            Deal::SleepOverALease => self.sleep_over_a_lease(number).await,
            Deal::LookAtOnce => drop(sql::storm(&self.url(), "inbox", LOCKED).await),
            Deal::Kill => return replica.kill(BREATH).await.is_some(),
            Deal::LoseAStart => {
                let before = proxy.seen();
                proxy.lose_commits_of(START, 1);
                return shows_since(proxy, before, |seen| seen.chosen_commits_lost).await.is_some();
            }
            Deal::IgnoreOptions => {
                sleep(LOCKED).await;
                return self.proxies.iter().any(|it| it.seen().options_ignored > 0);
            }
            Deal::HangUp => {
                proxy.delay(SLOW.1);
                // The next transaction on the connection commits what was written while one was left open. So the replica dies as soon
                // as it has acknowledged such a message.
                until_told(folder, number, SLOW.0).await;
                replica.kill(BREATH).await;
                proxy.delay(Duration::ZERO);
            }
        }
        false
    }

    /// Every call hangs, so that the replica holds leases when it is paused; the other replicas then get answers.
    async fn sleep_over_a_lease(&self, number: usize) {
        let _one_at_a_time = self.provider_is_struck.lock().await;
        self.provider.strike(Some(Fault::ProviderHang), 1.0);
        sleep(BREATH).await;
        let healing = async {
            sleep(BREATH).await;
            self.provider.strike(None, 0.0);
        };
        tokio::join!(self.replicas[number].pause(PAUSE), healing);
    }
}
