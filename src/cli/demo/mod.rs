//! `demo`: everything on one machine with nothing to set up. A private Postgres, the outside world with its faults, the
//! service, and N openings through all of it; half an hour becomes a second.
//!
//! The service is the one that `serve` runs; it is driven and watched over HTTP. What was lost or done twice is told by the
//! simulator's own ledger.

mod caller;
mod report;
mod watch;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;

use self::caller::Caller;
use self::report::Summary;
use crate::app::{App, Database, Parts, made_history_key};
use crate::clock::Clock;
use crate::config::{RawSettings, Settings};
use crate::telemetry::LogFormat;
use private_postgres::Cluster;
use world::{Endpoint, Fault, Options, Planner, Simulator, Timing, TrackerOptions};

/// Openings started at the same time.
const STARTED_AT_ONCE: usize = 8;
/// How long the service may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(8);
/// When the demo gives up waiting; far beyond the compressed deadline.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it waits for the last tickets to be at the tracker, which takes a lost answer and the lag of its search.
const TRACKED_WITHIN: Duration = Duration::from_secs(20);
/// How long the tracker's search lags behind.
const TRACKER_LAG: TimeDelta = TimeDelta::milliseconds(500);
/// Not a secret: it opens a service on a free port of this machine that ends with the demo.
const TOKEN: &str = "demo-token";

#[derive(Args)]
pub(super) struct Arguments {
    /// How many accounts are opened
    #[arg(long, env, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    openings: u32,
    /// What the faults are dealt from: the same seed, the same faults
    #[arg(long, env, default_value_t = 1)]
    seed: u64,
    /// Stop when each opening is decided or escalated, instead of staying up for a look
    #[arg(long, env, value_parser = crate::cli::switch)]
    exit: bool,
    /// Print the summary as one JSON object on standard output, everything else on standard error
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
    /// Where the Postgres programs are [default: looked for]
    #[arg(long, env)]
    pg_bin_dir: Option<String>,
    /// What is logged of the service
    #[arg(long, env, default_value = "error")]
    demo_log: String,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = super::log_filter("DEMO_LOG", &arguments.demo_log)?;
    super::init_logs(filter, LogFormat::Text)?;
    let mut stop = tokio::spawn(super::asked_to_stop()?);
    let started = Instant::now();
    let demo = Demo::start(arguments).await?;
    let summary = tokio::select! {
        summary = demo.present(arguments, started) => summary,
        // In the middle: everything is stopped in order all the same.
        _ = &mut stop => Err(anyhow::anyhow!("stopped before it was over")),
    };
    if summary.is_ok() && !arguments.exit {
        let _ = stop.await;
    }
    demo.stop().await;
    let summary = summary?;
    anyhow::ensure!(
        summary.lost == 0 && summary.double_effects == 0,
        "{} lost, {} double effects: this must not happen",
        summary.lost,
        summary.double_effects,
    );
    Ok(())
}

/// The service and the world around it.
struct Demo {
    world: Simulator,
    app: App,
    database: Database,
    caller: Caller,
}

