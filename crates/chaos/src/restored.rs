//! The second part of a run, in a smaller world: under load the database is restored from a dump on another cluster
//! with lower transaction ids, as after a disaster or a move.
//!
//! Everything acknowledged after the dump is lost, as expected. But the outside world has not gone back: a repeated
//! request of the restored database must have no second effect, and readers of events continue with their cursors.

use std::path::Path;
use std::time::Duration;

use private_postgres::Cluster;
use tokio::time::{Instant, sleep};

use crate::asked::Asked;
use crate::checker::{Moment, Report};
use crate::dumps;
use crate::files::now;
use crate::load::Load;
use crate::record::{Fault, Plan, Seen};
use crate::run::{self, say};
use crate::sql;
use crate::world::{MAX_CONNECTIONS, Making, World};

/// Openings acknowledged before the dump, and again after the restore.
const OPENINGS: u64 = 20;
/// Openings that the dump contains and for which nothing is made before it: some banks open an account at once, so at any
/// moment hardly an opening is on its way.
const WAITING: u64 = 20;
/// Cards issued after the dump, unknown to the restored database.
const CARDS: u64 = 20;
/// Time limit of each phase, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);
/// Transactions used up in the first cluster, so that its ids stay higher than the second one's.
const TRANSACTIONS: u32 = 50_000;
/// Shorter than in the first part, which waits for the escalation of unanswered openings.
const ENVIRONMENT: [(&str, &str); 1] = [("ESCALATE_AFTER", "12s")];
const SECONDS: u64 = 600;

pub struct Restored {
    pub report: Report,
    pub also_wrong: Vec<String>,
}

pub async fn play(asked: &Asked) -> anyhow::Result<Restored> {
    let folder = asked.folder.join("restored");
    std::fs::create_dir_all(&folder)?;
    let asked = Asked {
        seconds: SECONDS,
        // A low rate, since overload is not the subject here.
        openings_per_second: 4.0,
        messages_per_second: 15.0,
        reads_per_second: 2.0,
        folder: folder.clone(),
        ..asked.clone()
    };
    say("a dump in the middle of a load, and another Postgres that is filled from it");
    let plan = Plan { faults: std::collections::BTreeMap::new(), ..asked.plan() };
    let making = Making {
        bank: asked.bank,
        folder: &folder,
        service: &asked.service.path,
        plan,
        control: asked.control.as_deref(),
        environment: &ENVIRONMENT,
    };
    let world = World::start(&making).await?;
    let mut lives = run::look_after(&world);
    let played = story(&world, &asked, &folder).await;
    lives.shutdown().await;
    let mut also_wrong = run::stop(&world).await;
    also_wrong.extend(played?);
    also_wrong.extend(world.crashes().await);
    let report = run::judge(&world, Moment::Restored).await?;
    world.targets.provider.stop();
    Ok(Restored { report, also_wrong })
}

/// Runs it; returns the problems that no file shows.
async fn story(world: &World, asked: &Asked, folder: &Path) -> anyhow::Result<Vec<String>> {
    let provider = &world.targets.provider;
    sql::use_up_transactions(&world.targets.url(), TRANSACTIONS).await?;
    let load = Load::start(asked.load(SECONDS), world.history.clone(), provider, world.addresses())?;
    until("openings before the dump", || load.progress().acked >= OPENINGS).await?;
    provider.strike(Some(Fault::ProviderThrottle), 1.0);
    let waiting = load.progress().acked + WAITING;
    until("openings that wait at the dump", || load.progress().acked >= waiting).await?;
    let (file, dumped_at) = (folder.join("dump.sql"), now());
    dumps::dump(&world.targets.url(), &file).await?;
    provider.strike(None, 0.0);
    let cards = provider.counts().cards + CARDS;
    until("cards after the dump", || provider.counts().cards >= cards).await?;
    take_back(world, &file, dumped_at).await?;
    let enough = load.progress().acked + OPENINGS;
    until("openings in the restored database", || load.progress().acked >= enough).await?;
    let (_, wrong) = run::drain(world, load, None).await?;
    Ok(wrong)
}

async fn take_back(world: &World, file: &Path, dumped_at: i64) -> anyhow::Result<()> {
    for replica in &world.targets.replicas {
        replica.take_down().await;
    }
    let before = sql::next_transaction(&world.targets.url()).await?;
    let cluster = Cluster::temporary(None, MAX_CONNECTIONS).await?;
    crate::world::create_role(cluster.url()).await?;
    dumps::restore(cluster.url(), file).await?;
    let after = sql::next_transaction(cluster.url()).await?;
    world.targets.move_to(cluster)?;
    world.history.record(&Seen::Restored { at: now(), dumped_at, before, after });
    say(&format!("taken back; the next transaction was {before} and is {after}"));
    for replica in &world.targets.replicas {
        replica.start().await?;
    }
    world.until_serving(PATIENCE).await
}

async fn until(what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        anyhow::ensure!(began.elapsed() < PATIENCE, "too few {what} in {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
