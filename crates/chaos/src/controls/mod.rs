//! The positive controls: the same run against builds with one defence removed. Each must be caught by a check about
//! that defence; a checker that misses one proves nothing.
//!
//! ```text
//! table.rs    the controls, what makes each defence matter, and its signs
//! play.rs     one run of a control
//! ```

mod play;
mod table;

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

pub use self::play::play;
use self::table::CONTROLS;
pub use self::table::{Control, Deal, find};
use crate::checker::Kind;
use crate::program;
use crate::run::say;

/// The same build and checks with every defence in place; a finding would be the judge's mistake.
pub const INTACT: &str = "none";

/// The names for `--control`.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONTROLS.iter().map(|it| it.name).chain([INTACT])
}

/// Maximum tries per control, each with its own seed. A try continues until the missing defence has mattered, so a
/// second one is only for runs that failed to start.
const TRIES: u64 = 3;

#[derive(Serialize)]
pub struct Caught {
    pub control: &'static str,
    /// The violations that showed, by kind.
    pub by: Vec<String>,
    /// How often the missing defence mattered, as far as visible from outside.
    pub met: u64,
    pub passed: bool,
    pub seed: u64,
    pub seconds: f64,
}

/// Builds and runs all controls in sequence.
pub async fn run_all(seed: u64, seconds: u64, folder: &Path) -> anyhow::Result<Vec<Caught>> {
    let service = program::without_defences().await?;
    let mut all = vec![intact(&service, (seed, seconds), folder).await?];
    for control in &CONTROLS {
        let caught = catch(&service, control, (seed, seconds), folder).await?;
        let verdict = match caught {
            Caught { passed: true, .. } => "caught",
            Caught { met: 0, .. } => "NOT CAUGHT, and was not seen to matter",
            _ => "NOT CAUGHT",
        };
        let Caught { by, seconds, met, .. } = &caught;
        say(&format!("{}: {verdict} by {by:?} in {seconds:.0} s; mattered {met} times", control.name));
        all.push(caught);
    }
    Ok(all)
}

async fn intact(service: &Path, (seed, seconds): (u64, u64), folder: &Path) -> anyhow::Result<Caught> {
    let started = Instant::now();
    say(&format!("{INTACT}: seed {seed}"));
    let (by, _) = signs_of(service, INTACT, seed, seconds, &folder.join(INTACT)).await?;
    let (passed, seconds) = (by.is_empty(), started.elapsed().as_secs_f64());
    say(&format!("{INTACT}: {} in {seconds:.0} s", if passed { "clean" } else { "NOT CLEAN" }));
    Ok(Caught { control: INTACT, by, met: 0, passed, seed, seconds })
}

async fn catch(
    service: &Path,
    control: &Control,
    (seed, seconds): (u64, u64),
    folder: &Path,
) -> anyhow::Result<Caught> {
    let started = Instant::now();
    let mut caught = Caught { control: control.name, by: Vec::new(), met: 0, passed: false, seed, seconds: 0.0 };
    let signs: Vec<String> = control.signs.iter().map(|it| it.name()).collect();
    for step in 0..TRIES {
        caught.seed = seed + step;
        say(&format!("{}: seed {}", control.name, caught.seed));
        let folder = folder.join(format!("{}-{}", control.name, caught.seed));
        (caught.by, caught.met) = signs_of(service, control.name, caught.seed, seconds, &folder).await?;
        caught.passed = caught.by.iter().any(|sign| signs.contains(sign));
        caught.seconds = started.elapsed().as_secs_f64();
        if caught.passed {
            break;
        }
    }
    Ok(caught)
}

/// The violations of one run by kind, and how often its missing defence mattered.
async fn signs_of(
    service: &Path,
    control: &str,
    seed: u64,
    seconds: u64,
    folder: &Path,
) -> anyhow::Result<(Vec<String>, u64)> {
    let mut command = Command::new(std::env::current_exe().context("this executable")?);
    command.args(["--control", control, "--json", "--seed", &seed.to_string(), "--seconds", &seconds.to_string()]);
    command.arg("--service").arg(service).arg("--keep").arg(folder);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("a control")?;
    let log = folder.with_extension("log");
    std::fs::write(&log, &output.stderr).context("a control's log")?;
    let Ok(outcome) = serde_json::from_slice::<Value>(&output.stdout) else {
        // The run failed to start: no sign of anything, and the next try may succeed.
        return Ok((vec![format!("no outcome, {}: see {}", output.status, log.display())], 0));
    };
    let found = |report: &str, kind: &Kind| outcome[report]["found"][kind.name()]["count"].as_u64().unwrap_or_default();
    let shows = |kind: &&Kind| found("report", kind) + found("restored", kind) > 0;
    let kinds = Kind::ALL.iter().filter(shows).map(|kind| kind.name());
    // Problems outside the files: a service that exited by itself, a backlog that stayed.
    let others = outcome["also_wrong"].as_array().cloned().unwrap_or_default();
    let signs = kinds.chain(others.into_iter().map(|it| it.to_string())).collect();
    Ok((signs, outcome["met"].as_u64().unwrap_or_default()))
}
