//! `chaos`: runs the service under faults and judges it with a checker that shares no code with it.
//!
//! Three replicas on one Postgres open accounts at a fake bank, while processes are killed and paused, connections are
//! cut and delayed, answers to COMMIT are lost, the bank fails in every way, and one clock is wrong. Then the faults
//! stop, the backlog drains, and the [`checker`] compares what the load saw, what the bank did and what the database
//! contains. In a second, smaller part a database is restored from an old dump and judged again.
//!
//! ```text
//! world.rs      what a run stands on         services.rs  the replicas
//! program.rs    the program that they run
//! load/         callers, webhooks, readers   provider/    the outside world, with a ledger on disk
//! strikes.rs    the faults, from the seed    sql.rs       all SQL
//! asked.rs      what is asked of a run       controls/    the same against broken builds
//! run.rs        one run
//! restored.rs   its second part              dumps.rs     Postgres' own programs for it
//! reports.rs    the bank's files
//! checker/      the judge                    record.rs    what is written down for it
//! ```
//!
//! Exit codes: 0 passed, 1 violated, 2 wrong usage, 3 invalid.

mod asked;
mod checker;
mod controls;
mod dumps;
mod files;
mod load;
mod program;
mod provider;
mod record;
mod reports;
mod restored;
mod run;
mod services;
mod sql;
mod strikes;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use self::asked::Asked;
use self::program::Program;
use self::run::say;

/// Runs three replicas of the service under faults and load, and judges the result.
#[derive(Parser)]
#[command(version, long_about = None, after_help = "Exit codes: 0 passed, 1 violated, 2 wrong usage, 3 invalid (too little load, or a fault without evidence).")]
struct Arguments {
    /// Duration of load and faults in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    seconds: u64,
    /// Seed of the load and the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// New openings per second
    #[arg(long, default_value_t = 20.0)]
    openings: f64,
    /// Messages of the bank per second
    #[arg(long, default_value_t = 200.0)]
    messages: f64,
    /// Readings per second
    #[arg(long, default_value_t = 20.0)]
    reads: f64,
    /// Keep the run's files in this folder, which must be empty [default: a temporary one, kept unless the run passed]
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Judge the files of an earlier run in this folder again (see --keep)
    #[arg(long, conflicts_with_all = ["controls", "control", "keep"])]
    judge: Option<PathBuf>,
    /// The bank that the services open accounts at
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["controls", "control", "judge"])]
    provider: provider::Bank,
    /// Run the positive controls: builds with one defence removed, each of which must be caught
    #[arg(long, conflicts_with = "control")]
    controls: bool,
    /// Run one of the controls: remove this defence
    #[arg(long, value_parser = controls::names().collect::<Vec<_>>())]
    control: Option<String>,
    /// The program to test [default: account-opening beside this program; for a control, a build without defences]
    #[arg(long, conflicts_with_all = ["controls", "judge"])]
    service: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<u8> {
    // The HTTP client uses the process's TLS provider; none is installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            code = play(arguments) => code,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped before it was over")),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

async fn play(arguments: &Arguments) -> anyhow::Result<u8> {
    if let Some(kept) = &arguments.judge {
        let reports = run::judged(kept)?;
        for report in &reports {
            if arguments.json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                println!("{report}");
            }
        }
        return Ok(run::exit_code(0, &reports));
    }
    let (folder, temporary) = folder(arguments)?;
    if arguments.controls {
        let caught = controls::run_all(arguments.seed, arguments.seconds, &folder).await?;
        let all = caught.iter().all(|it| it.passed);
        if arguments.json {
            println!("{}", serde_json::json!({"passed": all, "controls": caught}));
        }
        say(if all { "every control was caught" } else { "NOT every control was caught" });
        return Ok(u8::from(!all));
    }
    let asked = Asked {
        bank: arguments.provider,
        seed: arguments.seed,
        seconds: arguments.seconds,
        openings_per_second: arguments.openings,
        messages_per_second: arguments.messages,
        reads_per_second: arguments.reads,
        folder: folder.clone(),
        service: Program::at(service(arguments).await?)?,
        control: arguments.control.clone(),
    };
    say(&format!("testing {}", asked.service));
    let outcome = run::run(&asked).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&outcome)?);
        say(&outcome.to_string());
    } else {
        println!("{outcome}");
    }
    if temporary && outcome.passed {
        // A remaining folder does no harm.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(outcome.exit_code())
}

async fn service(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match (&arguments.service, &arguments.control) {
        // The replicas run in their own folders.
        (Some(program), _) => {
            std::fs::canonicalize(program).with_context(|| format!("--service {}", program.display()))
        }
        (None, Some(_)) => program::without_defences().await,
        (None, None) => program::beside().await,
    }
}

fn folder(arguments: &Arguments) -> anyhow::Result<(PathBuf, bool)> {
    if let Some(folder) = &arguments.keep {
        std::fs::create_dir_all(folder).with_context(|| format!("--keep {}", folder.display()))?;
        return Ok((folder.clone(), false));
    }
    let folder = tempfile::Builder::new().prefix("chaos-").tempdir().context("a folder for the run")?;
    Ok((folder.keep(), true))
}
