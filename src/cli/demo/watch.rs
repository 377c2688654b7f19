//! Live progress: bars on a terminal, otherwise occasional lines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::caller::Caller;
use crate::domain::StateName;
use world::{Decision, OpeningRecord, Simulator};

pub(super) const LOOK: Duration = Duration::from_millis(200);
/// The interval of lines without a terminal.
const PRINT: Duration = Duration::from_secs(2);

/// The displayed states with their labels.
const SHOWN: [(&str, &str); 8] = [
    ("creating_profile", "creating profile"),
    ("requesting_account", "requesting account"),
    ("awaiting_provider", "waiting for the bank"),
    ("issuing_card", "issuing card"),
    ("completed", "completed"),
    ("rejected", "refused by the bank"),
    ("escalated", "escalated"),
    ("failed", "failed"),
];

/// States that end the demo's wait.
const DECIDED: [&str; 4] = ["completed", "rejected", "failed", "escalated"];

pub(super) struct Watch {
    bars: Vec<(&'static str, ProgressBar)>,
    screen: MultiProgress,
}

impl Watch {
    pub fn new(total: u64) -> Self {
        // Hidden automatically if standard error is not a terminal.
        let screen = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>24} {bar:40} {pos:>4}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |(state, meaning): &(&'static str, &'static str)| {
            let bar = screen.add(ProgressBar::new(total).with_style(style.clone()).with_prefix(*meaning));
            (*state, bar)
        };
        let bars = SHOWN.iter().map(bar).collect();
        Self { bars, screen }
    }

    /// Returns when all openings are decided or escalated, or after `patience`.
    pub async fn until_decided(&self, caller: &Caller, total: u64, patience: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut printed = started;
        loop {
            let states = caller.states().await?;
            self.show(&states);
            let decided: u64 = DECIDED.iter().filter_map(|state| states.get(*state)).sum();
            // A bank without idempotency leaves submissions of unknown outcome to people.
            let given_up = caller.all("/v1/dead-letters?queue=outbox").await?.len() as u64;
            if decided + given_up >= total || started.elapsed() > patience {
                self.bars.iter().for_each(|(_, bar)| bar.abandon());
                return Ok(());
            }
            if self.screen.is_hidden() && printed.elapsed() > PRINT {
                printed = Instant::now();
                eprintln!("{decided} of {total} decided or escalated: {states:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn show(&self, states: &BTreeMap<String, u64>) {
        for (state, bar) in &self.bars {
            bar.set_position(states.get(*state).copied().unwrap_or_default());
        }
    }
}

/// Returns when the bank has decided everything that it means to decide and the service knows all that it can know. Only then
/// do two files of the bank show the same.
///
/// # Errors
/// Names the openings that have not come to rest after `patience`.
pub(super) async fn until_quiet(caller: &Caller, world: &Simulator, patience: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let ledger = world.ledger();
        let records = || ledger.openings.iter();
        let is_due = |it: &OpeningRecord| matches!(it.plan.decision, Decision::By(_)) && it.decided_at().is_none();
        let due: Vec<&String> = records().filter(|(_, it)| is_due(it)).map(|(reference, _)| reference).collect();
        let unknowable = records().filter(|(_, it)| it.decided_at().is_none() || it.plan.silent).count();
        let states = caller.states().await?;
        let without_answer = StateName::ALL.iter().filter(|it| !it.is_terminal());
        let open: u64 = without_answer.filter_map(|it| states.get(it.as_str())).sum();
        if due.is_empty() && open <= unknowable as u64 {
            return Ok(());
        }
        anyhow::ensure!(
            started.elapsed() < patience,
            "not at rest after {patience:?}: the bank has still to decide {due:?}; the service has {open} openings without an \
             answer, of which {unknowable} can have none: {states:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns when the tracker has every ticket, or after `patience`. Duplicate tickets exist by then.
pub(super) async fn until_tracked(caller: &Caller, patience: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < patience {
        let tickets = caller.all("/v1/tickets").await?;
        if tickets.iter().all(|ticket| ticket["tracker_key"].is_string()) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
