//! Finds the service's program: the one built beside this executable, or a build without defences.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::process::Command;

use crate::run::say;

const NAME: &str = "account-opening";

/// The program that a run tests. A run that was not started by `cargo run` may find an old build beside it, so its outcome says
/// when the program was built.
#[derive(Clone, Serialize)]
pub struct Program {
    pub path: PathBuf,
    pub built_at: DateTime<Utc>,
}

impl Program {
    pub fn at(path: PathBuf) -> anyhow::Result<Self> {
        let modified = path.metadata().and_then(|it| it.modified());
        let built_at = modified.with_context(|| path.display().to_string())?.into();
        Ok(Self { path, built_at })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, built at {}", self.path.display(), self.built_at.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// The program beside this executable. Under `cargo run` it is built first, so that the tested build is current.
pub async fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this executable")?;
    let folder = own.parent().context("the folder of this executable")?;
    let program = folder.join(NAME);
    if let (Some(cargo), Some(target), Some(profile)) = (std::env::var_os("CARGO"), folder.parent(), folder.file_name())
    {
        // The profile `dev` builds into the folder `debug`.
        let profile = if profile == "debug" { "dev".as_ref() } else { profile };
        let mut build = Command::new(cargo);
        build.arg("build").arg("--profile").arg(profile).arg("--target-dir").arg(target);
        run(build, "building the service").await?;
    }
    anyhow::ensure!(
        program.is_file(),
        "{} is missing: cargo build --release --bin {NAME}, or name a program with --service",
        program.display()
    );
    Ok(program)
}

/// A build without defences, in its own target folder: the program beside this executable always has them.
pub async fn without_defences() -> anyhow::Result<PathBuf> {
    let target = root().join("target/broken");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--features", "account-opening/broken", "--target-dir"]).arg(&target);
    build.env("ACCOUNT_OPENING_BROKEN", "1");
    run(build, "building the service with its defences taken out (minutes, the first time)").await?;
    Ok(target.join("release").join(NAME))
}

/// The folder of the service's package, two levels above this one.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

async fn run(mut build: Command, what: &str) -> anyhow::Result<()> {
    say(what);
    // No --package: with the packages that `cargo run` selects, dependencies have the same features and are not built twice.
    build.args(["--locked", "--quiet", "--bin", NAME]).current_dir(root());
    let status = build.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).status().await.context("cargo")?;
    anyhow::ensure!(status.success(), "{what} failed: {status}");
    Ok(())
}