impl Demo {
    async fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        // Set to nothing is not set, as for `serve`.
        let programs = arguments.pg_bin_dir.as_ref().filter(|it| !it.trim().is_empty()).map(Into::into);
        eprintln!("starting a private Postgres, the simulated outside world and the service …");
        let cluster = Cluster::temporary(programs, 60).await?;
        let world = Simulator::start(options(arguments)?).await?;
        // The first tickets meet what makes a second one of them elsewhere: an answer that is lost, and one that is an error.
        world.fail_next(Endpoint::CreateIssue, [Fault::HangAfter, Fault::ErrorBefore { status: 500 }]);
        world.fail_next(Endpoint::CreateIssue, [Fault::ErrorAfter { status: 502 }]);
        let directory = tempfile::tempdir().context("a directory for the demo")?;
        let settings = settings(&world.base_url(), directory.path())?;
        let key = made_history_key(&settings.database.data_dir)?;
        let database = Database::on(cluster, &settings.database).await?;
        let app = Parts::new(settings, database.pool.clone(), key, Clock::system())?.run().await?;
        world.deliver_to(format!("http://{}/webhooks/nexusbank", app.public_addr));
        let caller = Caller::new(app.internal_addr)?;
        Ok(Self { world, app, database, caller })
    }

    /// Plays, and shows what came of it.
    async fn present(&self, arguments: &Arguments, started: Instant) -> anyhow::Result<Summary> {
        let summary = self.play(arguments, started).await?;
        report::print(&summary, arguments.json)?;
        self.show(arguments).await?;
        Ok(summary)
    }

    async fn play(&self, arguments: &Arguments, started: Instant) -> anyhow::Result<Summary> {
        let openings = usize::try_from(arguments.openings)?;
        let watch = watch::Watch::new(u64::from(arguments.openings));
        tokio::try_join!(
            self.caller.start_all(openings, STARTED_AT_ONCE),
            watch.until_decided(&self.caller, u64::from(arguments.openings), PATIENCE),
        )?;
        watch::until_tracked(&self.caller, TRACKED_WITHIN).await?;
        Summary::take(&self.caller, &self.world, started.elapsed()).await
    }

    /// One opening's story, and where to look next.
    async fn show(&self, arguments: &Arguments) -> anyhow::Result<()> {
        if arguments.json {
            return Ok(());
        }
        report::print_timeline(&self.caller).await?;
        if !arguments.exit {
            report::print_where_to_look(&self.caller, &self.app, &self.world);
        }
        Ok(())
    }

    async fn stop(self) {
        self.app.stop(tokio::time::Instant::now() + STOPPED_WITHIN).await;
        self.world.stop().await;
        self.database.close().await;
    }
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let total = usize::try_from(arguments.openings)?;
    let defaults = RawSettings::defaults()?;
    let mut options = Options::local(defaults.nexusbank_api_key, defaults.nexusbank_webhook_secrets);
    options.planner = Planner::Quota { total, timing: Timing::compressed() };
    options.tracker.lag = TRACKER_LAG;
    options.seed = arguments.seed;
    Ok(options)
}

/// The service's settings, in compressed time: 30 minutes are one second, 12 hours eight.
fn settings(world: &str, data_dir: &std::path::Path) -> anyhow::Result<Settings> {
    let timing = Timing::compressed();
    let mut raw = RawSettings::defaults()?;
    raw.environment = "sandbox".to_owned();
    raw.public_addr = "127.0.0.1:0".to_owned();
    raw.internal_addr = "127.0.0.1:0".to_owned();
    raw.api_tokens = format!("demo:{TOKEN}:admin");
    raw.database.data_dir = Some(data_dir.display().to_string());
    raw.nexusbank_base_url = world.to_owned();
    raw.profile_service_url = world.to_owned();
    raw.card_service_url = world.to_owned();
    let theirs = TrackerOptions::default();
    raw.tracker.jira_base_url = Some(world.to_owned());
    raw.tracker.jira_email = Some(theirs.email);
    raw.tracker.jira_api_token = Some(theirs.api_token);
    raw.tracker.jira_project_key = Some("DEMO".to_owned());
    raw.tracker.jira_index_lag = "1s".to_owned();
    raw.poll_schedule = humantime::format_duration(timing.poll_interval).to_string();
    raw.escalate_after = humantime::format_duration(timing.deadline).to_string();
    raw.backoff_base = "100ms".to_owned();
    raw.backoff_cap = "1s".to_owned();
    raw.breaker_open_for = "500ms".to_owned();
    raw.provider_timeout = "2s".to_owned();
    raw.lease_margin = "1s".to_owned();
    raw.checked().map_err(|errors| anyhow::anyhow!("{errors:?}"))
}
