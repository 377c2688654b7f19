//! `simulator`: runs only the simulated outside systems.

use clap::Args;

use super::Misconfigured;
use crate::clock::Clock;
use crate::config::RawSimulator;
use crate::telemetry::LogFormat;
use world::{Options, Planner, Simulator, StartError, Timing};

/// Openings per round of the fault quota.
const QUOTA: usize = 200;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RawSimulator,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = arguments.settings.checked().map_err(Misconfigured::from)?;
    super::init_logs(super::log_filter("LOG", "info")?, LogFormat::Text)?;
    let stop = super::asked_to_stop()?;
    let clock = Clock::system();
    let timing = Timing::default();
    // A fresh seed per run: account numbers must not repeat in a database that outlives the simulator.
    let seed = settings.seed.unwrap_or_else(|| clock.now().timestamp_micros().unsigned_abs());
    let mut options = Options::local(settings.api_key, settings.webhook_secret);
    options.addr = settings.addr;
    options.webhook_url = Some(settings.webhook_url.clone());
    options.tracker = settings.tracker;
    options.planner = if settings.faults { Planner::Quota { total: QUOTA, timing } } else { Planner::Clean(timing) };
    options.clock = clock;
    options.seed = seed;
    let simulator = Simulator::start(options).await.map_err(named)?;
    tracing::info!(url = simulator.base_url(), seed, webhooks = settings.webhook_url, "simulator started");
    stop.await;
    simulator.stop().await;
    Ok(())
}

/// Adds the setting's name to an address error.
fn named(error: StartError) -> anyhow::Error {
    let is_address = matches!(error, StartError::Listen(..));
    let error = anyhow::Error::new(error);
    if is_address { error.context("SIMULATOR_ADDR") } else { error }
}
