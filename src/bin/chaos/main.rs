//! A scratch run of the load against one service without faults: the supervisor's program takes its place.

mod files;
mod load;
mod provider;
#[allow(dead_code, reason = "the dump is the supervisor's")]
mod record;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context as _;

use self::files::Recorder;
use self::load::{Config, Load, Replica};
use self::provider::Provider;

const SECRET: &str = "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("a folder")?);
    let number = |name: &str, default: f64| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default);
    std::fs::create_dir_all(&folder)?;
    let history = Recorder::create(&folder.join("history.jsonl"))?;
    let ledger = Recorder::create(&folder.join("ledger.jsonl"))?;
    let config = provider::Config { port: None, seed: 7, event_secret: SECRET.to_owned() };
    let provider = Provider::start(config, ledger.clone(), history.clone()).await?;
    let (mut service, replica) = serve(&provider, &folder)?;
    ready(&replica).await?;
    let before = cpu()?;
    let config = Config {
        seed: 7,
        seconds: 15,
        openings_per_second: number("OPENINGS", 20.0),
        messages_per_second: number("MESSAGES", 200.0),
        reads_per_second: number("READS", 20.0),
        token: "development-token".to_owned(),
        webhook_secret: SECRET.to_owned(),
    };
    let replicas = vec![replica.clone(), replica.clone(), replica];
    let load = Load::start(config, history, &provider, replicas)?;
    let troubled = std::env::var("FAULTS").is_ok();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(service.id())?);
    for second in 0..15 {
        if troubled {
            trouble(&provider, pid, second)?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        eprintln!("{:?}", load.progress());
    }
    load.stop().await;
    eprintln!("cpu of the load and the provider: {:.1} % of a core", (cpu()? - before) / 15.0 * 100.0);
    eprintln!("late: {}", provider.finish_silent());
    eprintln!("unacked: {}", load.drain(Duration::from_secs(30)).await);
    tokio::time::sleep(Duration::from_secs(12)).await;
    eprintln!("{:?}\n{:?}", load.progress(), provider.counts());
    eprintln!("behind: {}", load.finish(Duration::from_secs(10)).await?);
    ledger.flush().await?;
    provider.stop();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    service.wait()?;
    Ok(())
}

fn trouble(provider: &Provider, pid: nix::unistd::Pid, second: u32) -> anyhow::Result<()> {
    use nix::sys::signal::{Signal, kill};
    match second {
        2 => provider.strike(Some(record::Fault::ProviderError), 0.5),
        4 => provider.strike(Some(record::Fault::ProviderHang), 0.5),
        6 => provider.strike(Some(record::Fault::ProviderThrottle), 1.0),
        7 => provider.strike(Some(record::Fault::ProviderGarbage), 0.5),
        9 => provider.strike(None, 0.0),
        10 => kill(pid, Signal::SIGSTOP)?,
        13 => kill(pid, Signal::SIGCONT)?,
        _ => {}
    }
    Ok(())
}

fn free() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn serve(provider: &Provider, folder: &std::path::Path) -> anyhow::Result<(Child, Replica)> {
    let (public, internal) = (free()?, free()?);
    let url = provider.url();
    let child = Command::new("target/debug/account-opening")
        .arg("serve")
        .env("DATA_DIR", folder.join("data"))
        .envs([("ENVIRONMENT", "development"), ("POLL_SCHEDULE", "4s"), ("ESCALATE_AFTER", "30s")])
        .envs([("PROVIDER_TIMEOUT", "3s"), ("LEASE_MARGIN", "2s"), ("BACKOFF_BASE", "200ms"), ("BACKOFF_CAP", "5s")])
        .envs([("PUBLIC_ADDR", &public), ("INTERNAL_ADDR", &internal), ("NEXUSBANK_BASE_URL", &url)])
        .envs([
            ("PROFILE_SERVICE_URL", &url),
            ("CARD_SERVICE_URL", &url),
            ("EVENT_SUBSCRIBERS", &provider.subscriber()),
        ])
        .env("LOG", "warn")
        .stderr(std::fs::File::create(folder.join("service.log"))?)
        .spawn()?;
    Ok((child, Replica { public: format!("http://{public}"), internal: format!("http://{internal}") }))
}

async fn ready(replica: &Replica) -> anyhow::Result<()> {
    for _ in 0..300 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = reqwest::get(format!("{}/readyz", replica.internal)).await;
        if answer.is_ok_and(|it| it.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the service does not become ready")
}

/// Seconds of this process on a core.
fn cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks: f64 = fields[13].parse::<f64>()? + fields[14].parse::<f64>()?;
    Ok(ticks / 100.0)
}
