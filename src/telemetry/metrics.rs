//! Every metric: its name, its help, and the one function that records it.
//!
//! Alerts and dashboards hang on names and labels, so both stand here alone, and no metric is without its help. A label has few
//! values: never an id, never customers' data. Counters live in the process and begin at zero with it, as Prometheus expects;
//! gauges of the database are read at each scrape.

#![expect(clippy::disallowed_macros, reason = "the one place that records metrics")]

use std::time::Duration;

use chrono::TimeDelta;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::{Source, StateName, Topic};

/// A name and its help.
type Metric = (&'static str, &'static str);

const WEBHOOKS: Metric = ("account_opening_webhooks_total", "Webhook requests, by outcome");
const BURST_DUPLICATES: Metric =
    ("account_opening_burst_duplicates_total", "Duplicate webhooks recognised without the database");
const REJECTED_REQUESTS: Metric =
    ("account_opening_rejected_requests_total", "Refused webhook requests, by whether they were kept");
const SECRET_USES: Metric = ("account_opening_webhook_secret_uses_total", "Webhooks verified, by secret");
const TRANSITIONS: Metric = ("account_opening_transitions_total", "Transitions of openings");
const TERMINAL: Metric = ("account_opening_terminal_total", "Final answers, by source and outcome");
const ESCALATIONS: Metric = ("account_opening_escalations_total", "Openings whose deadline passed without an answer");
const ATTEMPTS: Metric = ("account_opening_attempts_total", "Calls to other systems, by outcome");
const RETRIES: Metric = ("account_opening_retries_total", "Calls to be retried, by class of failure");
const FAILURES: Metric =
    ("account_opening_failures_total", "Work that failed for good, or facts that could not be read, by reason");
const POLLS: Metric = ("account_opening_polls_total", "Status polls, by outcome");
const TRACKER_DUPLICATES: Metric =
    ("account_opening_tracker_duplicates_total", "Tickets found more than once at the tracker");
const BACKFILL_PAGES: Metric =
    ("account_opening_catch_up_pages_total", "Pages of providers' lists requested by backfills, by outcome");
const BACKFILL_ITEMS: Metric =
    ("account_opening_catch_up_items_total", "Items on these pages, by what the inbox did with them");
const BULK_ITEMS: Metric = ("account_opening_bulk_items_total", "Items of bulk runs, by what became of them");
const ARCHIVED: Metric =
    ("account_opening_archived_total", "Rows archived from inbox and outbox, and keys deleted from the inbox");
const SWEEP_FAILURES: Metric = ("account_opening_sweep_failures_total", "Failed sweeps, by kind");

const REPORT_ROWS: Metric =
    ("account_opening_report_rows_total", "Rows of providers' reports, by their class or as bad");

const REPORT_PAGES: Metric =
    ("account_opening_report_pages_total", "Pages of providers' lists requested by pulls of reports, by outcome");

const COUNTERS: [Metric; 19] = [
    WEBHOOKS,
    BURST_DUPLICATES,
    REJECTED_REQUESTS,
    SECRET_USES,
    TRANSITIONS,
    TERMINAL,
    ESCALATIONS,
    ATTEMPTS,
    RETRIES,
    FAILURES,
    POLLS,
    TRACKER_DUPLICATES,
    BACKFILL_PAGES,
    BACKFILL_ITEMS,
    ARCHIVED,
    BULK_ITEMS,
    SWEEP_FAILURES,
    REPORT_PAGES,
    REPORT_ROWS,
];

const READY: Metric = ("account_opening_ready", "1 if /readyz answers 200, else 0");
const BREAKER_STATE: Metric = ("account_opening_breaker_state", "Circuit breakers: 0 closed, 1 half-open, 2 open");
const QUEUE_DEPTH: Metric = ("account_opening_queue_depth", "Waiting rows per queue (timers: due rows)");
const QUEUE_OLDEST: Metric = ("account_opening_queue_oldest_seconds", "Age of the oldest waiting row per queue");
const EVENTS_UNSHOWN: Metric =
    ("account_opening_events_oldest_unshown_seconds", "Age of the oldest event that has no position yet");
const OPENINGS: Metric = ("account_opening_openings", "Openings by state and market");
const DEAD_LETTERS: Metric = ("account_opening_dead_letters", "Dead letters by queue and cause");
const LAST_WEBHOOK: Metric = (
    "account_opening_last_webhook_age_seconds",
    "Time since the last webhook that matched an opening; before the first one, since an opening began to wait",
);

const MISMATCHES: Metric = ("account_opening_mismatches", "Open mismatches of reconciliation, by class and state");
const MISMATCH_OLDEST: Metric =
    ("account_opening_mismatch_oldest_seconds", "Age of the oldest open mismatch of a class");
const REPORT_AGE: Metric =
    ("account_opening_report_age_seconds", "Time since the newest finished report of a provider and kind came");
