//! The demo's output: figures, one opening's timeline, URLs to explore.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::TOKEN;
use super::caller::Caller;
use super::reconcile::{Reconciled, Tally};
use crate::app::App;
use world::Simulator;

/// The figures, under the names that `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub openings: u64,
    pub completed: u64,
    pub rejected: u64,
    pub escalated: u64,
    pub failed: u64,
    pub in_progress: u64,
    /// Decided at the provider before the deadline, but neither decided nor escalated in the service.
    pub lost: u64,
    pub webhooks_sent: u64,
    pub webhooks_dropped: u64,
    pub webhooks_duplicated: u64,
    pub burst_duplicates: u64,
    pub bad_signatures_refused: u64,
    pub found_by_poll: u64,
    pub cards_issued: u64,
    /// Profiles, account requests, cards or tickets created twice.
    pub double_effects: u64,
    pub tickets: u64,
    /// Tickets that exist at the tracker, counted there.
    pub tickets_at_tracker: u64,
    pub cases: u64,
    pub report_rows: u64,
    pub resolved_by_report: u64,
    pub divergences_seeded: usize,
    /// Divergences that reconciliation did not find, or found as another class.
    pub divergences_missed: usize,
    /// Mismatches that no divergence explains.
    pub false_alarms: usize,
    /// By class, how many divergences were seeded and how many mismatches were found.
    pub divergences: BTreeMap<String, Tally>,
    pub seconds: f64,
}

impl Summary {
    pub async fn take(
        caller: &Caller,
        world: &Simulator,
        reconciled: Reconciled,
        took: Duration,
    ) -> anyhow::Result<Self> {
        let openings = caller.all("/v1/account-openings").await?;
        let count = |state: &str| openings.iter().filter(|it| it["state"] == state).count() as u64;
        let metrics = caller.metrics().await?;
        let ledger = world.ledger();
        let (completed, rejected, escalated, failed) =
            (count("completed"), count("rejected"), count("escalated"), count("failed"));
        let decided_at: HashMap<&str, DateTime<Utc>> = ledger
            .openings
            .iter()
            .filter_map(|(reference, opening)| Some((reference.as_str(), opening.decided_at()?)))
            .collect();
        let in_progress = openings.len() as u64 - completed - rejected - escalated - failed;
        Ok(Self {
            openings: openings.len() as u64,
            completed,
            rejected,
            escalated,
            failed,
            in_progress,
            lost: openings.iter().filter(|opening| is_lost(opening, &decided_at)).count() as u64,
            webhooks_sent: ledger.counts.webhooks_sent,
            webhooks_dropped: ledger.counts.webhooks_dropped,
            webhooks_duplicated: ledger.counts.webhooks_duplicated,
            burst_duplicates: metrics.sum("account_opening_burst_duplicates_total", ""),
            bad_signatures_refused: metrics.sum("account_opening_webhooks_total", "outcome=\"signature_"),
            found_by_poll: metrics.sum("account_opening_terminal_total", "source=\"poll\""),
            cards_issued: ledger.counts.cards,
            double_effects: ledger.counts.double_effects,
            tickets: caller.all("/v1/tickets").await?.len() as u64,
            tickets_at_tracker: ledger.counts.issues,
            cases: caller.all("/v1/cases").await?.len() as u64,
            report_rows: reconciled.report_rows,
            resolved_by_report: metrics.sum("account_opening_terminal_total", "source=\"report\""),
            divergences_seeded: reconciled.seeded,
            divergences_missed: reconciled.missed.len(),
            false_alarms: reconciled.false_alarms.len(),
            divergences: reconciled.classes,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
        })
    }
}

fn is_lost(opening: &Value, decided_at: &HashMap<&str, DateTime<Utc>>) -> bool {
    let answered = opening["status"] != "in_progress" || opening["state"] == "escalated";
    let deadline = opening["deadline_at"].as_str().and_then(|it| it.parse::<DateTime<Utc>>().ok());
    let decided = opening["id"].as_str().and_then(|id| decided_at.get(id));
    !answered && decided.zip(deadline).is_some_and(|(decided, deadline)| *decided < deadline)
}

