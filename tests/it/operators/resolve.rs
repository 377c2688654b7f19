//! An operator ends an opening: from each state, in each way. (P6, P7, P8)

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Fault, Plan};

use super::{IBAN, OTHER_IBAN, actions, decision, iban, post, resolve, resolve_path, taken};
use crate::support::{TestApp, problem};

const STATES: [&str; 8] = [
    "creating_profile",
    "requesting_account",
    "awaiting_provider",
    "escalated",
    "issuing_card",
    "completed",
    "rejected",
    "failed",
];

/// An opening in this state.
async fn opening_in(app: &TestApp, state: &str, account: &str) -> String {
    let forever = |fault: Fault| fault.times(1000);
    let outage = Fault::ErrorBefore { status: 500 };
    let plan = match state {
        "creating_profile" => Plan { profile: forever(outage), ..Plan::by_hand() },
        "requesting_account" => Plan { submit: forever(outage), ..Plan::by_hand() },
        "issuing_card" => Plan { card: forever(outage), ..Plan::by_hand() },
        _ => Plan::by_hand(),
    };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    let tracking_id = opening["provider_reference"].as_str().unwrap_or_default();
    match state {
        "escalated" => app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await,
        "issuing_card" | "completed" => app.webhook().completed(tracking_id, account).acknowledged().await,
        "rejected" => app.webhook().status(tracking_id, "REJECTED").acknowledged().await,
        "failed" => assert_eq!(resolve(app, &id, "failed").await, 202),
        _ => {}
    }
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], state);
    id
}

/// The state that an outcome leads to from a state; none: the outcome is refused.
fn expected(state: &str, outcome: &str) -> Option<&'static str> {
    match (state, outcome) {
        ("creating_profile" | "requesting_account" | "awaiting_provider" | "escalated", "failed") => Some("failed"),
        ("requesting_account" | "awaiting_provider" | "escalated", "rejected") => Some("rejected"),
        ("awaiting_provider" | "escalated", "completed") => Some("completed"),
        _ => None,
    }
}

#[tokio::test]
async fn from_each_state_each_outcome_is_taken_or_refused_as_the_rules_say() {
    for state in STATES {
        let app = TestApp::start().await;
        for (n, outcome) in ["failed", "rejected", "completed"].into_iter().enumerate() {
            let id = opening_in(&app, state, &iban(n)).await;
            let response = post(&app, &resolve_path(&id), &decision(outcome)).await;
            let Some(end) = expected(state, outcome) else {
                problem(response, 409, "wrong-state").await;
                app.settle().await;
                assert_eq!(app.opening(&id).await["state"], state, "{outcome}");
                continue;
            };
            assert_eq!(response.status(), 202, "{state} {outcome}");
            app.settle().await;
            let opening = app.opening(&id).await;
            assert_eq!(opening["state"], end, "{state} {outcome}");
            let reason = if end == "completed" { json!(null) } else { json!("seen at the bank") };
            assert_eq!((&opening["reason"], opening["iban"].is_string()), (&reason, end == "completed"));
        }
        app.finish().await;
    }
}

#[tokio::test]
async fn the_history_names_the_act_and_the_record_has_reason_and_evidence() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    taken(&app, &resolve_path(&id), &decision("rejected")).await;
    app.settle().await;
    let acts = actions(&app, &id).await;
    assert_eq!(acts.len(), 1);
    assert_eq!((&acts[0]["action"], &acts[0]["who"]), (&json!("resolve"), &json!("operator")));
    assert_eq!(acts[0]["detail"], json!({"outcome": "rejected", "evidence": "their letter\nof 3 January"}));
    let history = app.items(&format!("/v1/account-openings/{id}/history")).await;
    let last = history.last().unwrap();
    let step = ["from", "to", "event", "source"].map(|it| last[it].as_str().unwrap());
    assert_eq!(step, ["awaiting_provider", "rejected", "operator_resolved", "operator"]);
    assert_eq!(last["detail"], format!("by an operator, act {}", acts[0]["id"].as_str().unwrap()));
    assert!(!json!(history).to_string().contains("seen at the bank"));
    app.finish().await;
}

/// Leaving a state takes its work along: ticket, command, timer; and subscribers are told.
#[tokio::test]
async fn work_of_an_escalated_opening_is_closed_and_subscribers_are_told() {
    let app = TestApp::start().await;
    let id = opening_in(&app, "escalated", OTHER_IBAN).await;
    assert_eq!(app.items("/v1/tickets?status=open").await.len(), 1);
    taken(&app, &resolve_path(&id), &decision("failed")).await;
    app.settle().await;
    assert!(app.items("/v1/tickets?status=open").await.is_empty());
    let events = app.eventually_all_events().await;
    let last = events.iter().rev().find(|it| it["subject"] == id.as_str()).unwrap();
    assert_eq!((&last["type"], &last["data"]["status"]), (&json!("account_opening.failed"), &json!("failed")));
    let metrics = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    let counted = |it: &&str| it.contains("terminal_total") && it.contains("operator") && it.contains("failed");
    assert!(metrics.lines().any(|it| counted(&it)), "{metrics}");
    app.finish().await;
}

#[tokio::test]
async fn an_unsent_command_is_cancelled_with_the_opening_that_it_was_for() {
    let app = TestApp::start().await;
    let id = opening_in(&app, "creating_profile", OTHER_IBAN).await;
    taken(&app, &resolve_path(&id), &decision("failed")).await;
    app.settle().await;
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let command = items.iter().find(|it| it["kind"] == "create_profile").unwrap();
    assert_eq!(command["detail"]["status"], "cancelled");
    app.pass(TimeDelta::hours(1));
    app.settle().await;
    assert_eq!(app.world.counts().profiles, 0);
    app.finish().await;
}