const GAUGES: [Metric; 11] = [
    READY,
    BREAKER_STATE,
    QUEUE_DEPTH,
    QUEUE_OLDEST,
    EVENTS_UNSHOWN,
    OPENINGS,
    DEAD_LETTERS,
    LAST_WEBHOOK,
    MISMATCHES,
    MISMATCH_OLDEST,
    REPORT_AGE,
];

const WEBHOOK_ACK: Metric = ("account_opening_webhook_ack_seconds", "Time from a webhook request to its answer");
const PROCESSING: Metric = ("account_opening_processing_seconds", "Duration of a worker's tick");

const RECONCILIATION_STAGE: Metric =
    ("account_opening_reconciliation_stage_seconds", "Time that a report took in a stage of its work");

pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    for (name, help) in [WEBHOOK_ACK, PROCESSING, RECONCILIATION_STAGE] {
        describe_histogram!(name, Unit::Seconds, help);
    }
}

pub fn webhook(provider: &'static str, outcome: &'static str) {
    counter!(WEBHOOKS.0, "provider" => provider, "outcome" => outcome).increment(1);
}

pub fn webhook_answered(took: Duration) {
    histogram!(WEBHOOK_ACK.0).record(took);
}

pub fn burst_duplicate() {
    counter!(BURST_DUPLICATES.0).increment(1);
}

pub fn refused_webhook(provider: String, cause: &'static str, kept: bool) {
    let kept = if kept { "true" } else { "false" };
    counter!(REJECTED_REQUESTS.0, "provider" => provider, "cause" => cause, "kept" => kept).increment(1);
}

/// `secret` is a fingerprint.
pub fn secret_use(provider: &'static str, secret: String) {
    counter!(SECRET_USES.0, "provider" => provider, "secret" => secret).increment(1);
}

/// Counts a transition; where it is the answer, also the source of the answer.
pub fn transition(from: Option<StateName>, to: StateName, source: &'static str, market: &str) {
    let from = from.map_or("none", StateName::as_str);
    counter!(TRANSITIONS.0, "from" => from, "to" => to.as_str()).increment(1);
    if let Some(outcome) = answer(to) {
        counter!(TERMINAL.0, "source" => source, "outcome" => outcome).increment(1);
    }
    if to == StateName::Escalated {
        counter!(ESCALATIONS.0, "market" => market.to_owned()).increment(1);
    }
}

/// From zero on, in every process: the first escalation of a market must be an increase.
pub fn escalations_of(market: &str) {
    counter!(ESCALATIONS.0, "market" => market.to_owned()).increment(0);
}

pub fn attempt(topic: Topic, outcome: &'static str) {
    counter!(ATTEMPTS.0, "topic" => topic.as_str(), "outcome" => outcome).increment(1);
}

pub fn retry(topic: Topic, class: &'static str) {
    counter!(RETRIES.0, "topic" => topic.as_str(), "reason" => class).increment(1);
}

pub fn failures(reason: &'static str, count: u64) {
    counter!(FAILURES.0, "reason" => reason).increment(count);
}

pub fn poll(provider: String, outcome: String) {
    counter!(POLLS.0, "provider" => provider, "outcome" => outcome).increment(1);
}

pub fn tracker_duplicate() {
    counter!(TRACKER_DUPLICATES.0).increment(1);
}

pub fn backfill_page(provider: String, outcome: &'static str) {
    counter!(BACKFILL_PAGES.0, "provider" => provider, "outcome" => outcome).increment(1);
}

pub fn backfill_item(provider: String, outcome: &'static str) {
    counter!(BACKFILL_ITEMS.0, "provider" => provider, "outcome" => outcome).increment(1);
}

/// A row that was read; its outcome is its class, or `bad`.
pub fn report_rows(provider: &str, kind: &str, outcome: &str, rows: u64) {
    let labels = [("provider", provider.to_owned()), ("kind", kind.to_owned()), ("outcome", outcome.to_owned())];
    counter!(REPORT_ROWS.0, &labels).increment(rows);
}

/// A page that a pull asked for; its outcome is `answered` or the class of the failure.
pub fn report_page(provider: &str, outcome: &'static str) {
    counter!(REPORT_PAGES.0, "provider" => provider.to_owned(), "outcome" => outcome).increment(1);
}

pub fn mismatches(class: &str, state: &str, count: i64) {
    let labels = [("class", class.to_owned()), ("state", state.to_owned())];
    gauge!(MISMATCHES.0, &labels).set(float(count));
}

pub fn mismatch_oldest(class: &str, age: TimeDelta) {
    gauge!(MISMATCH_OLDEST.0, "class" => class.to_owned()).set(age.as_seconds_f64());
}

pub fn report_age(provider: String, kind: String, age: TimeDelta) {
    gauge!(REPORT_AGE.0, "provider" => provider, "kind" => kind).set(age.as_seconds_f64());
}

pub fn reconciliation_stage(stage: &'static str, took: Duration) {
    histogram!(RECONCILIATION_STAGE.0, "stage" => stage).record(took);
}

