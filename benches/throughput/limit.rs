//! The limit that Postgres sets: `pgbench` with the row writes of a webhook and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use account_opening::clock::Clock;
use sqlx::PgConnection;

use crate::fill::run;
use crate::numbers::{ACCOUNTS, EPOCH_MS, STRIDE};
use crate::{usage, webhooks};

/// Webhooks in one call of the batched form.
pub const BATCH: u64 = 64;

/// Makes the functions that `pgbench` calls.
pub async fn install(connection: &mut PgConnection) {
    // A body and headers as the service stores them.
    let (body, now) = (webhooks::body(1), Clock::system().now());
    let headers = webhooks::stored(&webhooks::headers(1, &body, now, &webhooks::sign(1, &body, now)));
    let functions = include_str!("limit.sql")
        .replace("{epoch}", &EPOCH_MS.to_string())
        .replace("{stride}", &STRIDE.to_string())
        .replace("{accounts}", &ACCOUNTS.to_string())
        .replace("{body}", &format!("'\\x{}'::bytea", hex::encode(body)))
        .replace("{headers}", &format!("'{headers}'::jsonb"));
    run(connection, &functions).await;
}

/// Where `pgbench` is: beside the running `postgres`, else on the PATH.
///
/// # Errors
/// The package to install.
pub fn pgbench(postmaster: Option<u32>) -> Result<PathBuf, &'static str> {
    let beside = postmaster.and_then(usage::program_folder).map(|folder| folder.join("pgbench"));
    let program = beside.filter(|it| it.is_file()).unwrap_or_else(|| "pgbench".into());
    Command::new(&program).arg("--version").output().map(|_| program).map_err(|_| {
        "pgbench is missing: install postgresql (Debian, Ubuntu), postgresql-contrib (Fedora), postgresql@16 (Homebrew)"
    })
}

/// How `pgbench` calls.
#[derive(Clone, Copy)]
pub struct Calls {
    pub clients: u64,
    /// Webhooks in one call. None: one, by the function for one.
    pub batch: Option<u64>,
    /// A second, at times that are independent of each other. None: as fast as they are answered.
    pub rate: Option<u64>,
}

/// Completes `first..first + count`; webhooks per second, and how long each call took, from when it was to begin: sorted.
pub fn complete(pgbench: &Path, database: &str, calls: Calls, first: u64, count: u64) -> (f64, Vec<Duration>) {
    let call = match calls.batch {
        None => format!("select bench_webhook({first} + nextval('bench_n'));\n"),
        Some(size) => format!("select bench_webhooks({first} + {size} * nextval('bench_n'), {size});\n"),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("script");
    std::fs::write(&script, call).expect("a temporary file");
    let each = count / calls.clients / calls.batch.unwrap_or(1);
    let mut command = Command::new(pgbench);
    command.current_dir(folder.path());
    command.args(["-n", "-M", "prepared", "-c", &calls.clients.to_string(), "-t", &each.to_string()]);
    command.args(calls.rate.iter().flat_map(|rate| ["--log".to_owned(), format!("--rate={rate}")]));
    let output = command.arg("-f").arg(&script).arg(database).output().expect("pgbench runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "pgbench: {told}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find_map(|line| line.strip_prefix("tps = ")).expect("pgbench's tps");
    let tps: f64 = line.split_whitespace().next().and_then(|it| it.parse().ok()).expect("pgbench's tps");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let batch = calls.batch.unwrap_or(1) as f64;
    (tps * batch, latencies(folder.path()))
}

/// The latencies in the log of `pgbench`: a line for each call, of which the third word is how many microseconds it took.
fn latencies(folder: &Path) -> Vec<Duration> {
    let logs = std::fs::read_dir(folder).expect("a temporary folder").flatten();
    let logs = logs.filter(|it| it.file_name().to_string_lossy().starts_with("pgbench_log."));
    let mut latencies: Vec<Duration> = logs
        .flat_map(|log| {
            let text = std::fs::read_to_string(log.path()).expect("pgbench's log");
            let micros = |line: &str| line.split(' ').nth(2).and_then(|it| it.parse().ok()).expect("pgbench's log");
            text.lines().map(|line| Duration::from_micros(micros(line))).collect::<Vec<_>>()
        })
        .collect();
    latencies.sort_unstable();
    latencies
}
