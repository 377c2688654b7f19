//! `demo`: a private Postgres, simulated outside systems with faults, the service, and N openings, without any
//! settings. Half an hour is compressed to one second.
//!
//! The service is the same as in `serve`; the demo drives and observes it over HTTP. The simulator's ledger reports
//! lost answers and double effects.

mod caller;
mod reconcile;
mod report;
mod watch;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use tokio::net::TcpListener;

use self::caller::Caller;
use self::reconcile::Reconciled;
use self::report::Summary;
use crate::app::{App, Database, Parts, evidence_key, made_history_key};
use crate::clock::{Clock, Ids, Time};
use crate::config::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET, RawSettings, Settings, SignInLink};
use crate::telemetry::LogFormat;
use private_postgres::Cluster;
use world::{Bank, Endpoint, Fault, Options, Planner, Simulator, Timing, TrackerOptions};

const STARTED_AT_ONCE: usize = 8;
const STOPPED_WITHIN: Duration = Duration::from_secs(8);
/// Time limit until every opening is decided; far beyond the compressed deadline.
const PATIENCE: Duration = Duration::from_mins(2);
/// Time limit until all tickets are at the tracker: covers a lost answer and the lag of its search.
const TRACKED_WITHIN: Duration = Duration::from_secs(20);
/// Time limit until the bank has decided everything and the service knows it.
const QUIET_WITHIN: Duration = Duration::from_secs(30);
const TRACKER_LAG: TimeDelta = TimeDelta::milliseconds(500);
/// Not a secret: it protects a service on a free local port that ends with the demo.
const TOKEN: &str = "demo-token";

#[derive(Args)]
pub(super) struct Arguments {
    /// Number of accounts to open
    #[arg(long, env, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    openings: u32,
    /// Seed of the faults: the same seed injects the same faults
    #[arg(long, env, default_value_t = 1)]
    seed: u64,
    /// The bank that opens the accounts; its report files, where it writes any, are reconciled
    #[arg(long, default_value = Bank::default().name(), value_parser = Bank::ALL.map(Bank::name))]
    provider: String,
    /// Exit when every opening is decided or escalated, instead of staying up
    #[arg(long, env, value_parser = crate::cli::switch)]
    exit: bool,
    /// Print the summary as one JSON object on standard output, and everything else on standard error
    #[arg(long, env, value_parser = crate::cli::switch)]
    json: bool,
    /// Directory of the Postgres programs [default: searched]
    #[arg(long, env)]
    pg_bin_dir: Option<String>,
    /// Log level or filter of the service
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
        // On a signal, still shut everything down in order.
        _ = &mut stop => Err(anyhow::anyhow!("interrupted before the demo was finished")),
    };
    if summary.is_ok() && !arguments.exit {
        let _ = stop.await;
    }
    demo.stop().await;
    let summary = summary?;
    let wrong = [
        ("lost", summary.lost),
        ("double_effects", summary.double_effects),
        ("divergences_missed", summary.divergences_missed as u64),
        ("false_alarms", summary.false_alarms as u64),
    ];
    let wrong: Vec<String> =
        wrong.iter().filter(|it| it.1 > 0).map(|(name, count)| format!("{name} {count}")).collect();
    anyhow::ensure!(wrong.is_empty(), "must be 0: {}", wrong.join(", "));
    Ok(())
}

struct Demo {
    world: Simulator,
    app: App,
    database: Database,
    caller: Caller,
    /// The secret of the link that signs in.
    link: String,
    /// The start of the period of the bank's files.
    from: Time,
}