pub fn archived(what: &'static str, rows: u64) {
    counter!(ARCHIVED.0, "what" => what).increment(rows);
}

pub fn bulk_items(outcome: &'static str, count: u64) {
    counter!(BULK_ITEMS.0, "outcome" => outcome).increment(count);
}

pub fn sweep_failure(sweep: &'static str) {
    counter!(SWEEP_FAILURES.0, "sweep" => sweep).increment(1);
}

pub fn tick(worker: &'static str, took: Duration) {
    histogram!(PROCESSING.0, "queue" => worker).record(took);
}

pub fn ready(ready: bool) {
    gauge!(READY.0).set(if ready { 1.0 } else { 0.0 });
}

/// 0 closed, 1 half-open, 2 open
pub fn breaker_state(system: &str, operation: &'static str, state: u8) {
    gauge!(BREAKER_STATE.0, "provider" => system.to_owned(), "operation" => operation).set(state);
}

pub fn queue(name: &str, depth: i64, oldest: TimeDelta) {
    gauge!(QUEUE_DEPTH.0, "queue" => name.to_owned()).set(float(depth));
    gauge!(QUEUE_OLDEST.0, "queue" => name.to_owned()).set(oldest.as_seconds_f64());
}

pub fn events_oldest_unshown(age: TimeDelta) {
    gauge!(EVENTS_UNSHOWN.0).set(age.as_seconds_f64());
}

pub fn openings(state: &str, market: &str, count: i64) {
    gauge!(OPENINGS.0, "state" => state.to_owned(), "market" => market.to_owned()).set(float(count));
}

pub fn dead_letters(queue: &str, cause: &str, count: i64) {
    gauge!(DEAD_LETTERS.0, "queue" => queue.to_owned(), "cause" => cause.to_owned()).set(float(count));
}

pub fn last_webhook_age(provider: &str, market: &str, age: TimeDelta) {
    gauge!(LAST_WEBHOOK.0, "provider" => provider.to_owned(), "market" => market.to_owned()).set(age.as_seconds_f64());
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
const fn float(count: i64) -> f64 {
    count as f64
}

/// The final answer that an opening has on entering a state. None: it has no answer yet, or had it before.
const fn answer(to: StateName) -> Option<&'static str> {
    match to {
        StateName::IssuingCard => Some("completed"),
        StateName::Rejected => Some("rejected"),
        StateName::Failed => Some("failed"),
        _ => None,
    }
}

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

/// Sets the counters with known labels to zero: a rate over a counter that appears with its first increment
/// misses that increment, and an alert on an absent counter never fires. The counters of a market begin with
/// [`escalations_of`].
pub fn begin_at_zero(providers: &[&'static str], sweeps: &[&'static str]) {
    drop(histogram!(WEBHOOK_ACK.0));
    counter!(BURST_DUPLICATES.0).increment(0);
    counter!(TRACKER_DUPLICATES.0).increment(0);
    for provider in providers {
        let labels = [("provider", *provider)];
        zero(WEBHOOKS, &labels, "outcome", &WEBHOOK_OUTCOMES);
        let outcomes = ["started", "pending", "completed", "rejected", "timeout", "misconfigured"];
        zero(POLLS, &labels, "outcome", &outcomes);
        zero(BACKFILL_PAGES, &labels, "outcome", &["answered", "timeout", "transport", "server_error"]);
        zero(BACKFILL_ITEMS, &labels, "outcome", &["new", "duplicate", "conflict", "unreadable"]);
    }
    for from in StateName::ALL {
        let to: Vec<_> = from.may_become().iter().map(|it| it.as_str()).collect();
        zero(TRANSITIONS, &[("from", from.as_str())], "to", &to);
    }
    for topic in Topic::ALL {
        let labels = [("topic", topic.as_str())];
        zero(ATTEMPTS, &labels, "outcome", &["delivered", "retry", "dead"]);
        let reasons = ["timeout", "transport", "server_error", "throttled", "misconfigured"];
        zero(RETRIES, &labels, "reason", &reasons);
    }
    for source in [Source::Webhook, Source::Poll, Source::List] {
        zero(TERMINAL, &[("source", source.as_str())], "outcome", &["completed", "rejected"]);
    }
    let reasons = ["processing", "unreadable", "unknown_status", "no_matching_opening", "catch_up", "no_tracker"];
    zero(FAILURES, &[], "reason", &reasons);
    zero(ARCHIVED, &[], "what", &["facts", "keys", "work"]);
    zero(BULK_ITEMS, &[], "outcome", &["done", "already", "refused", "failed"]);
    zero(SWEEP_FAILURES, &[], "sweep", sweeps);
}

/// Starts a counter at 0 for each value of the last label.
fn zero((name, _): Metric, labels: &[(&'static str, &'static str)], last: &'static str, values: &[&'static str]) {
    for value in values {
        let labels = [labels, &[(last, *value)]].concat();
        counter!(name, &labels).increment(0);
    }
}
