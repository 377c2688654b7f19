//! The service as a process on a Postgres of its own, and the simulated world around it.

use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use account_opening::clock::{Clock, Time};
use account_opening::db::migrations;
use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_postgres::Cluster;
use reqwest::Client;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use world::{Options, Simulator};

use crate::DONE_WITHIN;

/// The token that a development service takes when none is set.
pub const TOKEN: &str = "development-token";
/// How long the service may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(100);
/// Work that takes longer than this after the outage is not waited for.
const AT_MOST: Duration = Duration::from_mins(3);

/// Openings of these customers wait for the bank all the time: webhooks and polls are about them.
pub const WAITING: &str = "waiting_";

/// Everything that runs.
pub struct World {
    pub simulator: Simulator,
    pub client: Client,
    /// `http://…` of each listener.
    pub public: String,
    pub internal: String,
    clock: Clock,
    connection: PgConnection,
    cluster: Cluster,
    service: Child,
    folder: TempDir,
}

/// The rows that the database holds in the end.
pub struct Left {
    /// Attempts that counted towards `MAX_ATTEMPTS`.
    pub attempts: i64,
    pub dead: i64,
    pub tickets: i64,
    pub completed: i64,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let cluster = Cluster::temporary(None, 100).await.expect("a private Postgres");
        let mut connection = PgConnection::connect(cluster.url()).await.expect("Postgres answers");
        migrations::migrate(&mut connection, "public").await.expect("the migrations");
        let simulator = Simulator::start(Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET)).await;
        let simulator = simulator.expect("the simulator");
        let (public, internal) = (free_address(), free_address());
        let service = serve(&folder, cluster.url(), &simulator.base_url(), (&public, &internal));
        let (public, internal) = (format!("http://{public}"), format!("http://{internal}"));
        simulator.deliver_to(format!("{public}/webhooks/nexusbank"));
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("an HTTP client");
        let clock = Clock::system();
        let world = Self { simulator, client, public, internal, clock, connection, cluster, service, folder };
        world.is_ready().await;
        world
    }

    async fn is_ready(&self) {
        let (url, started) = (format!("{}/readyz", self.internal), Instant::now());
        while self.client.get(&url).send().await.map_or(0, |it| it.status().as_u16()) != 200 {
            assert!(started.elapsed() < PATIENCE, "not ready within {PATIENCE:?}");
            sleep(LOOK).await;
        }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// How long after the bank was back every opening that had been started by then was at its end.
    pub async fn backlog_done(&mut self, (back, at): (Instant, Time)) -> Duration {
        let left = "select count(*) from account_openings where customer_reference not like 'waiting%'
                       and state not in ('completed', 'rejected', 'failed') and created_at <= $1";
        while back.elapsed() < AT_MOST {
            let left: i64 =
                sqlx::query_scalar(left).bind(at).fetch_one(&mut self.connection).await.expect("Postgres answers");
            if left == 0 {
                break;
            }
            sleep(LOOK).await;
        }
        back.elapsed()
    }

    /// How long after the bank was back nothing was left to do.
    pub async fn all_done(&mut self, back: Instant) -> Duration {
        let left = "select (select count(*) from account_openings where customer_reference not like 'waiting%'
                               and state not in ('completed', 'rejected', 'failed'))
                         + (select count(*) from outbox where status = 'pending')
                         + (select count(*) from inbox where status = 'pending')";
        while back.elapsed() < AT_MOST {
            let left: i64 = sqlx::query_scalar(left).fetch_one(&mut self.connection).await.expect("Postgres answers");
            if left == 0 {
                break;
            }
            if back.elapsed() > DONE_WITHIN {
                println!("{left} left after {:.0} s", back.elapsed().as_secs_f64());
                sleep(LOOK * 10).await;
            }
            sleep(LOOK).await;
        }
        back.elapsed()
    }

    pub async fn left(&mut self) -> Left {
        let (attempts, dead, tickets, completed) = sqlx::query_as(
            "select (select coalesce(sum(attempts), 0) from outbox),
                    (select count(*) from outbox where status = 'dead') + (select count(*) from inbox where status = 'dead'),
                    (select count(*) from tickets), (select count(*) from account_openings where state = 'completed')",
        )
        .fetch_one(&mut self.connection)
        .await
        .expect("Postgres answers");
        Left { attempts, dead, tickets, completed }
    }

    /// Ends everything; how often the service's log says that its pool was exhausted.
    pub async fn stop(mut self) -> usize {
        let pid = self.service.id().and_then(|pid| i32::try_from(pid).ok()).expect("the service runs");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the service takes signals");
        let ended = tokio::time::timeout(PATIENCE, self.service.wait()).await;
        ended.expect("the service ends in time").expect("the service ends");
        self.simulator.stop().await;
        self.connection.close().await.expect("Postgres answers");
        self.cluster.stop().await.expect("Postgres stops");
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("the service's log");
        log.lines().filter(|line| line.contains("pool timed out")).count()
    }
}

fn serve(folder: &TempDir, database: &str, world: &str, (public, internal): (&str, &str)) -> Child {
    let log = File::create(folder.path().join("log")).expect("the service's log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_account-opening"));
    command.arg("serve").current_dir(folder.path()).kill_on_drop(true);
    for (name, value) in [
        ("ENVIRONMENT", "development"),
        ("DATABASE_URL", database),
        ("PUBLIC_ADDR", public),
        ("INTERNAL_ADDR", internal),
        ("NEXUSBANK_BASE_URL", world),
        ("PROFILE_SERVICE_URL", world),
        ("CARD_SERVICE_URL", world),
        ("POLL_SCHEDULE", "20s"),
        ("LOG", "warn"),
    ] {
        command.env(name, value);
    }
    command.env("DATA_DIR", folder.path().join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the service starts")
}

fn free_address() -> String {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    address.to_string()
}
