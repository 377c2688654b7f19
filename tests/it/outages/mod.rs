//! A service under load while its Postgres is killed, stopped, made read-only, or has no disk left. (P19,
//! P20, P1)
//!
//! All share one [`Scene`]: a real process on a cluster of its own, a simulated world, and a load that repeats what was not
//! taken. In each outage every request is answered in time, with what is true or with "come again". When it is over,
//! the service goes on by itself.

mod full_disk;
mod killed;
mod read_only;
mod stopped;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use private_postgres::{Cluster, ClusterOptions};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};
use world::{Options, Plan, Planner, Simulator};

use crate::process::external::{connect, migrate};
use crate::support::kept::Acknowledged;
use crate::support::load::{Answer, Kind, Load};
use crate::support::process::{Folder, WITHIN, eventually};
use crate::support::service::{Service, ServiceBuilder};

/// `ACK_TIMEOUT` of these services.
const ACK_TIMEOUT: Duration = Duration::from_secs(4);
/// The time that a busy machine may add to an answer on its way. Without a deadline an answer would take as long as
/// the outage, or the 10 s after which the client gives up.
const SLACK: Duration = Duration::from_secs(3);
/// P19: how long after the relief the service may be less than whole.
const RELIEF: Duration = Duration::from_secs(30);

/// A service under load on a Postgres that something will happen to.
struct Scene {
    cluster: Cluster,
    folder: Arc<Folder>,
    service: Service,
    world: Simulator,
    load: Load,
}

impl Scene {
    /// On a fresh cluster.
    async fn new() -> Self {
        Self::within(Folder::new()).await
    }

    /// The same in this folder.
    async fn within(folder: Arc<Folder>) -> Self {
        let data_dir = Self::data_dir(&folder);
        let options = ClusterOptions { data_dir, bin_dir: None, max_connections: 60, settings: Vec::new() };
        let cluster = Cluster::start(options).await.unwrap();
        let ended = migrate(cluster.url(), "public").await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
        options.planner = Planner::Fixed(Plan::default());
        let world = Simulator::start(options).await.unwrap();
        let service = ServiceBuilder::on(cluster.url(), "public")
            .outside_world(&world.base_url())
            .env("ACK_TIMEOUT", humantime::format_duration(ACK_TIMEOUT).to_string())
            // A webhook that the bank has given up meanwhile is found by polling.
            .env("POLL_SCHEDULE", "1s")
            .env("LEASE_MARGIN", "5s")
            .env("BACKOFF_CAP", "2s")
            .start()
            .await;
        world.deliver_to(format!("{}/webhooks/nexusbank", service.public));
        let load = Load::on(&[&service]).watching(&service);
        load.is_taken(WITHIN).await;
        Self { cluster, folder, service, world, load }
    }

    fn data_dir(folder: &Folder) -> PathBuf {
        folder.path().join("data")
    }

    async fn execute(&self, sql: &str) {
        let mut connection = connect(self.cluster.url(), "public").await;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// Waits until webhooks and starts are refused.
    async fn is_felt(&self) {
        self.load.answers("requests are told to come again", WITHIN, |answer| answer.status == 503).await;
    }

    /// P19: within 30 seconds, and without a hand: ready, webhooks and starts are taken, and what is started now comes to
    /// its end.
    async fn recovers(&self, relieved: Instant) {
        let left = || RELIEF.saturating_sub(relieved.elapsed());
        self.service.answers_ready(200, left()).await;
        self.load.is_taken(left()).await;
        let key = format!("after_{}", relieved.elapsed().as_nanos());
        let opened = async || {
            let response = self.service.caller().start(&key, &key).await.ok()?;
            let opening: Value = response.json().await.ok()?;
            self.is(opening["id"].as_str()?, "completed").await
        };
        eventually("an opening that is started now is completed", left(), opened).await;
    }

    /// Whether an opening is in this state. None: it is not, or no replica answers.
    async fn is(&self, id: &str, state: &str) -> Option<()> {
        let path = format!("{}/v1/account-openings/{id}", self.service.internal);
        let (_, body) = self.service.status(reqwest::Method::GET, &path).await;
        let opening: Value = serde_json::from_str(&body).ok()?;
        (opening["state"] == state).then_some(())
    }

    /// Ends the load and holds every answer against what is there.
    async fn finish(self) {
        let Self { cluster, folder, service, world, load } = self;
        let answers = load.finish().await;
        every_answer_is_in_order(&answers);

        let acknowledged = Acknowledged::in_(&answers);
        acknowledged.is_there(cluster.url(), "public").await;
        acknowledged.is_completed(cluster.url(), "public").await;
        let ledger = world.ledger();
        assert_eq!(ledger.counts.double_effects, 0, "P9: {:?}", ledger.counts);

        let ended = service.stop().await;
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        cluster.stop().await.unwrap();
        world.stop().await;
        drop(folder);
    }
}

/// P19, P20: 200 and 202, or 503 with `Retry-After`, in time; alive in any case.
fn every_answer_is_in_order(answers: &[Answer]) {
    for answer in answers {
        assert!(answer.took < ACK_TIMEOUT + SLACK, "P19: too late: {answer:?}");
        if answer.acknowledges() {
            continue;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_ne!(answer.kind, Kind::Live, "{answer:?}");
        assert!(answer.retry_after.is_some_and(|seconds| seconds > 0), "{answer:?}");
        if answer.kind == Kind::Start {
            assert_eq!(answer.content_type, "application/problem+json", "{answer:?}");
        }
    }
}
