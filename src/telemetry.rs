//! Logs, panics and metrics.
//!
//! Never in a log or a label: names, e-mails, whole IBANs, bodies, secrets. Fields are dotted and named the same
//! everywhere.

mod logs;
mod panics;

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::logs::{LogFilter, LogFormat, init_logs};
pub use self::panics::log_panics;
use crate::domain::{Source, StateName, Topic};
use crate::provider::nexusbank;
use crate::workers::sweeper::SWEEPS;

/// The outcomes of webhook requests that alerts name or that are common.
const WEBHOOK_OUTCOMES: [&str; 10] = [
    "accepted",
    "duplicate",
    "burst_duplicate",
    "conflict",
    "unreadable",
    "signature_missing",
    "signature_wrong",
    "signature_stale",
    "unavailable",
    "timeout",
];

/// The metrics recorder of this process; the first call installs it.
///
/// # Errors
/// If another recorder is installed.
pub fn metrics() -> Result<PrometheusHandle, String> {
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
    metrics::set_global_recorder(recorder)?;
    describe();
    begin_at_zero();
    Ok(handle)
}

fn describe() {
    for (name, what) in [
        ("webhooks_total", "Webhook requests, by outcome"),
        ("burst_duplicates_total", "Duplicate webhooks recognised without the database"),
        ("transitions_total", "Transitions of openings"),
        ("attempts_total", "Calls to other systems, by outcome"),
        ("retries_total", "Calls to be retried, by class of failure"),
        ("tracker_duplicates_total", "Tickets found more than once at the tracker"),
        ("failures_total", "Work that failed for good, or facts that could not be read, by reason"),
        ("polls_total", "Status polls, by outcome"),
        ("escalations_total", "Openings whose deadline passed without an answer"),
        ("terminal_total", "Final answers, by source and outcome"),
        ("archived_total", "Rows archived from inbox and outbox, and keys deleted from the inbox"),
        ("catch_up_pages_total", "Pages of providers' lists requested by backfills, by outcome"),
        ("catch_up_items_total", "Items on these pages, by what the inbox did with them"),
        ("rejected_requests_total", "Refused webhook requests, by whether they were kept"),
        ("webhook_secret_uses_total", "Webhooks verified, by secret"),
        ("sweep_failures_total", "Failed sweeps, by kind"),
    ] {
        describe_counter!(format!("account_opening_{name}"), what);
    }
    for (name, what) in [
        ("queue_depth", "Waiting rows per queue (timers: due rows)"),
        ("queue_oldest_seconds", "Age of the oldest waiting row per queue"),
        ("events_oldest_unshown_seconds", "Age of the oldest event that has no position yet"),
        ("openings", "Openings by state and market"),
        ("dead_letters", "Dead letters by queue and cause"),
        (
            "last_webhook_age_seconds",
            "Time since the last webhook that matched an opening; before the first one, since an opening began to wait",
        ),
        ("ready", "1 if /readyz answers 200, else 0"),
        ("breaker_state", "Circuit breakers: 0 closed, 1 half-open, 2 open"),
        ("terminal_by_poll_ratio", "Share of this process's final answers of the last hour that polls found"),
    ] {
        describe_gauge!(format!("account_opening_{name}"), what);
    }
    describe_histogram!(
        "account_opening_webhook_ack_seconds",
        Unit::Seconds,
        "Time from a webhook request to its answer"
    );
    describe_histogram!("account_opening_processing_seconds", Unit::Seconds, "Duration of a worker's tick");
}

/// Creates counters with known labels at zero. A rate over a counter that appears with its first increment misses that
/// increment, and an alert on an absent series never fires. Counters per market are created at the first scrape after
/// the market's first opening (`http::health`).
fn begin_at_zero() {
    let zero = |name: &'static str, labels: &[(&'static str, &'static str)]| {
        metrics::counter!(format!("account_opening_{name}"), labels).increment(0);
    };
    drop(metrics::histogram!("account_opening_webhook_ack_seconds"));
    zero("burst_duplicates_total", &[]);
    zero("tracker_duplicates_total", &[]);
    for outcome in WEBHOOK_OUTCOMES {
        zero("webhooks_total", &[("provider", nexusbank::NAME), ("outcome", outcome)]);
    }
    for sweep in SWEEPS {
        zero("sweep_failures_total", &[("sweep", sweep)]);
    }
    for from in StateName::ALL {
        for to in from.may_become() {
            zero("transitions_total", &[("from", from.as_str()), ("to", to.as_str())]);
        }
    }
    for topic in Topic::ALL {
        for outcome in ["delivered", "retry", "dead"] {
            zero("attempts_total", &[("topic", topic.as_str()), ("outcome", outcome)]);
        }
        for reason in ["timeout", "transport", "server_error", "throttled", "misconfigured"] {
            zero("retries_total", &[("topic", topic.as_str()), ("reason", reason)]);
        }
    }
    for reason in ["processing", "unreadable", "unknown_status", "no_matching_opening", "catch_up", "no_tracker"] {
        zero("failures_total", &[("reason", reason)]);
    }
    for what in ["facts", "keys", "work"] {
        zero("archived_total", &[("what", what)]);
    }
    for outcome in ["started", "pending", "completed", "rejected", "timeout", "misconfigured"] {
        zero("polls_total", &[("provider", nexusbank::NAME), ("outcome", outcome)]);
    }
    for outcome in ["answered", "timeout", "transport", "server_error"] {
        zero("catch_up_pages_total", &[("provider", nexusbank::NAME), ("outcome", outcome)]);
    }
    for outcome in ["new", "duplicate", "conflict", "unreadable"] {
        zero("catch_up_items_total", &[("provider", nexusbank::NAME), ("outcome", outcome)]);
    }
    for source in [Source::Webhook, Source::Poll, Source::List] {
        for outcome in ["completed", "rejected"] {
            zero("terminal_total", &[("source", source.as_str()), ("outcome", outcome)]);
        }
    }
}
