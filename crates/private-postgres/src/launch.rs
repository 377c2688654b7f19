//! One start of Postgres, until its first answer.
//!
//! Invariant: ready means that a query was answered over a real connection; a pid proves nothing, because a killed
//! postmaster stays a zombie for a while. A cluster that does not become ready is stopped. A crash leaves no process:
//! see `leash.rs`.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::ClusterError;
use super::endpoint::Endpoint;
use super::folder::{Folder, Log};
use super::leash::Leash;
use super::predecessor;
use super::programs::Programs;
use super::supervisor::Orders;

/// Long, because after a crash Postgres first replays its log.
const READY_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);
/// With fewer, Postgres has no connections left besides the reserved ones.
const FEWEST_CONNECTIONS: u16 = 10;

/// Enough for a start; the caller may override it.
const SHARED_BUFFERS: (&str, &str) = ("shared_buffers", "64MB");

/// Command-line settings, which neither a file nor `alter system` can override. The log contains no statements, values
/// or constraint details: those are customers' data, and the client gets errors anyway.
const SETTINGS: [(&str, &str); 14] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_min_messages", "log"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("log_statement", "none"),
    ("log_checkpoints", "off"),
    ("cluster_name", "account-opening"),
];

/// Starts Postgres and waits for its first answer.
pub(super) async fn launch(
    orders: &Orders,
    folder: &Folder,
    programs: &Programs,
    endpoint: &Endpoint,
) -> Result<Leash, ClusterError> {
    predecessor::clear(folder).await?;
    let log = folder.log()?;
    let mut leash = Leash::spawn(folder, &log, &command(orders, folder, programs, endpoint)).await?;
    let ready = until_ready(folder, &log, endpoint, &mut leash);
    let failed = match orders.stop.run_until_cancelled(ready).await {
        Some(Ok(())) => {
            orders.pid.store(leash.pid, Ordering::Release);
            return Ok(leash);
        }
        Some(Err(error)) => error,
        None => ClusterError::Cancelled,
    };
    // Report the failure of the start, not of the stop after it.
    let _ = leash.stop().await;
    Err(failed)
}

fn command(orders: &Orders, folder: &Folder, programs: &Programs, endpoint: &Endpoint) -> Vec<OsString> {
    let mut command = vec![programs.postgres.clone().into(), "-D".into(), folder.cluster().into()];
    let connections = orders.max_connections.max(FEWEST_CONNECTIONS).to_string();
    let owned = |(name, value): (&'static str, &str)| (name, value.to_owned());
    // The last occurrence of a setting is used.
    let asked = orders.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let settings = std::iter::once(owned(SHARED_BUFFERS)).chain(asked).chain(SETTINGS.map(owned));
    for (name, value) in settings.chain(endpoint.settings()).chain([("max_connections", connections)]) {
        command.push("-c".into());
        command.push(format!("{name}={value}").into());
    }
    command
}

async fn until_ready(folder: &Folder, log: &Log, endpoint: &Endpoint, leash: &mut Leash) -> Result<(), ClusterError> {
    let data_dir = || folder.path().to_owned();
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let last = match endpoint.answer().await {
            Ok(()) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            let seconds = READY_WITHIN.as_secs();
            return Err(ClusterError::NoAnswer { folder: data_dir(), seconds, last, log: log.last_words() });
        }
        if let Ok(ended) = tokio::time::timeout(POLL, leash.ended()).await {
            let status = ended?.to_string();
            return Err(ClusterError::Ended { folder: data_dir(), status, log: log.last_words() });
        }
    }
}
