//! `demo`: everything on one machine, and nothing of it left behind.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::{Folder, Program, WITHIN, eventually, runs};

/// Longer than any demo takes on a busy machine.
const LONG: Duration = Duration::from_mins(2);
/// The figures that `--json` must have.
const FIGURES: [&str; 23] = [
    "openings",
    "completed",
    "rejected",
    "escalated",
    "failed",
    "in_progress",
    "lost",
    "webhooks_sent",
    "webhooks_dropped",
    "webhooks_duplicated",
    "burst_duplicates",
    "bad_signatures_refused",
    "found_by_poll",
    "cards_issued",
    "double_effects",
    "tickets",
    "tickets_at_tracker",
    "report_rows",
    "resolved_by_report",
    "divergences_seeded",
    "divergences_missed",
    "false_alarms",
    "seconds",
];

/// A demo with its temporary files in the test's folder.
fn demo(arguments: &[&str]) -> (Program, Arc<Folder>) {
    let folder = Folder::new();
    let program = Program::new(&[&["demo"], arguments].concat()).within(&folder);
    (program.env("TMPDIR", folder.path().display().to_string()), folder)
}

/// The temporary files that remain after its Postgres has exited.
async fn leaves_nothing(folder: &Folder) {
    let left = || std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>();
    eventually("nothing is left", WITHIN, async || left().is_empty().then_some(())).await;
}

/// Openings from which on the simulator deals every kind of divergence.
const ENOUGH: u64 = 40;
/// Classes that the demo seeds at least: all that a file can show.
const CLASSES: usize = 25;

/// P9, P13, P29: counted by the other side's ledger and its plan.
#[tokio::test]
async fn the_demo_decides_every_opening_and_prints_its_figures_as_one_json_object() {
    let (demo, folder) = demo(&["--openings", &ENOUGH.to_string(), "--seed", "3", "--exit", "--json"]);
    let ended = demo.spawn().ended(LONG).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    for name in FIGURES {
        assert!(summary[name].is_number(), "{name}: {summary}");
    }
    let figure = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(figure("openings"), ENOUGH, "{summary}");
    for name in ["lost", "double_effects", "in_progress", "failed", "divergences_missed", "false_alarms"] {
        assert_eq!(figure(name), 0, "{name}: {summary}");
    }
    reconciliation_found_what_was_seeded(&summary);
    assert_eq!(figure("completed") + figure("rejected") + figure("escalated"), ENOUGH, "{summary}");
    assert!(figure("tickets") > 0, "{summary}");
    assert_eq!(figure("tickets"), figure("tickets_at_tracker"), "{summary}");
    assert!(figure("cards_issued") >= figure("completed"), "{summary}");
    assert!(figure("webhooks_dropped") > 0 && figure("found_by_poll") > 0, "no fault was dealt: {summary}");
    leaves_nothing(&folder).await;
}

fn reconciliation_found_what_was_seeded(summary: &Value) {
    let figure = |name: &str| summary[name].as_u64().unwrap();
    let classes = summary["divergences"].as_object().unwrap();
    let seeded = |class: &str| classes[class]["seeded"].as_u64().unwrap();
    for (class, tally) in classes {
        assert_eq!(tally["found"], tally["seeded"], "{class}: {summary}");
    }
    assert!(classes.len() >= CLASSES, "{} classes: {summary}", classes.len());
    assert_eq!(figure("divergences_seeded"), classes.keys().map(|it| seeded(it)).sum::<u64>(), "{summary}");
    let missed_answers = seeded("MISSED_ANSWER");
    assert!(missed_answers > 0 && figure("resolved_by_report") >= missed_answers, "{summary}");
    assert!(figure("report_rows") >= ENOUGH, "{summary}");
}

#[tokio::test]
async fn without_json_a_person_gets_a_table_and_a_timeline_and_the_demo_stays_up_until_it_is_stopped() {
    let (demo, folder) = demo(&["--openings", "3"]);
    let mut process = demo.spawn();
    eventually("it stays up", LONG, async || process.stdout().contains("/_sim/ledger").then_some(())).await;
    let text = process.stdout();
    for name in FIGURES {
        let row = |line: &str| line.trim_start().starts_with(name) && line.split_whitespace().count() > 2;
        assert!(text.lines().any(row), "{name}: {text}");
    }
    assert!(text.contains("Timeline of opening") && text.contains("issuing_card → completed"), "{text}");
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "JSON among it: {text}");
    assert!(process.lives());
    the_link_signs_in_one_time(&text).await;

    process.signal(Signal::SIGINT);
    let ended = process.ended(LONG).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    leaves_nothing(&folder).await;
}

/// The link leads to the first page; used again, to the sign-in.
async fn the_link_signs_in_one_time(text: &str) {
    let line = text.lines().find(|it| it.contains("/login/")).unwrap();
    let address = line.split_whitespace().next().unwrap();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (leads_to, signs_in) in [("/", true), ("/login", false)] {
        let answer = client.get(address).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, leads_to));
        assert_eq!(answer.headers().contains_key("set-cookie"), signs_in);
    }
}

#[tokio::test]
async fn a_demo_that_is_interrupted_in_the_middle_ends_soon_and_leaves_nothing() {
    let (demo, folder) = demo(&["--openings", "200", "--exit", "--json"]);
    let mut process = demo.spawn();
    eventually("it is in the middle", LONG, async || process.stderr().contains("decided").then_some(())).await;
    let postmasters = folder.postmasters();
    assert_eq!(postmasters.len(), 1, "{postmasters:?}");
    process.signal(Signal::SIGINT);
    // That the signal ended it, its code and the missing summary say, however slow the machine is.
    let ended = process.ended(LONG).await;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "half a summary");
    assert!(!runs(postmasters[0]), "its Postgres still runs");
    leaves_nothing(&folder).await;
}
