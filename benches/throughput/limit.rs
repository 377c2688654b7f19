//! The limit that Postgres sets: `pgbench` with the row writes of a webhook and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

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
/// What to install.
pub fn pgbench(postmaster: Option<u32>) -> Result<PathBuf, &'static str> {
    let beside = postmaster.and_then(usage::program_folder).map(|folder| folder.join("pgbench"));
    let program = beside.filter(|it| it.is_file()).unwrap_or_else(|| "pgbench".into());
    Command::new(&program).arg("--version").output().map(|_| program).map_err(|_| {
        "pgbench is missing: install postgresql (Debian, Ubuntu), postgresql-contrib (Fedora), postgresql@16 (Homebrew)"
    })
}

/// Completes `first..first + count`, one webhook a call; webhooks per second.
pub fn complete(pgbench: &Path, database: &str, clients: u64, batch: Option<u64>, first: u64, count: u64) -> f64 {
    let call = match batch {
        None => format!("select bench_webhook({first} + nextval('bench_n'));\n"),
        Some(size) => format!("select bench_webhooks({first} + {size} * nextval('bench_n'), {size});\n"),
    };
    let script = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(script.path(), call).expect("a temporary file");
    let calls = count / clients / batch.unwrap_or(1);
    let mut command = Command::new(pgbench);
    command.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-t", &calls.to_string(), "-f"]);
    let output = command.arg(script.path()).arg(database).output().expect("pgbench runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "pgbench: {told}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find_map(|line| line.strip_prefix("tps = ")).expect("pgbench's tps");
    let tps: f64 = line.split_whitespace().next().and_then(|it| it.parse().ok()).expect("pgbench's tps");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let batch = batch.unwrap_or(1) as f64;
    tps * batch
}