impl Demo {
    async fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        // An empty value counts as unset, as for `serve`.
        let programs = arguments.pg_bin_dir.as_ref().filter(|it| !it.trim().is_empty()).map(Into::into);
        eprintln!("starting a private Postgres, the simulated outside systems and the service …");
        let cluster = Cluster::temporary(programs, 60).await?;
        let from = Clock::system().now();
        let world = Simulator::start(options(arguments)?).await?;
        // The first tickets meet faults that can cause a second ticket: a lost answer, and an error after the effect.
        world.fail_next(Endpoint::CreateIssue, [Fault::HangAfter, Fault::ErrorBefore { status: 500 }]);
        world.fail_next(Endpoint::CreateIssue, [Fault::ErrorAfter { status: 502 }]);
        let directory = tempfile::tempdir().context("creating a temporary directory")?;
        let bank = Bank::named(&arguments.provider).unwrap_or_default();
        // Its port stands in the settings, so it is bound first: another process cannot take it meanwhile.
        let internal = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("looking for a free port")?;
        let mut settings = settings(bank, &world.base_url(), directory.path(), internal.local_addr()?)?;
        let link = hex::encode(Ids::new(Clock::system()).secret());
        settings.dashboard.sign_in_link = Some(SignInLink { secret: link.clone().into(), token: TOKEN.into() });
        let key = made_history_key(&settings.database.data_dir)?;
        settings.evidence_key = Some(evidence_key(None, &settings.database.data_dir)?);
        let database = Database::on(cluster, &settings.database).await?;
        let app = Parts::new(settings, database.pool.clone(), key, Clock::system())?.run_on(internal).await?;
        world.deliver_to(format!("http://{}/webhooks/{}", app.public_addr, Bank::default().name()));
        let caller = Caller::new(app.internal_addr, bank)?;
        Ok(Self { world, app, database, caller, link, from })
    }

    /// Runs the openings and prints the result.
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
        let reconciled =
            if self.caller.bank.writes_reports() { self.reconcile().await? } else { Reconciled::default() };
        Summary::take(&self.caller, &self.world, reconciled, started.elapsed()).await
    }

    /// Compares the bank's files with what the service holds, and names what was not as planned.
    async fn reconcile(&self) -> anyhow::Result<Reconciled> {
        watch::until_quiet(&self.caller, &self.world, QUIET_WITHIN).await?;
        eprintln!("uploading the bank's register, charges and statement …");
        let as_of = Clock::system().now();
        let reconciled = reconcile::run(&self.caller, &self.world.base_url(), self.from, as_of).await?;
        reconciled.missed.iter().for_each(|it| eprintln!("divergence not found: {it}"));
        reconciled.false_alarms.iter().for_each(|it| eprintln!("false alarm: {it}"));
        Ok(reconciled)
    }

    /// Prints one opening's timeline and the URLs to explore.
    async fn show(&self, arguments: &Arguments) -> anyhow::Result<()> {
        if arguments.json {
            return Ok(());
        }
        report::print_timeline(&self.caller).await?;
        if !arguments.exit {
            report::print_pages(&self.caller, &self.link).await?;
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
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Quota { total, timing: Timing::compressed() };
    options.tracker.lag = TRACKER_LAG;
    options.seed = arguments.seed;
    Ok(options)
}

/// The service's settings in compressed time: 30 minutes become one second, 12 hours eight seconds.
fn settings(of: Bank, bank: &str, data_dir: &std::path::Path, internal: SocketAddr) -> anyhow::Result<Settings> {
    let timing = Timing::compressed();
    // The bank with defaults is configured in any case: it is asked too.
    let banks = BTreeSet::from([Bank::default(), of]);
    let mut raw = RawSettings::defaults_but(banks.into_iter().flat_map(|it| it.settings(bank)))?;
    raw.provider_routes = format!("*={}", of.name());
    raw.environment = "sandbox".to_owned();
    raw.public_addr = "127.0.0.1:0".to_owned();
    raw.internal_addr = internal.to_string();
    // Tickets lead to the dashboard.
    raw.dashboard_url = format!("http://{internal}");
    raw.api_tokens = format!("demo:{TOKEN}:admin");
    raw.database.data_dir = Some(data_dir.display().to_string());
    raw.profile_service_url = bank.to_owned();
    raw.card_service_url = bank.to_owned();
    let theirs = TrackerOptions::default();
    raw.tracker.jira_base_url = Some(bank.to_owned());
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
    let prices = data_dir.join("prices.csv");
    std::fs::write(&prices, world::reports::PRICE_LIST).context("writing the price list")?;
    raw.price_list = Some(prices.display().to_string());
    raw.reconciliation.recon_window = humantime::format_duration(reconcile::WINDOW).to_string();
    raw.reconciliation.charge_window = raw.reconciliation.recon_window.clone();
    raw.lease_margin = "1s".to_owned();
    raw.checked().map_err(|errors| anyhow::anyhow!("{errors:?}"))
}
