//! The options of a run, and what follows from them: the load, and the plan that the judge reads.

use std::path::PathBuf;

use crate::load;
use crate::program::Program;
use crate::provider::Bank;
use crate::record::{Fault, Plan};
use crate::strikes;
use crate::world::{REPLICAS, TOKEN, WEBHOOK_SECRET};

/// The options of a run.
#[derive(Clone)]
pub struct Asked {
    pub bank: Bank,
    pub seed: u64,
    pub seconds: u64,
    pub openings_per_second: f64,
    pub messages_per_second: f64,
    pub reads_per_second: f64,
    /// The folder of its files.
    pub folder: PathBuf,
    pub service: Program,
    /// The removed defence. Such a run ends at its first violation.
    pub control: Option<String>,
}

impl Asked {
    /// The load, for so many seconds.
    pub fn load(&self, seconds: u64) -> load::Config {
        load::Config {
            bank: self.bank,
            seed: self.seed,
            seconds,
            openings_per_second: self.openings_per_second,
            messages_per_second: self.messages_per_second,
            reads_per_second: self.reads_per_second,
            many_hang_up: false,
            token: TOKEN.to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
        }
    }

    pub fn plan(&self) -> Plan {
        let mut faults = strikes::must_show(self.seconds);
        if !self.bank.may_repeat_its_header() {
            // A proxy can rewrite its header alone.
            faults.remove(&Fault::FoldedSignature);
        }
        Plan {
            provider: self.bank.name().to_owned(),
            seed: self.seed,
            seconds: self.seconds,
            replicas: REPLICAS,
            openings_per_second: self.openings_per_second,
            messages_per_second: self.messages_per_second,
            reads_per_second: self.reads_per_second,
            priced: self.bank.has_files(),
            clock_offset: clock_offset(self.seed),
            faults,
        }
    }
}

/// How far the clock of the last replica is ahead or behind, in milliseconds: six to eight seconds, more than a ready service may
/// deviate.
pub fn clock_offset(seed: u64) -> i64 {
    let by = 6_000 + i64::try_from(seed.wrapping_mul(7_919) % 2_000).unwrap_or_default();
    if seed.is_multiple_of(2) { by } else { -by }
}
