//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::phase::Phase;

/// How fast webhooks are acknowledged and applied, beside what Postgres alone can do
#[derive(Clone, Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "at most one of them: clap refuses two")]
#[command(name = "throughput", bin_name = "cargo bench --bench throughput --")]
pub struct Options {
    /// How often each phase is run, in turn with the others
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Webhooks in each of the quickest phases; the others have a half, a quarter or a sixteenth
    #[arg(long, default_value_t = 40_000)]
    pub count: u64,
    /// Only these phases, comma-separated: pg8, pg32, batched8, ours1, ours16, ours64, ours256, pgsteady, steady, flood, openings
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["growth", "claims", "replicas", "soak"])]
    pub only: Vec<Phase>,
    /// A setting of the private Postgres, for all modes; can be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub postgres: Vec<(String, String)>,
    /// Instead: the limit and ours at 64 connections with more and more openings, and the poller's claims
    #[arg(long, group = "mode")]
    pub growth: bool,
    /// How many openings are in the databases of --growth
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000,10000000")]
    pub sizes: Vec<u64>,
    /// Instead: the poller's claims alone
    #[arg(long, group = "mode")]
    pub claims: bool,
    /// How many are due in the databases in which timers are claimed
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    pub due: Vec<u64>,
    /// Instead: one, two and four services on one database
    #[arg(long, group = "mode")]
    pub replicas: bool,
    /// Instead: another build of the service beside this one: what a change brought
    #[arg(long, group = "mode", value_name = "PROGRAM", value_parser = program)]
    pub against: Option<PathBuf>,
    /// Instead: this build (or that of --against) with a setting of its environment, beside this one without it: what the setting
    /// costs; can be given more than once. A path must be absolute, such as `PRICE_LIST=/tmp/prices.csv`
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, conflicts_with_all = ["growth", "claims", "replicas", "soak"])]
    pub with: Vec<(String, String)>,
    /// Instead: a steady load over 256 connections, and the service's memory
    #[arg(long, group = "mode")]
    pub soak: bool,
    /// How long the soak takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: u64,
    /// The soak's webhooks per second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it takes a name and a value, such as shared_buffers=2GB or PRICE_LIST=/tmp/prices.csv")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn program(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() {
        Ok(path)
    } else {
        Err("it takes a build of account-opening, and there is no such file".to_owned())
    }
}
