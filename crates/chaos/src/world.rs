//! The environment of a run: Postgres, one proxy per replica, the outside world, three replicas.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chaos::{Link, Proxy};
use chrono::TimeDelta;
use private_postgres::Cluster;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;
use tokio::time::Instant;

use crate::asked::clock_offset;
use crate::files::{Recorder, now};
use crate::load;
use crate::provider::{self, Bank, Provider};
use crate::record::{Fault, Plan, Seen};
use crate::services::Replica;
use crate::sql;
use crate::strikes::Targets;

pub const REPLICAS: usize = 3;
/// Not secrets: they protect services on free local ports that end with the run.
pub const TOKEN: &str = "chaos-token";
pub const WEBHOOK_SECRET: &str = "whsec_Y2hhb3Mtd2ViaG9vay1zZWNyZXQ=";
/// The service's windows in compressed time.
pub const RECON_WINDOW: TimeDelta = TimeDelta::seconds(20);
/// A charge tells the day on which it was booked, so no shorter window has room for an answer that comes after it.
pub const CHARGE_WINDOW: TimeDelta = TimeDelta::days(2);
const EVENT_SECRET: &str = "whsec_Y2hhb3MtZXZlbnQtc2VjcmV0";
/// The key of the history's chain, for the services and the checker.
pub const HISTORY_KEY: [u8; 32] = *b"the chain of a run that is chaos";
const HISTORY_KEY_TEXT: &str = "dGhlIGNoYWluIG9mIGEgcnVuIHRoYXQgaXMgY2hhb3M=";
/// The role of the services, and its password where the cluster asks for one.
const SERVICE: &str = "service";
const PASSWORD: &str = "chaos";
/// Connections per replica.
const CONNECTIONS: u16 = 12;
/// Connections of Postgres.
pub const MAX_CONNECTIONS: u16 = CONNECTIONS * 3 + 60;
/// The replica behind a pooler that ignores startup options.
const WITHOUT_OPTIONS: usize = 1;
/// How long the services may take to be ready at the start.
const READY_WITHIN: Duration = Duration::from_mins(3);

pub struct World {
    pub targets: Arc<Targets>,
    pub history: Recorder,
    pub ledger: Recorder,
    pub folder: PathBuf,
    client: reqwest::Client,
}

/// The parameters of a world.
pub struct Making<'a> {
    pub bank: Bank,
    pub folder: &'a Path,
    pub service: &'a Path,
    pub plan: Plan,
    /// The removed defence, in a build that allows it.
    pub control: Option<&'a str>,
    /// Additional settings of the services.
    pub environment: &'a [(&'a str, &'a str)],
}

impl World {
    pub async fn start(making: &Making<'_>) -> anyhow::Result<Self> {
        let history = Recorder::create(&making.folder.join("history.jsonl")).context("the history")?;
        let ledger = Recorder::create(&making.folder.join("ledger.jsonl")).context("the ledger")?;
        history.record(&Seen::Plan(making.plan.clone()));
        let seed = making.plan.seed;
        let cluster = Cluster::temporary(None, MAX_CONNECTIONS).await?;
        let service = as_service(cluster.url())?;
        create_role(cluster.url()).await?;
        // A session that is not told its cell uses another one without any error.
        for schema in ["public", sql::CELL] {
            migrate(making.service, cluster.url(), &service, schema).await?;
        }
        if matches!(making.control, Some("no-unique-key" | "dedup-only-in-memory")) {
            sql::drop_unique_key(&mut sql::connect(cluster.url()).await?).await?;
        }
        if making.control == Some("events-by-transaction") {
            sql::number_events_by_transaction(&mut sql::connect(cluster.url()).await?).await?;
        }
        let bank = making.bank;
        let config = provider::Config { bank, port: None, seed, event_secret: EVENT_SECRET.to_owned() };
        let provider = Provider::start(config, ledger.clone(), history.clone()).await?;
        let prices = making.folder.join("prices.csv");
        std::fs::write(&prices, ::world::reports::PRICE_LIST).context("the price list")?;
        let (mut replicas, mut proxies) = (Vec::new(), Vec::new());
        for number in 0..REPLICAS {
            let proxy = Proxy::start(link(cluster.url())?).await?;
            if number == WITHOUT_OPTIONS {
                proxy.ignore_options();
            }
            let mut environment = environment(&service, &proxy, &provider)?;
            let own = bank.environment(&provider.url(), WEBHOOK_SECRET).into_iter();
            environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
            if bank.has_files() {
                environment.push(("PRICE_LIST".to_owned(), prices.display().to_string()));
            }
            let more = making.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            environment.extend(more);
            if number == REPLICAS - 1 {
                environment.push(("CLOCK_OFFSET".to_owned(), format!("{}ms", clock_offset(seed))));
            }
            environment.extend(making.control.map(|control| ("BROKEN".to_owned(), control.to_owned())));
            replicas.push(Arc::new(Replica::new(number, making.service, environment, making.folder)?));
            proxies.push(Arc::new(proxy));
        }
        let targets = Arc::new(Targets::new(replicas, proxies, cluster, provider));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
        let world = Self { targets, history, ledger, folder: making.folder.to_owned(), client };
        world.start_replicas().await?;
        Ok(world)
    }

