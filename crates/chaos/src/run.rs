//! One run: load and faults for some seconds, then healing, draining and judging.

mod outcome;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::outcome::{Outcome, exit_code};
use crate::asked::Asked;
use crate::checker::{self, Inputs, Moment, Report};
use crate::controls::{self, Control, Deal};
use crate::files::now;
use crate::load::Load;
use crate::record::Seen;
use crate::reports::Player;
use crate::strikes::{self, Strike};
use crate::world::{HISTORY_KEY, Making, REPLICAS, World};
use crate::{files, restored, sql};

/// Time limit for draining the backlog after the faults.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);
/// The interval of checks during a control.
const LOOK: Duration = Duration::from_secs(5);
/// How long a service may take to stop: its grace, and a moment.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// The judge's reports about the files that a run left in this folder, of both of its parts if it had two.
pub fn judged(folder: &Path) -> anyhow::Result<Vec<Report>> {
    let parts = [(folder.to_owned(), Moment::Drained), (folder.join("restored"), Moment::Restored)];
    let there = parts.into_iter().map(|(folder, moment)| (folder.join("judged"), moment)).filter(|(it, _)| it.exists());
    let reports = there.map(|(folder, moment)| {
        let [history, ledger, dump] = ["history.jsonl", "ledger.jsonl", "dump.jsonl"].map(|it| folder.join(it));
        checker::check(&inputs(&history, &ledger, &dump, moment))
    });
    let reports = reports.collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(!reports.is_empty(), "no run was judged in {}", folder.display());
    Ok(reports)
}

pub async fn run(asked: &Asked) -> anyhow::Result<Outcome> {
    let control = asked.control.as_deref().and_then(controls::find);
    let mut outcome = match control {
        Some(control) if control.deal == Deal::TakeBack => take_back(asked).await?,
        control => first_part(asked, control).await?,
    };
    if control.is_none() && outcome.violations() == 0 {
        let restored = restored::play(asked).await?;
        outcome.also_wrong.extend(restored.also_wrong);
        outcome.restored = Some(restored.report);
    }
    outcome.passed = outcome.exit_code() == 0;
    Ok(outcome)
}

/// A control that only a restored database shows.
async fn take_back(asked: &Asked) -> anyhow::Result<Outcome> {
    let restored = restored::play(asked).await?;
    let met = Some(restored.report.again);
    Ok(Outcome { also_wrong: restored.also_wrong, met, ..Outcome::new(asked, restored.report) })
}

async fn first_part(asked: &Asked, control: Option<&Control>) -> anyhow::Result<Outcome> {
    let (plan, out) = (asked.plan(), asked.control.as_deref());
    say("starting Postgres, the outside world and three services");
    let world = World::start(&Making {
        bank: asked.bank,
        folder: &asked.folder,
        service: &asked.service.path,
        plan,
        control: out,
        environment: &[],
    })
    .await?;
    let mut lives = look_after(&world);
    let played = match control {
        Some(control) => {
            controls::play(&world, asked, control).await.map(|it| Played::Early(Box::new(it.report), Some(it.met)))
        }
        None => play(&world, asked).await,
    };
    lives.shutdown().await;
    let badly_ended = stop(&world).await;
    let mut outcome = match played? {
        Played::Early(report, met) => Outcome { met, ..Outcome::new(asked, *report) },
        Played::Whole(drained, wrong) => {
            let mut outcome = Outcome::new(asked, judge(&world, Moment::Drained).await?);
            outcome.drained_in_seconds = drained.map(|it| it.as_secs_f64());
            outcome.also_wrong = wrong.into_iter().chain(badly_ended).collect();
            outcome.also_wrong.extend(world.outside_the_cell().await?);
            outcome
        }
    };
    outcome.also_wrong.extend(world.crashes().await);
    world.targets.provider.stop();
    Ok(outcome)
}

/// Keeps the services running, restarting those that exit.
pub fn look_after(world: &World) -> JoinSet<anyhow::Result<()>> {
    let mut lives = JoinSet::new();
    for replica in &world.targets.replicas {
        let replica = Arc::clone(replica);
        lives.spawn(async move { replica.look_after().await });
    }
    lives
}

/// Stops the services; what was wrong with their end.
pub async fn stop(world: &World) -> Vec<String> {
    let stopping = world.targets.replicas.iter().map(|it| it.stop(STOPPED_WITHIN));
    futures::future::join_all(stopping).await.into_iter().flatten().collect()
}

/// How a first part went.
enum Played {
    /// Something was found while it ran; of a control, also how often its missing defence mattered.
    Early(Box<Report>, Option<u64>),
    /// The run drained, in this time; and what was wrong that no file shows.
    Whole(Option<Duration>, Vec<String>),
}

/// Load and faults, then healing and draining. A run of the broken build ends at its first violation.
async fn play(world: &World, asked: &Asked) -> anyhow::Result<Played> {
    let config = asked.load(asked.seconds);
    let load = Load::start(config, world.history.clone(), &world.targets.provider, world.addresses())?;
    let mut faults = strike_all(world, strikes::draw(asked.seed, asked.seconds, REPLICAS));
    let mut player = if asked.bank.has_files() { Some(Player::new(world, asked.seed)?) } else { None };
    let files = async {
        if let Some(player) = &mut player {
            player.play(asked.seconds).await;
        }
    };
    let early = tokio::select! {
        ((), ()) = futures::future::join(load.ended(), files) => None,
        never = tell(&load, asked.seconds) => match never {},
        report = first_violation(world), if asked.control.is_some() => Some(report?),
    };
    if let Some(report) = early {
        faults.shutdown().await;
        return Ok(Played::Early(Box::new(report), None));
    }
    while faults.join_next().await.is_some() {}
    world.targets.heal();
    let (drained, also_wrong) = drain(world, load, player).await?;
    Ok(Played::Whole(drained, also_wrong))
}

/// Strikes each at its time; dropped, it strikes no more.
pub fn strike_all(world: &World, strikes: Vec<Strike>) -> JoinSet<()> {
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
pub async fn drain(
    world: &World,
    load: Load,
    player: Option<Player>,
) -> anyhow::Result<(Option<Duration>, Vec<String>)> {
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
    if let Some(mut player) = player {
        say("the bank's last files, with divergences");
        wrong.extend(player.finish().await);
        // Cases of the files tell the subscriber.
        until_idle(world, Instant::now()).await;
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
        if let Ok(mut connection) = sql::connect(&world.targets.url()).await
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
pub async fn judge(world: &World, moment: Moment) -> anyhow::Result<Report> {
    world.history.flush().await?;
    let now = world.folder.join("judged");
    std::fs::create_dir_all(&now)?;
    let [history, dump, ledger] = ["history.jsonl", "dump.jsonl", "ledger.jsonl"].map(|name| now.join(name));
    std::fs::copy(world.folder.join("history.jsonl"), &history).context("the history")?;
    sql::dump(&world.targets.url(), &dump).await?;
    world.ledger.flush().await?;
    std::fs::copy(world.folder.join("ledger.jsonl"), &ledger).context("the ledger")?;
    let check = move || checker::check(&inputs(&history, &ledger, &dump, moment));
    tokio::task::spawn_blocking(check).await?
}

fn inputs<'a>(history: &'a Path, ledger: &'a Path, dump: &'a Path, moment: Moment) -> Inputs<'a> {
    Inputs { history, ledger, dump, history_key: HISTORY_KEY, moment }
}

/// Prints a progress line every few seconds.
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
