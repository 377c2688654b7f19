//! The commands, a file each.
//!
//! Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration.

mod demo;
mod dot_env;
mod migrate;
mod serve;
mod simulator;
mod verify_history;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::dot_env::Variables;
use crate::app::{KeyError, OpenError};
use crate::config::SettingError;
use crate::telemetry::{self, LogFilter, LogFormat};

/// Opens bank accounts at a provider that answers later.
#[derive(Parser)]
#[command(version, about, long_about = None, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Every option is also an environment variable (--poll-schedule = POLL_SCHEDULE), and a .env file \
in the working directory is read too, its values literally; variables that are set win over it.\n\nCalls to other systems are \
direct: HTTP_PROXY, HTTPS_PROXY and ALL_PROXY are not followed.\n\nExit codes: 0 done, 1 the work failed, \
2 wrong usage or configuration.";

#[derive(Subcommand)]
enum Command {
    /// The service: both listeners and the workers
    Serve(Box<serve::Arguments>),
    /// Everything on one machine: Postgres, the outside world with faults, the service, N openings
    Demo(demo::Arguments),
    /// Applies the migrations as the owner of the database, grants the service's role what it needs, and exits
    Migrate(migrate::Arguments),
    /// Checks every history with its key, without trusting the database, and says where one was tampered with
    VerifyHistory(verify_history::Arguments),
    /// Only the simulated outside world: `NexusBank`, profile service, card issuer
    Simulator(simulator::Arguments),
}

/// Wrong usage or configuration: a line for each thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
struct Misconfigured(Vec<String>);

impl From<Vec<SettingError>> for Misconfigured {
    fn from(errors: Vec<SettingError>) -> Self {
        Self(errors.iter().map(ToString::to_string).collect())
    }
}

/// What is wrong with a database that was given is wrong configuration; everything else went wrong.
fn refused(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::OlderSchema { .. } | OpenError::Setting(_) => Misconfigured(vec![error.to_string()]).into(),
        OpenError::Cluster(_) | OpenError::Failed(_) => error.into(),
    }
}

/// A key that is not to be worked with is wrong configuration; one that cannot be read or kept went wrong.
fn refused_key(error: KeyError) -> anyhow::Error {
    match error {
        KeyError::Setting(error) => Misconfigured::from(vec![error]).into(),
        KeyError::Failed(error) => error,
    }
}

/// The whole command line, for the test that compares it to `.env.example`.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    telemetry::log_panics();
    let Err(error) = run() else { return ExitCode::SUCCESS };
    if let Some(misconfigured) = error.downcast_ref::<Misconfigured>() {
        eprintln!("{misconfigured}");
        return ExitCode::from(2);
    }
    eprintln!("account-opening: {error:#}");
    ExitCode::from(1)
}

fn run() -> anyhow::Result<()> {
    let cli = parsed()?;
    // Both TLS users (the HTTP client and the database driver) take the provider of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => serve::run(&arguments).await,
            Command::Demo(arguments) => demo::run(&arguments).await,
            Command::Migrate(arguments) => migrate::run(&arguments).await,
            Command::VerifyHistory(arguments) => verify_history::run(&arguments).await,
            Command::Simulator(arguments) => simulator::run(&arguments).await,
        }
    });
    // Whatever still blocks a thread now has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// The arguments, with what they leave open from the environment and from `.env` in the working directory, in this order.
/// Help, the version and wrong usage end the program before `.env` is looked at, whatever stands in it.
fn parsed() -> Result<Cli, Misconfigured> {
    let command = Cli::command();
    let given = command.clone().get_matches();
    let variables = dot_env::read(Path::new(".env")).map_err(|wrong| Misconfigured(vec![wrong]))?;
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some((name, given)) = given.subcommand()
        && let Some(options) = command.find_subcommand(name)
    {
        let left_open = options.get_arguments().filter(|arg| is_left_open(given, arg));
        let set = left_open.map(|arg| option(arg, &variables)).collect::<Result<Vec<_>, _>>();
        let set = set.map_err(|wrong| Misconfigured(vec![wrong]))?;
        // Behind the program's name and the command's: no option stands before the command.
        let place = arguments.len().min(2);
        arguments.splice(place..place, set.into_iter().flatten());
    }
    Ok(Cli::parse_from(arguments))
}

/// Whether neither an argument nor a variable says it.
fn is_left_open(given: &ArgMatches, arg: &Arg) -> bool {
    let source = given.value_source(arg.get_id().as_str());
    !matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The option that stands for what `.env` says of its variable.
fn option(arg: &Arg, variables: &Variables) -> Result<Option<OsString>, String> {
    let Some(long) = arg.get_long() else { return Ok(None) };
    let name = arg.get_env().and_then(OsStr::to_str).unwrap_or_default();
    match variables.get(name) {
        None => Ok(None),
        Some(value) if arg.get_action().takes_values() => Ok(Some(format!("--{long}={value}").into())),
        Some(value) => {
            let is_on = switch(value).map_err(|takes| format!("{name}: held {value:?}; {takes}"))?;
            Ok(is_on.then(|| format!("--{long}").into()))
        }
    }
}

/// A switch: set to nothing it is off.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim() {
        "" | "false" | "0" | "no" | "off" => Ok(false),
        "true" | "1" | "yes" | "on" => Ok(true),
        _ => Err("it takes true or false"),
    }
}

/// What a setting says is to be logged.
fn log_filter(name: &'static str, text: &str) -> Result<LogFilter, Misconfigured> {
    LogFilter::parse(text).map_err(|_| {
        let takes = LogFilter::TAKES.to_owned();
        vec![SettingError { name, held: format!("held {text:?}"), takes }].into()
    })
}

/// Sends logs to standard error.
fn init_logs(filter: LogFilter, format: LogFormat) -> anyhow::Result<()> {
    Ok(telemetry::init_logs(filter, format)?)
}

/// Listens for signals from this call on; what it returns is ready when somebody wants the process to end. A second signal
/// then ends it at once.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            eprintln!("account-opening: asked twice; ending at once");
            std::process::exit(1);
        });
    })
}
