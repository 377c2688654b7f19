//! The limit that Postgres sets: `pgbench` with the row writes of a webhook and nothing else.

use std::path::PathBuf;
use std::process::Command;

use sqlx::PgConnection;

use crate::numbers::{ACCOUNTS, EPOCH_MS, STRIDE};
use crate::usage;
use crate::webhooks;

/// Webhooks in one call of the batched form.
pub const BATCH: u64 = 64;

/// Makes the functions that `pgbench` calls.
pub async fn install(connection: &mut PgConnection) {
    // A body and headers as the service stores them.
    let body = webhooks::body(1);
    let headers = webhooks::headers(1, &body, &webhooks::secret());
    let headers: serde_json::Map<_, _> = headers.into_iter().map(|(name, it)| (name.to_owned(), it.into())).collect();
    let headers = serde_json::to_string(&headers).expect("JSON");
    let functions = include_str!("limit.sql")
        .replace("{epoch}", &EPOCH_MS.to_string())
        .replace("{stride}", &STRIDE.to_string())
        .replace("{accounts}", &ACCOUNTS.to_string())
        .replace("{body}", &format!("'\\x{}'::bytea", hex::encode(body)))
        .replace("{headers}", &format!("'{headers}'::jsonb"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(functions)).execute(connection).await.expect("the functions of the limit");
}

/// Where `pgbench` is: beside the running `postgres`, else on the PATH.
pub fn pgbench(postmaster: Option<u32>) -> PathBuf {
    let beside = postmaster.and_then(usage::program_folder).map(|folder| folder.join("pgbench"));
    let program = beside.filter(|it| it.is_file()).unwrap_or_else(|| "pgbench".into());
    if Command::new(&program).arg("--version").output().is_err() {
        eprintln!(
            "pgbench is missing: it comes with postgresql on Debian and Ubuntu and Homebrew, postgresql-contrib elsewhere"
        );
        std::process::exit(2);
    }
    program
}

/// Completes `first..first + count`, one webhook a call; webhooks per second.
pub fn run(pgbench: &PathBuf, database: &str, clients: u64, batch: Option<u64>, first: u64, count: u64) -> f64 {
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
