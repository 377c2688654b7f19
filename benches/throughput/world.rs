//! The cluster and the world around the service, which run all the time.

use std::path::PathBuf;

use account_opening::clock::{Clock, Time};
use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use chrono::TimeDelta;
use private_postgres::{Cluster, ClusterOptions};
use sqlx::{Connection, PgConnection};
use world::{Options, Plan, Planner, Simulator};

use crate::limit;
use crate::rows::Life;
use crate::usage::Probe;

/// Nothing of what is filled becomes due while it is measured.
const DUE_AFTER: TimeDelta = TimeDelta::hours(12);

pub struct World {
    pub cluster: Cluster,
    /// Names of the settings of Postgres that were given.
    settings: Vec<String>,
    /// Without delay: what is submitted is decided at once.
    pub simulator: Simulator,
    pub probe: Probe,
    pub pgbench: PathBuf,
    due: Time,
}

impl World {
    /// # Errors
    /// The package to install.
    pub async fn start(settings: &[(String, String)]) -> Result<Self, String> {
        let (data_dir, settings_of_postgres) = (std::env::temp_dir(), settings.to_owned());
        let options = ClusterOptions { data_dir, bin_dir: None, max_connections: 200, settings: settings_of_postgres };
        let cluster = Cluster::temporary_with(options).await.map_err(|error| error.to_string())?;
        let postmaster = cluster.postmaster_pid();
        let pgbench = limit::pgbench(postmaster)?;
        let planner = Planner::Fixed(Plan::default());
        let options = Options { planner, ..Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET) };
        let simulator = Simulator::start(options).await.expect("the simulator");
        let due = Clock::system().now() + DUE_AFTER;
        let settings = settings.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { cluster, settings, simulator, probe: Probe::new(postmaster), pgbench, due })
    }

    /// Openings that wait and are not due.
    pub fn waiting(&self) -> Life {
        Life::Waiting { due: self.due, deadline: self.due }
    }

    /// Openings that wait and were to be asked about an hour ago, all of them.
    pub fn due(&self) -> Life {
        Life::Waiting { due: self.due - DUE_AFTER - TimeDelta::hours(1), deadline: self.due }
    }

    /// The machine and the settings that the figures depend on.
    pub async fn machine(&self) -> String {
        let mut connection = PgConnection::connect(self.cluster.url()).await.expect("Postgres answers");
        // The settings that readers always ask for, and those that were given.
        let settings = "select string_agg(name || ' ' || current_setting(name), ', ' order by name) from pg_settings
                         where name in ('fsync', 'synchronous_commit', 'wal_sync_method', 'shared_buffers', 'max_wal_size')
                            or name = any($1)";
        let version: String =
            sqlx::query_scalar("show server_version").fetch_one(&mut connection).await.expect("Postgres answers");
        let settings = sqlx::query_scalar(settings).bind(&self.settings);
        let settings: String = settings.fetch_one(&mut connection).await.expect("Postgres answers");
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let (model, kernel) = (model.map_or("", |(_, model)| model), read("/proc/sys/kernel/osrelease"));
        let load = read("/proc/loadavg");
        let load = load.split_whitespace().next().unwrap_or("unknown");
        format!(
            "{cores} cores ({model}), kernel {kernel}; load before the run: {load}\nPostgreSQL {version}: {settings}\n\
             revision {}\n",
            revision(),
        )
    }

    pub async fn stop(self) {
        self.simulator.stop().await;
        self.cluster.stop().await.expect("Postgres stops");
    }
}

fn revision() -> String {
    let mut git = std::process::Command::new("git");
    git.current_dir(env!("CARGO_MANIFEST_DIR")).args(["describe", "--always", "--dirty", "--exclude=*"]);
    let told = git.output().ok().filter(|it| it.status.success());
    told.map_or_else(|| "unknown".to_owned(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}
