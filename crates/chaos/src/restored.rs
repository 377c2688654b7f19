//! The second part of a run, in a small world of its own: in the middle of the load the database is taken back to a dump, on
//! another cluster whose transaction ids are lower, as after a disaster or a move.
//!
//! What was acknowledged after the dump is gone, and rightly so. But the outside world has not gone back: whatever the restored
//! database asks for once more must be the same effect, not a second one, and who reads events goes on from the cursor it has.

use std::path::Path;
use std::time::Duration;

use private_postgres::Cluster;
use tokio::time::{Instant, sleep};

use crate::checker::{Moment, Report};
use crate::dumps;
use crate::files::now;
use crate::load::Load;
use crate::record::{Plan, Seen};
use crate::run::{self, Asked, say};
use crate::sql;
use crate::world::{MAX_CONNECTIONS, Making, World};

/// So many openings are acknowledged before the dump, and so many after the database was taken back.
const OPENINGS: u64 = 20;
/// So many cards are issued after the dump, and not known to the database that is taken back.
const CARDS: u64 = 20;
/// How long any of that may take, on a machine that has other work.
const PATIENCE: Duration = Duration::from_mins(5);
/// So many transactions of the first cluster make its ids higher than the second one's for the whole run.
const TRANSACTIONS: u32 = 50_000;
/// Shorter than in the first part: it ends when the openings that the bank is silent about are escalated.
const ENVIRONMENT: [(&str, &str); 1] = [("ESCALATE_AFTER", "12s")];
/// Beyond all of it.
const SECONDS: u64 = 600;

/// What came of it.
pub struct Restored {
    pub report: Report,
    pub also_wrong: Vec<String>,
}

pub async fn play(asked: &Asked) -> anyhow::Result<Restored> {
    let folder = asked.folder.join("restored");
    std::fs::create_dir_all(&folder)?;
    let asked = Asked {
        seconds: SECONDS,
        // Little enough for a machine that has other work: an overload is not what is to be shown.
        openings_per_second: 4.0,
        messages_per_second: 15.0,
        reads_per_second: 2.0,
        folder: folder.clone(),
        ..asked.clone()
    };
    say("a dump in the middle of a load, and another Postgres that is filled from it");
    let plan = Plan { faults: std::collections::BTreeMap::new(), ..asked.plan() };
    let making = Making {
        folder: &folder,
        service: &asked.service,
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

/// What was wrong with it that no file shows.
async fn story(world: &World, asked: &Asked, folder: &Path) -> anyhow::Result<Vec<String>> {
    let provider = &world.targets.provider;
    sql::use_up_transactions(&world.targets.url(), TRANSACTIONS).await?;
    let load = Load::start(asked.load(SECONDS), world.history.clone(), provider, world.addresses())?;
    until("openings before the dump", || load.progress().acked >= OPENINGS).await?;
    let (file, dumped_at) = (folder.join("dump.sql"), now());
    dumps::dump(&world.targets.url(), &file).await?;
    let cards = provider.counts().cards + CARDS;
    until("cards after the dump", || provider.counts().cards >= cards).await?;
    take_back(world, &file, dumped_at).await?;
    let enough = load.progress().acked + OPENINGS;
    until("openings in the restored database", || load.progress().acked >= enough).await?;
    let (_, wrong) = run::drain(world, load).await?;
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
