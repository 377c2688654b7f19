//! `simulator`: the outside world alone.

use std::net::SocketAddr;

use clap::Args;

use crate::clock::Clock;
use crate::config::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use crate::simulator::{Options, Planner, Simulator, Timing};
use crate::telemetry::LogFormat;

/// Openings whose faults are dealt before the quota begins anew.
const QUOTA: usize = 200;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where it listens
    #[arg(long, env, default_value = "127.0.0.1:8090")]
    simulator_addr: SocketAddr,
    /// Where it sends webhooks
    #[arg(long, env, default_value = "http://127.0.0.1:8080/webhooks/nexusbank")]
    webhook_url: String,
    /// The bearer key that it takes
    #[arg(long, env, default_value = DEVELOPMENT_API_KEY, hide_env_values = true)]
    nexusbank_api_key: String,
    /// What it signs webhooks with: the first of these
    #[arg(long, env, default_value = DEVELOPMENT_WEBHOOK_SECRET, hide_env_values = true)]
    nexusbank_webhook_secrets: String,
    /// Deal faults by quota, as in the demo; without it all goes well
    #[arg(long, env = "SIMULATOR_FAULTS")]
    faults: bool,
    /// What faults, decisions and account numbers are drawn from [default: the time]
    #[arg(long, env = "SIMULATOR_SEED")]
    seed: Option<u64>,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    super::init_logs("info", LogFormat::Text)?;
    let clock = Clock::system();
    let secret = arguments.nexusbank_webhook_secrets.split(',').next().unwrap_or_default().trim().to_owned();
    let timing = Timing::default();
    // A fresh seed for each run: account numbers must not repeat in a database that outlives it.
    let seed = arguments.seed.unwrap_or_else(|| clock.now().timestamp_micros().unsigned_abs());
    let mut options = Options::local(arguments.nexusbank_api_key.clone(), secret);
    options.addr = arguments.simulator_addr;
    options.webhook_url = Some(arguments.webhook_url.clone());
    options.planner = if arguments.faults { Planner::Quota { total: QUOTA, timing } } else { Planner::Clean(timing) };
    options.clock = clock;
    options.seed = seed;
    let simulator = Simulator::start(options).await?;
    tracing::info!(
        url = simulator.base_url(),
        seed,
        webhooks = arguments.webhook_url,
        "the outside world is simulated"
    );
    super::asked_to_stop().await?;
    simulator.stop().await;
    Ok(())
}