pub(super) fn print(summary: &Summary, as_json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(summary)?;
    if as_json {
        println!("{value}");
        return Ok(());
    }
    let meanings = [
        ("openings", "accounts requested"),
        ("completed", "account open and card issued"),
        ("rejected", "refused by the bank"),
        ("escalated", "no answer by the deadline; a ticket was opened"),
        ("failed", "ended without an answer"),
        ("in_progress", "undecided when the demo ended"),
        ("lost", "decided at the bank, unknown to the service   (must be 0)"),
        ("webhooks_sent", "webhooks of the bank, including duplicates and retries"),
        ("webhooks_dropped", "webhooks that were never sent"),
        ("webhooks_duplicated", "duplicates among those sent"),
        ("burst_duplicates", "duplicates recognised without the database"),
        ("bad_signatures_refused", "forged webhooks refused"),
        ("found_by_poll", "answers found by polling"),
        ("cards_issued", "virtual cards, counted at the issuer"),
        ("double_effects", "profiles, accounts, cards or tickets made twice (must be 0)"),
        ("tickets", "opened for operators"),
        ("tickets_at_tracker", "of these, at the ticket tracker"),
        ("cases", "contradictions for an operator to judge"),
        ("report_rows", "rows of the bank's files"),
        ("resolved_by_report", "answers that only the register brought"),
        ("divergences_seeded", "differences that the bank's files were given"),
        ("divergences_missed", "of these, not found as what they are            (must be 0)"),
        ("false_alarms", "differences found that nobody seeded            (must be 0)"),
        ("seconds", "from start to end"),
    ];
    println!();
    for (name, meaning) in meanings {
        println!("{name:>24}  {:>6}  {meaning}", value[name].to_string());
    }
    println!("\n{:>24}  {:>6}  {:>6}", "divergence", "seeded", "found");
    for (class, Tally { seeded, found }) in &summary.divergences {
        println!("{class:>24}  {seeded:>6}  {found:>6}");
    }
    Ok(())
}

/// The timeline of an opening that a poll completed because its webhook was lost, else of any completed one.
pub(super) async fn print_timeline(caller: &Caller) -> anyhow::Result<()> {
    let mut chosen = None;
    for opening in caller.all("/v1/account-openings?status=succeeded").await? {
        let Some(id) = opening["id"].as_str().map(str::to_owned) else { continue };
        let history = caller.all(&format!("/v1/account-openings/{id}/history")).await?;
        let by_poll = history.iter().any(|step| step["to"] == "issuing_card" && step["source"] == "poll");
        chosen.get_or_insert_with(|| id.clone());
        if by_poll {
            chosen = Some(id);
            break;
        }
    }
    let Some(id) = chosen else { return Ok(()) };
    println!("\nTimeline of opening {id}");
    for item in caller.all(&format!("/v1/account-openings/{id}/timeline")).await? {
        let at = item["at"].as_str().and_then(|it| it.parse::<DateTime<Utc>>().ok()).unwrap_or_default();
        let kind = item["kind"].as_str().unwrap_or_default();
        println!("  {}  {kind:<16} {}", at.format("%H:%M:%S%.3f"), describe(kind, &item["detail"]));
    }
    Ok(())
}

fn describe(kind: &str, detail: &Value) -> String {
    let text = |name: &str| detail[name].as_str().unwrap_or("-").to_owned();
    match kind {
        "transition" => format!("{} → {} ({}, {})", text("from"), text("to"), text("event"), text("source")),
        "ticket" | "case" => format!("{} {}", text("kind"), text("status")),
        _ => {
            let attempts = detail["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
            let tries: Vec<&str> = attempts.iter().filter_map(|it| it["cause"].as_str()).collect();
            let tries = if tries.is_empty() { String::new() } else { format!(" ({})", tries.join(", then ")) };
            format!("{} {}{tries}", text("status"), text("outcome"))
        }
    }
}

/// The dashboard: the link that signs in, and pages worth opening.
pub(super) async fn print_pages(caller: &Caller, link: &str) -> anyhow::Result<()> {
    let base = &caller.base_url;
    println!("\nDashboard\n  {base}/login/{link}    signs you in, one time");
    let pages = [
        ("/v1/account-openings?state=escalated", "id", "openings", "an opening that was escalated"),
        ("/v1/cases?status=open", "opening_id", "openings", "an opening with a case"),
        ("/v1/mismatches", "id", "mismatches", "a difference between the bank's files and what we hold"),
    ];
    for (list, field, page, what) in pages {
        let items = caller.all(list).await?;
        if let Some(id) = items.iter().find_map(|it| it[field].as_str()) {
            println!("  {base}/{page}/{id}    {what}");
        }
    }
    Ok(())
}

pub(super) fn print_where_to_look(caller: &Caller, app: &App, world: &Simulator) {
    let base = &caller.base_url;
    println!(
        "\nEverything is still running. Try these, then press Ctrl-C:\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{base}/v1/account-openings?state=escalated'\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{base}/v1/cases'\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{base}/v1/mismatches'\n  \
         curl -H 'Authorization: Bearer {TOKEN}' '{base}/v1/events?limit=5'\n  \
         API description: {base}/docs    metrics: {base}/metrics\n  \
         the bank's ledger: {}/_sim/ledger    the tracker's tickets: {}/_sim/issues\n  webhooks are sent to http://{}/webhooks/{}",
        world.base_url(),
        world.base_url(),
        app.public_addr,
        caller.bank.name(),
    );
}
