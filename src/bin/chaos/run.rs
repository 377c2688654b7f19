//! One run: load and faults for so many seconds, then healing, draining, and the judgement.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::checker::{self, Inputs, Moment, Report};
use crate::files::now;
use crate::load::{self, Load};
use crate::record::{Fault, Plan, Seen};
use crate::strikes::{self, Strike};
use crate::world::{HISTORY_KEY, Making, REPLICAS, TOKEN, WEBHOOK_SECRET, World};
use crate::{files, sql};

/// The backlog must be gone this long after the faults end.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);
/// How often a control is looked at while it runs.
const LOOK: Duration = Duration::from_secs(5);
/// How long a service may take to stop: its grace, and a moment.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// What is asked of a run.
pub struct Asked {
    pub seed: u64,
    pub seconds: u64,
    pub openings_per_second: f64,
    pub messages_per_second: f64,
    pub reads_per_second: f64,
    /// Where its files are kept.
    pub folder: PathBuf,
    /// The defence that is out. Such a run ends at its first violation.
    pub control: Option<String>,
}

impl Asked {
    fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            seconds: self.seconds,
            replicas: REPLICAS,
            openings_per_second: self.openings_per_second,
            messages_per_second: self.messages_per_second,
            reads_per_second: self.reads_per_second,
            faults: strikes::must_show(self.seconds),
        }
    }
}

/// What came of it.
#[derive(Serialize)]
pub struct Outcome {
    pub passed: bool,
    pub seed: u64,
    pub seconds: u64,
    pub control: Option<String>,
    pub service_kills: u64,
    pub postgres_kills: u64,
    /// From the end of the faults until nothing was left to do.
    pub drained_in_seconds: Option<f64>,
    /// Violations that no file shows: a service that ended by itself, a backlog that stayed.
    pub also_wrong: Vec<String>,
    pub report: Report,
    pub files: PathBuf,
}

impl Outcome {
    pub fn violations(&self) -> u64 {
        self.report.violations() + self.also_wrong.len() as u64
    }

    /// 0 passed, 1 violated, 3 invalid.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.violations(), &self.report)
    }
}

pub const fn exit_code(violations: u64, report: &Report) -> u8 {
    match (violations, report.invalid.is_empty()) {
        (0, true) => 0,
        (0, false) => 3,
        _ => 1,
    }
}

/// What the judge says of the files that a run left in this folder when it had drained.
pub fn judged(folder: &Path) -> anyhow::Result<Report> {
    let [history, ledger, dump] =
        ["history.jsonl", "ledger.jsonl", "dump.jsonl"].map(|it| folder.join("judged").join(it));
    checker::check(&inputs(&history, &ledger, &dump, Moment::Drained))
}

pub async fn run(asked: &Asked) -> anyhow::Result<Outcome> {
    let making = Making { folder: &asked.folder, plan: asked.plan(), control: asked.control.as_deref() };
    say("starting Postgres, the outside world and three services");
    let world = World::start(&making).await?;
    let mut lives = JoinSet::new();
    for replica in &world.targets.replicas {
        let replica = Arc::clone(replica);
        lives.spawn(async move { replica.look_after().await });
    }
    let outcome = play(&world, asked).await;
    lives.shutdown().await;
    let stopping = world.targets.replicas.iter().map(|it| it.stop(STOPPED_WITHIN));
    let badly_ended: Vec<String> = futures::future::join_all(stopping).await.into_iter().flatten().collect();
    let (drained, mut also_wrong, early) = outcome?;
    if early.is_none() {
        also_wrong.extend(badly_ended);
    }
    let report = match early {
        Some(report) => report,
        None => judge(&world, Moment::Drained).await?,
    };
    also_wrong.extend(world.crashes().await);
    world.targets.provider.stop();
    let struck = |fault| report.faults.get(&fault).map_or(0, |it| it.with_evidence);
    let mut outcome = Outcome {
        passed: false,
        seed: asked.seed,
        seconds: asked.seconds,
        control: asked.control.clone(),
        service_kills: struck(Fault::KillService),
        postgres_kills: struck(Fault::KillPostgres),
        drained_in_seconds: drained.map(|it| it.as_secs_f64()),
        also_wrong,
        report,
        files: asked.folder.clone(),
    };
    outcome.passed = outcome.exit_code() == 0;
    Ok(outcome)
}

type Played = (Option<Duration>, Vec<String>, Option<Report>);

/// Load and faults, then healing and draining. A control may end it early, with its report.
async fn play(world: &World, asked: &Asked) -> anyhow::Result<Played> {
    let config = load::Config {
        seed: asked.seed,
        seconds: asked.seconds,
        openings_per_second: asked.openings_per_second,
        messages_per_second: asked.messages_per_second,
        reads_per_second: asked.reads_per_second,
        token: TOKEN.to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
    };
    let load = Load::start(config, world.history.clone(), &world.targets.provider, world.addresses())?;
    let mut faults = strike_all(world, strikes::draw(asked.seed, asked.seconds, REPLICAS));
    let early = tokio::select! {
        () = load.ended() => None,
        never = tell(&load, asked.seconds) => match never {},
        report = first_violation(world), if asked.control.is_some() => Some(report?),
    };
    if let Some(report) = early {
        faults.shutdown().await;
        return Ok((None, Vec::new(), Some(report)));
    }
    while faults.join_next().await.is_some() {}
    world.targets.heal();
    let (drained, also_wrong) = drain(world, load).await?;
    Ok((drained, also_wrong, None))
}

