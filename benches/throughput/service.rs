//! The service as a process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::rows::HISTORY_KEY;

/// The token that a development service takes when none is set.
pub const TOKEN: &str = "development-token";
/// How long it may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);
/// Every process follows what an operator forces within two seconds.
const FOLLOWED: Duration = Duration::from_secs(3);

/// A running service.
pub struct Service {
    pub public: SocketAddr,
    pub internal: SocketAddr,
    child: Child,
    folder: TempDir,
}

/// A build of the service, and the settings that it is started with beside those of the bench.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    pub program: &'a Path,
    pub settings: &'a [(String, String)],
}

/// The release build of what is measured.
pub fn this_build() -> Build<'static> {
    Build { program: Path::new(env!("CARGO_BIN_EXE_account-opening")), settings: &[] }
}

/// Applies the migrations of a build.
pub async fn migrate(build: Build<'_>, database: &str) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(build.program);
    command.arg("migrate").current_dir(folder.path()).env("DATABASE_URL", database);
    let migrated = command.stdin(Stdio::null()).stdout(Stdio::null()).status().await.expect("the service starts");
    assert!(migrated.success(), "the migrations");
}

impl Service {
    /// Starts a build of the service on `database`, with `world` around it, and waits until it is ready.
    pub async fn start(build: Build<'_>, database: &str, world: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (public, internal) = (free_address(), free_address());
        let log = File::create(folder.path().join("log")).expect("the service's log");
        let mut command = Command::new(build.program);
        command.arg("serve").current_dir(folder.path()).kill_on_drop(true);
        for (name, value) in [
            ("ENVIRONMENT", "development"),
            ("DATABASE_URL", database),
            ("PUBLIC_ADDR", &public.to_string()),
            ("INTERNAL_ADDR", &internal.to_string()),
            ("HISTORY_KEY", &BASE64_STANDARD.encode(HISTORY_KEY)),
            ("NEXUSBANK_BASE_URL", world),
            ("PROFILE_SERVICE_URL", world),
            ("CARD_SERVICE_URL", world),
            ("LOG", "warn"),
            // The rows that are filled in have old ids, and are to stay while they are measured.
            ("ARCHIVE_AFTER", "36500d"),
            ("INBOX_KEYS_FOR", "36500d"),
            // Absences are looked for in periods of minutes, too.
            ("RECON_WINDOW", "1s"),
        ] {
            command.env(name, value);
        }
        command.env("DATA_DIR", folder.path().join("data"));
        command.envs(build.settings.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the service starts");
        let service = Self { public, internal, child, folder };
        service.is_ready().await;
        service
    }

    async fn is_ready(&self) {
        let (client, url, started) = (direct(), format!("http://{}/readyz", self.internal), Instant::now());
        while client.get(&url).send().await.map_or(0, |it| it.status().as_u16()) != 200 {
            assert!(started.elapsed() < PATIENCE, "not ready within {PATIENCE:?}:\n{}", self.last_words());
            sleep(LOOK).await;
        }
    }

    /// Makes no calls to the card issuer: the commands stay due and no worker claims them.
    pub async fn hold_cards(&self) {
        let url = format!("http://{}/v1/breakers/cards/issue", self.internal);
        let body = json!({"forced": "open", "reason": "webhooks are measured, not what follows them"});
        let answer = direct().put(url).bearer_auth(TOKEN).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "the breaker is forced open");
        sleep(FOLLOWED).await;
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the service runs")
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub async fn stop(mut self) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the service takes signals");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the service ends in time").expect("the service ends");
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port")
}

/// A client that no proxy of the environment comes between.
fn direct() -> Client {
    Client::builder().no_proxy().build().expect("an HTTP client")
}
