//! The command line.

use clap::Parser;

use crate::phase::Phase;

/// How fast webhooks are acknowledged and applied, beside what Postgres alone can do
#[derive(Clone, Debug, Parser)]
#[command(name = "throughput", bin_name = "cargo bench --bench throughput --")]
pub struct Options {
    /// How often each phase is run, in turn with the others
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Webhooks in each of the larger phases
    #[arg(long, default_value_t = 20_000)]
    pub count: u64,
    /// Only these phases, comma-separated: pg8, pg32, batched8, ours1, ours16, ours64, ours256, steady
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Phase>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}
