//! The service's processes: three replicas, each behind a proxy of its own to Postgres.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 10_000;
/// The interval of checks on the processes.
const LOOK: Duration = Duration::from_millis(50);

/// A replica; it keeps its addresses across restarts.
pub struct Replica {
    pub public: String,
    pub internal: String,
    number: usize,
    program: PathBuf,
    environment: Vec<(String, String)>,
    log: PathBuf,
    life: Mutex<Life>,
    paused: AtomicBool,
}

/// The current process of a replica.
struct Life {
    child: Option<Child>,
    /// When it is started next, while it is down.
    start_at: Option<Instant>,
    crashes: Vec<String>,
    starts: u64,
}

impl Replica {
    /// A replica that is not started yet, on two free ports.
    pub fn new(
        number: usize,
        program: &Path,
        mut environment: Vec<(String, String)>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (public, internal) = free_ports()?;
        environment.push(("PUBLIC_ADDR".to_owned(), public.clone()));
        environment.push(("INTERNAL_ADDR".to_owned(), internal.clone()));
        Ok(Self {
            public: format!("http://{public}"),
            internal: format!("http://{internal}"),
            number,
            program: program.to_owned(),
            environment,
            log: folder.join(format!("service-{number}.log")),
            life: Mutex::new(Life { child: None, start_at: None, crashes: Vec::new(), starts: 0 }),
            paused: AtomicBool::new(false),
        })
    }

    pub async fn start(&self) -> anyhow::Result<()> {
        let mut life = self.life.lock().await;
        life.child = Some(self.spawn()?);
        life.start_at = None;
        life.starts += 1;
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log).context("a service's log")?;
        let mut command = Command::new(&self.program);
        command.arg("serve").env_clear().envs(self.environment.iter().cloned());
        // In a folder without `.env`, and in its own process group, so that Ctrl-C reaches only the supervisor.
        command.current_dir(self.log.parent().unwrap_or(Path::new("/"))).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().with_context(|| format!("service {}", self.number))
    }

    /// Restarts it when due, also after an unexpected exit.
    pub async fn look_after(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            let mut life = self.life.lock().await;
            if let Some(status) = life.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                life.crashes.push(format!("service {} ended by itself: {status}", self.number));
                life.child = None;
                life.start_at = Some(Instant::now());
            }
            if life.start_at.is_some_and(|at| at <= Instant::now()) {
                life.child = Some(self.spawn()?);
                life.start_at = None;
                life.starts += 1;
            }
        }
    }

    /// kill -9, then down for the given time. Returns the evidence, if it was running.
    pub async fn kill(&self, down: Duration) -> Option<Value> {
        let mut life = self.life.lock().await;
        let mut child = life.child.take()?;
        let pid = child.id()?;
        child.start_kill().ok()?;
        let status = child.wait().await.ok()?;
        life.start_at = Some(Instant::now() + down);
        (status.signal() == Some(9)).then(|| json!({"pid": pid, "signal": 9}))
    }

    /// kill -9; it stays down until started.
    pub async fn take_down(&self) {
        self.kill(Duration::from_hours(1)).await;
    }

    /// SIGSTOP, then SIGCONT after the given time. If it is killed meanwhile, there is no evidence.
    pub async fn pause(&self, length: Duration) -> Option<Value> {
        let pid = self.pid().await?;
        self.paused.store(true, Ordering::SeqCst);
        let slept = self.sleeps(pid, length).await;
        self.paused.store(false, Ordering::SeqCst);
        slept
    }

    async fn sleeps(&self, pid: Pid, length: Duration) -> Option<Value> {
        kill(pid, Signal::SIGSTOP).ok()?;
        let (started, mut stopped) = (Instant::now(), false);
        while started.elapsed() < length {
            tokio::time::sleep(LOOK).await;
            stopped |= is_stopped(pid).await;
        }
        // The pid stays valid until the process is reaped, which requires the lock.
        let life = self.life.lock().await;
        let same = life.child.as_ref().and_then(Child::id) == u32::try_from(pid.as_raw()).ok();
        let woken = same && kill(pid, Signal::SIGCONT).is_ok();
        let slept = started.elapsed().as_millis();
        (stopped && woken).then(|| json!({"pid": pid.as_raw(), "stopped_milliseconds": slept}))
    }

    /// SIGTERM, then waits for the exit. Returns the problem of that exit.
    pub async fn stop(&self, within: Duration) -> Option<String> {
        let mut child = self.life.lock().await.child.take()?;
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // The service may have exited already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match tokio::time::timeout(within, child.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(ended) => Some(format!("P25: service {} ended on SIGTERM with {ended:?}", self.number)),
            Err(_) => {
                let _ = child.kill().await;
                Some(format!("P25: service {} did not end within {within:?} of SIGTERM", self.number))
            }
        }
    }

    pub async fn crashes(&self) -> Vec<String> {
        self.life.lock().await.crashes.clone()
    }

    /// Whether it runs and is not paused: a pause that ended in a kill proves nothing.
    pub async fn is_up(&self) -> bool {
        self.life.lock().await.child.is_some() && !self.paused.load(Ordering::SeqCst)
    }

    async fn pid(&self) -> Option<Pid> {
        let pid = self.life.lock().await.child.as_ref()?.id()?;
        i32::try_from(pid).ok().map(Pid::from_raw)
    }
}

/// `ps` reports `T` for a stopped process.
async fn is_stopped(pid: Pid) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().await;
    output.is_ok_and(|output| output.stdout.first() == Some(&b'T'))
}

/// Two addresses below the ephemeral port range, so that no client socket takes them while a replica is down.
fn free_ports() -> anyhow::Result<(String, String)> {
    Ok((free_port()?, free_port()?))
}

fn free_port() -> anyhow::Result<String> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        // Concurrent runs start at different ports.
        let place = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::SeqCst)) % PORTS;
        let address = format!("127.0.0.1:{}", FIRST_PORT + place);
        if TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port from {FIRST_PORT} on is free")
}
