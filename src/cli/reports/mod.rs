//! `reports`: commands for a provider's report files, from a terminal.

mod check;
mod import;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a report file as the service would, without a database, and list its sums and every error
    Check(check::Arguments),
    /// Send a report file to a running service
    Import(import::Arguments),
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Check(arguments) => check::run(arguments),
        Command::Import(arguments) => import::run(arguments).await,
    }
}
