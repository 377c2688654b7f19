//! A system that takes calls and answers none. `benches/outage.rs` measures the same in real time, under load.

use chrono::TimeDelta;
use world::{Api, Endpoint, Plan, Verdict};

use super::{OPEN_FOR, bank_calls, calls, hangs, impatient, nothing_is_used_up, rows, shown};
use crate::support::TestApp;

/// The commands that one tick of a relay claims: the most calls that can be under way before the first has failed.
const BATCH: u64 = 16;

async fn states(app: &TestApp, state: &str) -> usize {
    app.items(&format!("/v1/account-openings?state={state}")).await.len()
}

/// P16, P15
#[tokio::test]
async fn only_probes_reach_a_bank_that_hangs_and_all_work_is_done_when_it_is_back() {
    for probes in [1, 3] {
        let app = impatient(probes).await;
        hangs(&app, Api::Bank);
        for _ in 0..30 {
            app.open().start().await;
        }
        app.settle().await;
        let opened = bank_calls(&app);
        assert!((5..=BATCH).contains(&opened), "{opened}: those under way when it opened");
        assert_eq!(shown(&app, "nexusbank", "submit").await["state"], "open");
        for window in 1..=4 {
            app.pass(OPEN_FOR - TimeDelta::microseconds(1));
            app.settle().await;
            assert_eq!(bank_calls(&app), opened + (window - 1) * probes as u64, "none while it is open");
            app.pass(TimeDelta::microseconds(1));
            app.open().start().await;
            app.settle().await;
            assert_eq!(bank_calls(&app), opened + window * probes as u64, "then the probes");
        }
        nothing_is_used_up(&app).await;
        assert_eq!(states(&app, "requesting_account").await, 34);
        let tried = rows(&app, "submit_request").await;
        let untried: Vec<_> = tried.iter().filter(|it| it["attempt_log"] == serde_json::json!([])).collect();
        let untouched = |it: &serde_json::Value| it["claims"] == 0 && it["outcome"].is_null();
        assert!(untried.iter().all(|it| untouched(it)), "what would not be let through is not claimed");
        // A probe may take work that was tried before: the relay puts off what it claimed while the breaker opened, and that is due
        // later.
        let traces: usize = tried.iter().map(|it| it["attempt_log"].as_array().unwrap().len()).sum();
        assert_eq!(traces, usize::try_from(bank_calls(&app)).unwrap(), "each call has left its trace");

        app.world.outage(Api::Bank, None);
        app.pass(OPEN_FOR);
        app.settle().await;
        assert_eq!(states(&app, "awaiting_provider").await, 34, "no more time has passed");
        assert_eq!(shown(&app, "nexusbank", "submit").await["state"], "closed");
        nothing_is_used_up(&app).await;
        app.finish().await;
    }
}

/// P16: a card issuer; its work has another topic.
#[tokio::test]
async fn only_probes_reach_a_card_issuer_that_hangs_and_the_others_go_on() {
    let app = impatient(2).await;
    hangs(&app, Api::Cards);
    for _ in 0..20 {
        let (id, _) = app.open().waiting().await;
        app.world.decide(&id, &Verdict::complete()).unwrap();
        let told = app.world.opening(&id).unwrap();
        app.webhook().completed(told.tracking_id().unwrap(), told.iban().unwrap()).acknowledged().await;
    }
    app.settle().await;
    let opened = calls(&app, &[Endpoint::IssueCard]);
    assert!((5..=BATCH).contains(&opened), "{opened}");
    for window in 1..=3 {
        app.pass(OPEN_FOR);
        app.settle().await;
        assert_eq!(calls(&app, &[Endpoint::IssueCard]), opened + window * 2);
    }
    app.open().waiting().await;
    nothing_is_used_up(&app).await;
    app.world.outage(Api::Cards, None);
    app.pass(OPEN_FOR);
    app.settle().await;
    assert_eq!((states(&app, "completed").await, states(&app, "awaiting_provider").await), (20, 1));
    app.finish().await;
}

/// P9: one that was taken and not answered is found before it is asked for again, also when the look is the probe.
#[tokio::test]
async fn a_submission_that_was_taken_and_not_answered_is_not_made_twice() {
    let app = impatient(1).await;
    app.world.outage(Api::Bank, Some(world::Fault::HangAfter));
    for _ in 0..8 {
        app.open().plan(Plan::by_hand()).start().await;
    }
    app.settle().await;
    app.world.outage(Api::Bank, None);
    app.pass(OPEN_FOR);
    app.settle().await;
    assert_eq!(states(&app, "awaiting_provider").await, 8);
    assert_eq!(calls(&app, &[Endpoint::Submit]), 8, "those that were taken are not sent again");
    // The probe looked for its own; of the others the bank's list, which is read once it is back, may have told first.
    assert!((1..=8).contains(&calls(&app, &[Endpoint::Lookup])));
    app.finish().await;
}
