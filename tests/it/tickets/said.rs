//! The text of a ticket, and what it never says.

use serde_json::json;
use world::{Fault, Plan, Verdict};

use super::{answered_late, only_issue, silent, text, tracking};

#[tokio::test]
async fn a_ticket_tells_what_happened_where_it_stands_and_where_to_look() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.settle().await;
    let (issue, opening) = (only_issue(&app), app.opening(&id).await);
    let kind = "AccountOpeningWebhookNotReceived";
    assert_eq!(issue.labels, ["account-opening".to_owned(), kind.to_owned(), format!("account-opening-{id}-{kind}")]);
    assert_eq!((issue.project.as_str(), issue.issue_type.as_str()), ("OPS", "Task"));
    let said = text(&issue.description);
    for part in [
        "no answer from nexusbank by the deadline",
        "State: escalated",
        "Market: BE",
        "Provider: nexusbank",
        &format!("Tracking id: {}", opening["provider_reference"].as_str().unwrap()),
        "Started: 2026-01-01 00:00:00 UTC",
        "Deadline: 2026-01-01 12:00:00 UTC",
        "awaiting_provider → escalated (provider_polled, poll)",
        "submit_request: delivered accepted",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let link = format!("https://ops.example/openings/{id}");
    assert!(issue.description.to_string().contains(&json!({"href": link}).to_string()), "{}", issue.description);

    let ticket = &app.items("/v1/tickets").await[0];
    assert_eq!(ticket["tracker_key"], issue.key);
    assert_eq!(ticket["tracker_url"], format!("{}/browse/{}", app.world.base_url(), issue.key));
    app.finish().await;
}

/// A long story is told from its end.
#[tokio::test]
async fn of_a_long_story_the_last_twenty_things_are_told() {
    let app = tracking().settings(|it| it.poll_schedule = "1m".to_owned()).start().await;
    let (id, _) = app.open().waiting().await;
    app.pass_settling(chrono::TimeDelta::hours(12), chrono::TimeDelta::minutes(6)).await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "escalated");
    let description = only_issue(&app).description;
    let lists: Vec<_> =
        description["content"].as_array().unwrap().iter().filter(|it| it["type"] == "bulletList").collect();
    let told = lists[1]["content"].as_array().unwrap();
    assert_eq!(told.len(), 20);
    let last: Vec<String> = told.iter().map(text).collect();
    assert!(last.iter().any(|it| it.contains("awaiting_provider → escalated")), "{last:?}");
    assert!(last.iter().all(|it| it.starts_with("2026-01-01 1")), "{last:?}");
    app.finish().await;
}

/// Nothing of the customer's, nothing of the bank's words, no secret of ours.
#[tokio::test]
async fn neither_the_customer_nor_the_account_nor_a_secret_is_in_any_ticket() {
    let app = tracking().start().await;
    let canaries = |body: &mut serde_json::Value| {
        let reference = body["customer"]["reference"].clone();
        body["customer"] =
            json!({"reference": reference, "name": "Canary Name", "email": "canary@canary.example", "country": "BE"});
    };
    let (completed, _) = app.open().body(canaries).waiting().await;
    let (rejected, _) = app.open().body(canaries).waiting().await;
    let no_card = Plan { card: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let (stuck, _) = app.open().body(canaries).plan(no_card).waiting().await;
    app.pass(chrono::TimeDelta::hours(12));
    app.settle().await;
    answered_late(&app, &completed).await;
    answered_late(&app, &stuck).await;
    app.world.decide(&rejected, &Verdict::reject("canary: Mr Canary is unknown")).unwrap().told().await;
    app.settle().await;
    let issues = app.world.issues();
    assert_eq!(issues.len(), 4);
    let sent = serde_json::to_string(&issues).unwrap();
    assert!(sent.contains("escalated became rejected") && sent.contains("escalated became issuing_card"), "{sent}");
    let mut never = vec!["anary".to_owned(), "cus_".to_owned(), "jira-development-token".to_owned()];
    for id in [completed, stuck] {
        never.push(app.opening(&id).await["iban"].as_str().unwrap().to_owned());
    }
    for word in never {
        assert!(!sent.contains(&word), "{word} in {sent}");
    }
    app.finish().await;
}
