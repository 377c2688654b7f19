//! Moves a database to another cluster as operators do: `pg_dump`, then `psql`.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use crate::sql;

/// Dumps the database in one snapshot, while it is in use.
pub async fn dump(url: &str, file: &Path) -> anyhow::Result<()> {
    run(url, "pg_dump", &["--file", &file.display().to_string(), "--dbname", url]).await
}

/// Fills an empty database from the file, in one transaction.
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

/// Runs one of Postgres' own programs in the server's version.
async fn run(url: &str, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let folder = sql::programs(&mut sql::connect(url).await?).await?;
    let mut command = Command::new(Path::new(&folder).join(program));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{program} in {folder}"))?;
    anyhow::ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
