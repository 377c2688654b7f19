//! Logs, panics and metrics.
//!
//! Never in a log or a label: names, e-mails, whole IBANs, bodies, secrets. Fields are dotted and named the same
//! everywhere.

mod logs;
pub mod metrics;
mod panics;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::logs::{LogFilter, LogFormat, init_logs};
pub use self::panics::log_panics;

/// The metrics recorder of this process; the first call installs it.
///
/// # Errors
/// If another recorder is installed.
pub fn recorder() -> Result<PrometheusHandle, String> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    HANDLE.get_or_init(|| install().map_err(|error| error.to_string())).clone()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    // From 1 ms (one commit) to 10 s (a call's deadline).
    let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets)?
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder)?;
    metrics::describe();
    Ok(handle)
}
