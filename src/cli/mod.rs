//! The subcommands, one file each.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage or configuration.

mod demo;
mod dot_env;
mod evidence;
mod migrate;
mod reports;
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
use crate::report_files::profile::ProfileError;
use crate::settings::{SettingError, invalid};
use crate::telemetry::{self, LogFilter, LogFormat};

/// Opens bank accounts at a provider that answers later.
#[derive(Parser)]
#[command(version, about, long_about = None, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Every option is also an environment variable (--poll-schedule = POLL_SCHEDULE), and is also read \
from a .env file in the working directory, with literal values. Order of precedence: option, variable, .env.\n\nCalls to other systems \
ignore HTTP_PROXY, HTTPS_PROXY and ALL_PROXY.\n\nExit codes: 0 success, 1 failure, \
2 wrong usage or configuration.";

#[derive(Subcommand)]
enum Command {
    /// Run the service: both listeners and the workers
    Serve(Box<serve::Arguments>),
    /// Run everything on one machine: Postgres, simulated outside systems with faults, the service, N openings
    Demo(demo::Arguments),
    /// Apply migrations as the database's owner, grant the service's role its rights, and exit
    Migrate(migrate::Arguments),
    /// Verify every history with its key, without trusting the database, and report tampering
    VerifyHistory(verify_history::Arguments),
    /// Check and import the report files of a provider
    Reports(reports::Arguments),
    /// Verify the evidence of a report or an opening
    Evidence(evidence::Arguments),
    /// Run only the simulated outside systems: the banks, profile service, card issuer, ticket tracker
    Simulator(simulator::Arguments),
}

/// Wrong usage or configuration: one line per problem.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
struct Misconfigured(Vec<String>);

impl From<Vec<SettingError>> for Misconfigured {
    fn from(errors: Vec<SettingError>) -> Self {
        Self(errors.iter().map(ToString::to_string).collect())
    }
}

/// An unfit external database is a configuration error; every other error is a failure.
fn refused(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::OlderSchema { .. } | OpenError::Setting(_) => Misconfigured(vec![error.to_string()]).into(),
        OpenError::Cluster(_) | OpenError::Failed(_) => error.into(),
    }
}

/// An unfit key is a configuration error; a key file that cannot be read or written is a failure.
fn refused_key(error: KeyError) -> anyhow::Error {
    match error {
        KeyError::Setting(error) => Misconfigured::from(vec![error]).into(),
        KeyError::Failed(error) => error,
    }
}

/// A wrong profile of a provider's report files is a configuration error: each of its keys is a line.
fn refused_profiles(errors: &[ProfileError]) -> Misconfigured {
    Misconfigured(errors.iter().map(|it| format!("REPORT_PROFILES: {it}")).collect())
}

/// The whole command line, for the comparison with `.env.example`.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

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
    // HTTP client and database driver share the process's TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => Box::pin(serve::run(&arguments)).await,
            Command::Demo(arguments) => Box::pin(demo::run(&arguments)).await,
            Command::Migrate(arguments) => migrate::run(&arguments).await,
            Command::VerifyHistory(arguments) => verify_history::run(&arguments).await,
            Command::Reports(arguments) => reports::run(&arguments).await,
            Command::Evidence(arguments) => evidence::run(&arguments),
            Command::Simulator(arguments) => simulator::run(&arguments).await,
        }
    });
    // Blocking threads had their grace period already.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Parses the arguments; missing ones come from the environment, then from `.env` in the working directory. Help,
/// version and usage errors exit before `.env` is read.
fn parsed() -> Result<Cli, Misconfigured> {
    let command = Cli::command();
    let given = command.clone().get_matches();
    let variables = dot_env::read(Path::new(".env")).map_err(|wrong| Misconfigured(vec![wrong]))?;
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let (options, given, depth) = innermost(&command, &given);
    let left_open = options.get_arguments().filter(|arg| is_left_open(given, arg));
    let set = left_open.map(|arg| option(arg, &variables)).collect::<Result<Vec<_>, _>>();
    let set = set.map_err(|wrong| Misconfigured(vec![wrong]))?;
    // Insert after the names of the program and the subcommands: no option precedes a subcommand.
    let place = arguments.len().min(1 + depth);
    arguments.splice(place..place, set.into_iter().flatten());
    Ok(Cli::parse_from(arguments))
}

/// The subcommand that was given, and how many names lead to it: `reports import` is below `reports`.
fn innermost<'a>(command: &'a clap::Command, given: &'a ArgMatches) -> (&'a clap::Command, &'a ArgMatches, usize) {
    let (mut command, mut given, mut depth) = (command, given, 0);
    while let Some((name, matches)) = given.subcommand()
        && let Some(inner) = command.find_subcommand(name)
    {
        (command, given, depth) = (inner, matches, depth + 1);
    }
    (command, given, depth)
}

/// Whether neither an argument nor a variable sets it.
fn is_left_open(given: &ArgMatches, arg: &Arg) -> bool {
    let source = given.value_source(arg.get_id().as_str());
    !matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The option for a value from `.env`.
fn option(arg: &Arg, variables: &Variables) -> Result<Option<OsString>, String> {
    let Some(long) = arg.get_long() else { return Ok(None) };
    let name = arg.get_env().and_then(OsStr::to_str).unwrap_or_default();
    match variables.get(name) {
        None => Ok(None),
        Some(value) if arg.get_action().takes_values() => Ok(Some(format!("--{long}={value}").into())),
        Some(value) => {
            let is_on = switch(value).map_err(|expected| format!("{name}: {}; {expected}", invalid(value)))?;
            Ok(is_on.then(|| format!("--{long}").into()))
        }
    }
}

/// Parses a switch; an empty value means off.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim() {
        "" | "false" | "0" | "no" | "off" => Ok(false),
        "true" | "1" | "yes" | "on" => Ok(true),
        _ => Err("expected true or false"),
    }
}

fn log_filter(name: &'static str, text: &str) -> Result<LogFilter, Misconfigured> {
    LogFilter::parse(text).map_err(|_| {
        let expected = LogFilter::EXPECTED.to_owned();
        vec![SettingError { name, problem: invalid(text), expected }].into()
    })
}

/// Writes logs to standard error.
fn init_logs(filter: LogFilter, format: LogFormat) -> anyhow::Result<()> {
    Ok(telemetry::init_logs(filter, format)?)
}

/// Starts listening for SIGTERM and SIGINT; the returned future resolves at the first signal. A second signal exits at
/// once.
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
            eprintln!("account-opening: second signal; exiting at once");
            std::process::exit(1);
        });
    })
}
