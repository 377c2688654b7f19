//! The positive controls: the same run against builds in which one defence is taken out. Each must be caught, and by a check
//! that is about it; a checker that misses one proves nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use crate::run::say;

/// Each control, and the violations of which at least one must show.
pub const CONTROLS: [(&str, &[&str]); 7] = [
    ("ack-before-commit", &["lost"]),
    ("no-lease-token", &["settled_twice"]),
    ("no-unique-key", &["double_effects"]),
    ("dedup-only-in-memory", &["double_effects"]),
    ("outbox-outside-the-transaction", &["atomicity", "stuck"]),
    ("blind-repeat-after-unknown-commit", &["double_effects"]),
    ("no-pool-guard", &["lost"]),
];
/// The same build and the same looks while it runs, with every defence in: what is found there would be the judge's mistake.
pub const INTACT: &str = "none";
/// What `--control` takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONTROLS.iter().map(|(name, _)| *name).chain([INTACT])
}

/// A control that is not caught within this many tries is not caught; each try has a seed of its own.
const TRIES: u64 = 3;

#[derive(Serialize)]
pub struct Caught {
    pub control: &'static str,
    /// The violations that showed, by kind.
    pub by: Vec<String>,
    pub passed: bool,
    pub seed: u64,
    pub seconds: f64,
}

/// Builds and runs them all, one after the other.
pub async fn run_all(seed: u64, seconds: u64, folder: &Path) -> anyhow::Result<Vec<Caught>> {
    let program = build().await?;
    let mut all = vec![intact(&program, (seed, seconds), folder).await?];
    for (control, signs) in CONTROLS {
        let caught = catch(&program, control, signs, (seed, seconds), folder).await?;
        let verdict = if caught.passed { "caught" } else { "NOT CAUGHT" };
        say(&format!("{control}: {verdict} by {:?} in {:.0} s", caught.by, caught.seconds));
        all.push(caught);
    }
    Ok(all)
}

async fn intact(program: &Path, (seed, seconds): (u64, u64), folder: &Path) -> anyhow::Result<Caught> {
    let started = Instant::now();
    say(&format!("{INTACT}: seed {seed}"));
    let by = signs_of(program, INTACT, seed, seconds, &folder.join(INTACT)).await?;
    let (passed, seconds) = (by.is_empty(), started.elapsed().as_secs_f64());
    say(&format!("{INTACT}: {} in {seconds:.0} s", if passed { "clean" } else { "NOT CLEAN" }));
    Ok(Caught { control: INTACT, by, passed, seed, seconds })
}

async fn catch(
    program: &Path,
    control: &'static str,
    signs: &[&str],
    (seed, seconds): (u64, u64),
    folder: &Path,
) -> anyhow::Result<Caught> {
    let started = Instant::now();
    let mut caught = Caught { control, by: Vec::new(), passed: false, seed, seconds: 0.0 };
    for step in 0..TRIES {
        caught.seed = seed + step;
        say(&format!("{control}: seed {}", caught.seed));
        caught.by =
            signs_of(program, control, caught.seed, seconds, &folder.join(format!("{control}-{}", caught.seed)))
                .await?;
        caught.passed = caught.by.iter().any(|sign| signs.contains(&sign.as_str()));
        caught.seconds = started.elapsed().as_secs_f64();
        if caught.passed {
            break;
        }
    }
    Ok(caught)
}

/// The kinds of violations that one run shows.
async fn signs_of(
    program: &Path,
    control: &str,
    seed: u64,
    seconds: u64,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(program);
    command.args(["--control", control, "--json", "--seed", &seed.to_string(), "--seconds", &seconds.to_string()]);
    command.arg("--keep").arg(folder);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("a control")?;
    let log = folder.with_extension("log");
    std::fs::write(&log, &output.stderr).context("a control's log")?;
    let Ok(outcome) = serde_json::from_slice::<Value>(&output.stdout) else {
        // It could not be played: that is no sign of anything, and the next try may go better.
        return Ok(vec![format!("no outcome, {}: see {}", output.status, log.display())]);
    };
    let kinds = outcome["report"]["found"].as_object().cloned().unwrap_or_default();
    let kinds = kinds.into_iter().filter(|(_, found)| found["count"] != 0).map(|(kind, _)| kind);
    // What no file shows: a service that ended by itself, a backlog that stayed.
    let others = outcome["also_wrong"].as_array().cloned().unwrap_or_default();
    Ok(kinds.chain(others.into_iter().map(|it| it.to_string())).collect())
}

/// The broken build, in a folder of its own: what lies beside the normal one is never broken.
async fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/broken");
    say("building the service with its defences taken out (minutes, the first time)");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--bin",
        "chaos",
        "--features",
        "broken",
        "--target-dir",
    ]);
    command.arg(&target).current_dir(root).env("ACCOUNT_OPENING_BROKEN", "1").kill_on_drop(true);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().await.context("cargo")?;
    anyhow::ensure!(status.success(), "the broken build failed: {status}");
    Ok(target.join("release/chaos"))
}
