//! `evidence`: the auditors' commands for the evidence of a report or an opening.

mod verify;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a bundle without a database: its bytes, its signature, and by performing the comparison again
    Verify(verify::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Verify(arguments) => verify::run(arguments),
    }
}