    async fn start_replicas(&self) -> anyhow::Result<()> {
        for replica in &self.targets.replicas {
            replica.start().await?;
        }
        self.until_serving(READY_WITHIN).await?;
        let skewed = &self.targets.replicas[REPLICAS - 1];
        let (_, body) = self.ready(skewed).await;
        let evidence = is_skewed_alone(&body).then(|| json!({"readyz": body}));
        let target = format!("service {}", REPLICAS - 1);
        self.history.record(&Seen::Fault { at: now(), fault: Fault::SkewedClock, target, evidence });
        Ok(())
    }

    /// Waits until every replica is ready; the replica with the wrong clock reports only that as its problem.
    pub async fn until_serving(&self, within: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        for (number, replica) in self.targets.replicas.iter().enumerate() {
            loop {
                let (status, body) = self.ready(replica).await;
                let fits = if number == REPLICAS - 1 { status == 503 && is_skewed_alone(&body) } else { status == 200 };
                if fits {
                    break;
                }
                anyhow::ensure!(
                    started.elapsed() < within,
                    "{} is not ready after {within:?}: {body}",
                    replica.internal
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    async fn ready(&self, replica: &Replica) -> (u16, String) {
        match self.client.get(format!("{}/readyz", replica.internal)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        }
    }

    pub fn addresses(&self) -> Vec<load::Replica> {
        let addresses = |it: &Arc<Replica>| load::Replica { public: it.public.clone(), internal: it.internal.clone() };
        self.targets.replicas.iter().map(addresses).collect()
    }

    /// Whether a service wrote to another cell.
    pub async fn outside_the_cell(&self) -> anyhow::Result<Option<String>> {
        let rows = sql::outside_the_cell(&self.targets.url()).await?;
        Ok((rows > 0).then(|| format!("{rows} rows stand outside of the cell {}", sql::CELL)))
    }

    pub async fn crashes(&self) -> Vec<String> {
        let mut crashes = Vec::new();
        for replica in &self.targets.replicas {
            crashes.extend(replica.crashes().await);
        }
        crashes
    }
}

/// Whether a replica reports a wrong clock and no other problem.
fn is_skewed_alone(body: &str) -> bool {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let problems = answer["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    matches!(problems, [one] if one.as_str().is_some_and(|it| it.contains("clock")))
}

/// The services' role, in a cluster that does not have it.
pub async fn create_role(url: &str) -> anyhow::Result<()> {
    Ok(sql::create_role(&mut sql::connect(url).await?, SERVICE, PASSWORD).await?)
}

/// Runs the service's own `migrate`.
async fn migrate(program: &Path, owner: &str, service: &str, schema: &str) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("migrate").env_clear().current_dir("/");
    command.env("MIGRATION_DATABASE_URL", owner).env("DATABASE_URL", service).env("DATABASE_SCHEMA", schema);
    let output = command.stdin(Stdio::null()).output().await.context("migrate")?;
    anyhow::ensure!(output.status.success(), "migrate failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The same database with the service's role, which owns nothing.
fn as_service(url: &str) -> anyhow::Result<String> {
    let (_, rest) = url.split_once('@').context("the cluster's URL has no user")?;
    Ok(format!("postgres://{SERVICE}:{PASSWORD}@{rest}"))
}

/// Where a cluster is.
pub fn link(url: &str) -> anyhow::Result<Link> {
    let options: PgConnectOptions = url.parse()?;
    let folder = options.get_socket().cloned();
    let folder = folder.or_else(|| Some(options.get_host()).filter(|host| host.starts_with('/')).map(PathBuf::from));
    Ok(match folder {
        Some(folder) => Link::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
        None => Link::Port(format!("{}:{}", options.get_host(), options.get_port()).parse()?),
    })
}

/// Time is compressed: a lease of five seconds, a deadline of thirty.
fn environment(database: &str, proxy: &Proxy, provider: &Provider) -> anyhow::Result<Vec<(String, String)>> {
    let mut url = reqwest::Url::parse(database)?;
    let _ = url.set_host(Some("127.0.0.1"));
    let _ = url.set_port(Some(proxy.addr().port()));
    let outside = provider.url();
    let set = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_POOL", &CONNECTIONS.to_string()),
        ("DATABASE_SCHEMA", sql::CELL),
        ("ENVIRONMENT", "staging"),
        ("LOG", "warn"),
        ("LOG_FORMAT", "json"),
        ("API_TOKENS", &format!("chaos:{TOKEN}:admin")),
        ("HISTORY_KEY", HISTORY_KEY_TEXT),
        ("PROFILE_SERVICE_URL", &outside),
        ("CARD_SERVICE_URL", &outside),
        ("EVENT_SUBSCRIBERS", &provider.subscriber()),
        ("POLL_SCHEDULE", "4s"),
        ("ESCALATE_AFTER", "30s"),
        ("PROVIDER_TIMEOUT", "3s"),
        ("LEASE_MARGIN", "2s"),
        ("SHUTDOWN_GRACE", "8s"),
        ("BACKOFF_BASE", "200ms"),
        ("BACKOFF_CAP", "5s"),
        ("BURST_DEDUP_TTL", "10s"),
        ("RECON_WINDOW", &format!("{}s", RECON_WINDOW.num_seconds())),
        ("CHARGE_WINDOW", &format!("{}s", CHARGE_WINDOW.num_seconds())),
    ];
    Ok(set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