fn strike_all(world: &World, strikes: Vec<Strike>) -> JoinSet<()> {
    let (began, mut faults) = (Instant::now(), JoinSet::new());
    for strike in strikes {
        let (targets, history) = (Arc::clone(&world.targets), world.history.clone());
        faults.spawn(async move {
            tokio::time::sleep_until(began + strike.at).await;
            let (target, evidence) = targets.strike(strike).await;
            history.record(&Seen::Fault { at: now(), fault: strike.fault, target, evidence });
        });
    }
    faults
}

/// Everything is well again: what is left must be done in time.
async fn drain(world: &World, load: Load) -> anyhow::Result<(Option<Duration>, Vec<String>)> {
    let healed = Instant::now();
    say("the faults are over; draining");
    let mut wrong = Vec::new();
    if let Err(error) = world.until_serving(Duration::from_secs(30)).await {
        wrong.push(format!("P19: full service within 30 s of relief: {error}"));
    }
    let late = world.targets.provider.finish_silent();
    say(&format!("the bank decides {late} that it was silent about"));
    load.stop().await;
    let unacknowledged = load.drain(DRAINED_WITHIN).await;
    if unacknowledged > 0 {
        wrong.push(format!("{unacknowledged} openings were never acknowledged"));
    }
    let drained = until_idle(world, healed).await;
    if drained.is_none() {
        wrong.push(format!("P21: the backlog is not gone after {DRAINED_WITHIN:?}"));
    }
    let behind = load.finish(Duration::from_secs(20)).await?;
    if behind > 0 {
        wrong.push(format!("P11: {behind} followers did not get to the end of the events"));
    }
    Ok((drained, wrong))
}

/// Waits until nothing is left to do; how long it took.
async fn until_idle(world: &World, since: Instant) -> Option<Duration> {
    let mut told = Instant::now();
    while since.elapsed() < DRAINED_WITHIN {
        if let Ok(mut connection) = sql::connect(world.targets.cluster.url()).await
            && let Ok((inbox, outbox, openings)) = sql::backlog(&mut connection).await
        {
            if (inbox, outbox, openings) == (0, 0, 0) {
                return Some(since.elapsed());
            }
            if told.elapsed() > LOOK {
                say(&format!("left: {inbox} facts, {outbox} calls, {openings} openings"));
                told = Instant::now();
            }
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    None
}

/// Looks at what may never be wrong, again and again, until something is.
async fn first_violation(world: &World) -> anyhow::Result<Report> {
    loop {
        tokio::time::sleep(LOOK).await;
        // While Postgres is down there is nothing to look at.
        let Ok(report) = judge(world, Moment::Running).await else { continue };
        if report.violations() > 0 {
            return Ok(report);
        }
    }
}

/// Every acknowledgement in the history is older than the dump, and every effect in it is in the ledger.
async fn judge(world: &World, moment: Moment) -> anyhow::Result<Report> {
    world.history.flush().await?;
    let now = world.folder.join("judged");
    std::fs::create_dir_all(&now)?;
    let [history, dump, ledger] = ["history.jsonl", "dump.jsonl", "ledger.jsonl"].map(|name| now.join(name));
    std::fs::copy(world.folder.join("history.jsonl"), &history).context("the history")?;
    sql::dump(world.targets.cluster.url(), &dump).await?;
    world.ledger.flush().await?;
    std::fs::copy(world.folder.join("ledger.jsonl"), &ledger).context("the ledger")?;
    let check = move || checker::check(&inputs(&history, &ledger, &dump, moment));
    tokio::task::spawn_blocking(check).await?
}

fn inputs<'a>(history: &'a Path, ledger: &'a Path, dump: &'a Path, moment: Moment) -> Inputs<'a> {
    Inputs { history, ledger, dump, history_key: HISTORY_KEY, moment }
}

/// A line every few seconds for whoever waits.
async fn tell(load: &Load, seconds: u64) -> std::convert::Infallible {
    let began = files::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let (past, it) = ((files::now() - began) / 1_000_000, load.progress());
        say(&format!(
            "{past:3}/{seconds} s: {} openings asked for, {} acknowledged; {} messages, {} requests sent; {} under way; answers {:?}",
            it.openings, it.acked, it.messages, it.sent, it.in_flight, it.answers
        ));
    }
}

pub fn say(line: &str) {
    eprintln!("{line}");
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.report)?;
        let drained = self.drained_in_seconds.map_or("never".to_owned(), |it| format!("in {it:.1} s"));
        writeln!(
            f,
            "kills: {} of services, {} of Postgres; drained {drained}",
            self.service_kills, self.postgres_kills
        )?;
        for wrong in &self.also_wrong {
            writeln!(f, "VIOLATION: {wrong}")?;
        }
        let verdict = match self.exit_code() {
            0 => "PASSED",
            3 => "INVALID",
            _ => "VIOLATED",
        };
        write!(
            f,
            "seed {}, {} s: {verdict} ({} violations); files in {}",
            self.seed,
            self.seconds,
            self.violations(),
            self.files.display()
        )
    }
}