/// The wait needs a tracking id: without one there is no account to speak of.
#[tokio::test]
async fn an_account_that_we_never_heard_of_takes_its_tracking_id_and_both_steps_in_one_commit() {
    let app = TestApp::start().await;
    let id = opening_in(&app, "requesting_account", OTHER_IBAN).await;
    let response = post(&app, &resolve_path(&id), &decision("completed")).await;
    let text = response.text().await.unwrap();
    assert!(text.contains("provider_reference") && text.contains("wrong-state"), "{text}");
    let mut body = decision("completed");
    body["provider_reference"] = json!("aor_found");
    taken(&app, &resolve_path(&id), &body).await;
    app.settle().await;
    let opening = app.opening(&id).await;
    let held = ["state", "iban", "bic", "provider_reference", "provider_status"].map(|it| opening[it].clone());
    assert_eq!(held, [json!("completed"), json!(IBAN), json!("NEXUBEBB"), json!("aor_found"), json!(null)]);
    let at: Vec<Value> =
        app.items(&format!("/v1/account-openings/{id}/history")).await.iter().map(|it| it["at"].clone()).collect();
    assert_eq!((at.len(), &at[2]), (5, &at[3]));
    // The bank says the same later: nothing new.
    app.webhook().completed("aor_found", IBAN).acknowledged().await;
    app.settle().await;
    assert!(app.items("/v1/cases").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn an_iban_or_tracking_id_that_another_opening_holds_is_a_case_and_moves_nothing() {
    let app = TestApp::start().await;
    let (_, held) = app.open().waiting().await;
    app.webhook().completed(&held, IBAN).acknowledged().await;
    app.settle().await;
    let requesting = opening_in(&app, "requesting_account", OTHER_IBAN).await;
    let mut body = decision("completed");
    body["iban"] = json!(OTHER_IBAN);
    body["provider_reference"] = json!(held);
    taken(&app, &resolve_path(&requesting), &body).await;
    let (waiting, tracking_id) = app.open().waiting().await;
    taken(&app, &resolve_path(&waiting), &decision("completed")).await;
    app.settle().await;
    assert_eq!(app.opening(&requesting).await["state"], "requesting_account");
    assert_eq!(app.opening(&waiting).await["state"], "awaiting_provider");
    for (id, kind) in [(&requesting, "reference_held_elsewhere"), (&waiting, "iban_held_elsewhere")] {
        let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
        assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!(kind)));
    }
    // Under another tracking id than the one that we wait under, nothing is taken.
    let mut body = decision("completed");
    body["provider_reference"] = json!("aor_other");
    problem(post(&app, &resolve_path(&waiting), &body).await, 409, "wrong-state").await;
    body["provider_reference"] = json!(tracking_id);
    body["iban"] = json!(OTHER_IBAN);
    taken(&app, &resolve_path(&waiting), &body).await;
    app.settle().await;
    assert_eq!(app.opening(&waiting).await["iban"], OTHER_IBAN);
    app.finish().await;
}

/// P8: a later report of the provider that disagrees with our decision is one case.
#[tokio::test]
async fn a_later_answer_of_the_provider_that_disagrees_is_one_case() {
    for (outcome, state, status, iban) in [
        ("failed", "failed", "COMPLETED", Some(OTHER_IBAN)),
        ("rejected", "rejected", "COMPLETED", Some(OTHER_IBAN)),
        ("completed", "completed", "COMPLETED", Some(OTHER_IBAN)),
        ("completed", "completed", "REJECTED", None),
    ] {
        let app = TestApp::start().await;
        let (id, tracking_id) = app.open().waiting().await;
        taken(&app, &resolve_path(&id), &decision(outcome)).await;
        app.settle().await;
        for _ in 0..2 {
            match iban {
                Some(iban) => app.webhook().completed(&tracking_id, iban).acknowledged().await,
                None => app.webhook().status(&tracking_id, status).acknowledged().await,
            }
            app.state.ingest.forget_bursts();
            app.settle().await;
        }
        assert_eq!(app.opening(&id).await["state"], state, "{outcome} then {status}");
        let cases = app.items("/v1/cases").await;
        assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")), "{outcome} then {status}");
        app.finish().await;
    }
}

#[tokio::test]
async fn an_opening_that_does_not_exist_or_a_decision_that_is_none_is_refused() {
    let app = TestApp::start().await;
    let nowhere = resolve_path("01994c3e-0000-7000-8000-000000000001");
    problem(post(&app, &nowhere, &decision("failed")).await, 404, "not-found").await;
    let (id, _) = app.open().waiting().await;
    let mut wrong = decision("completed");
    wrong["iban"] = json!("BE68539007547035");
    wrong["bic"] = json!("NEXU");
    let pointers = problem(post(&app, &resolve_path(&id), &wrong).await, 422, "validation-failed").await;
    assert_eq!(pointers, ["/iban", "/bic"]);
    let mut wrong = decision("failed");
    wrong["iban"] = json!(IBAN);
    assert_eq!(problem(post(&app, &resolve_path(&id), &wrong).await, 422, "validation-failed").await, ["/iban"]);
    assert_eq!(app.opening(&id).await["version"], 3);
    assert!(app.items("/v1/operator-actions").await.is_empty());
    app.finish().await;
}
