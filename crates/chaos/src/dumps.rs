//! Takes a database to another cluster, as people do: `pg_dump`, and `psql` with what it wrote.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use crate::sql;

/// Writes the database to a file, as it is at one moment, while it is used.
pub async fn dump(url: &str, file: &Path) -> anyhow::Result<()> {
    run(url, "pg_dump", &["--file", &file.display().to_string(), "--dbname", url]).await
}

/// Fills a database that is empty from that file, in one transaction.
pub async fn restore(url: &str, file: &Path) -> anyhow::Result<()> {
    let file = file.display().to_string();
    let arguments = [
        "--no-psqlrc",
        "--quiet",
        "--set",
        "ON_ERROR_STOP=1",
        "--single-transaction",
        "--file",
        &file,
        "--dbname",
        url,
    ];
    run(url, "psql", &arguments).await
}

/// One of Postgres' own programs, of the version that runs.
async fn run(url: &str, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let folder = sql::programs(&mut sql::connect(url).await?).await?;
    let mut command = Command::new(Path::new(&folder).join(program));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{program} in {folder}"))?;
    anyhow::ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
