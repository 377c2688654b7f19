//! A tracker that says no, or wait; and none at all.

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Endpoint, Fault, RefusalForm};

use super::{a_quarter_of_an_hour, answered_late, only_issue, silent, tracking, undone};
use crate::support::TestApp;

/// P15: a final no of the tracker is a dead letter with its cause, and no ticket about a ticket.
#[tokio::test]
async fn a_refusal_is_a_dead_letter_that_says_which_field_and_opens_no_further_ticket() {
    let app = tracking().settings(|it| it.tracker.jira_issue_type = "Nonsense".to_owned()).start().await;
    let id = silent(&app).await;
    app.settle().await;
    let letters = app.items("/v1/dead-letters?queue=outbox").await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((&letters[0]["kind"], &letters[0]["cause"]), (&json!("open_ticket"), &json!("rejected")));
    let letter = app.get(&format!("/v1/dead-letters/{}", letters[0]["id"].as_str().unwrap())).await;
    assert!(letter.to_string().contains("refused: http_400 (issuetype)"), "{letter}");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!(tickets.len(), 1, "{tickets:?}");
    assert_eq!((&tickets[0]["status"], &tickets[0]["tracker_key"]), (&json!("open"), &Value::Null));
    assert_eq!(app.opening(&id).await["state"], "escalated");
    assert!(app.world.issues().is_empty());
    app.finish().await;
}

/// F1, P15: what a gateway before the tracker answers is no no of the tracker's.
#[tokio::test]
async fn a_refusal_of_a_gateway_before_the_tracker_is_tried_again() {
    let app = tracking().start().await;
    app.world.fail_next(Endpoint::CreateIssue, [Fault::Refuse { status: 400, form: RefusalForm::Gateway }]);
    silent(&app).await;
    a_quarter_of_an_hour(&app).await;
    only_issue(&app);
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_pause_that_the_tracker_asks_for_is_kept_by_all() {
    let app = tracking().start().await;
    app.world.fail_next(Endpoint::SearchIssues, [Fault::Throttle { retry_after_seconds: 120 }]);
    for _ in 0..3 {
        app.open().waiting().await;
    }
    app.pass(TimeDelta::hours(12));
    app.settle().await;
    let asked = app.world.tracker_calls(Endpoint::SearchIssues).len();
    app.pass_settling(TimeDelta::seconds(115), TimeDelta::seconds(5)).await;
    assert_eq!(app.world.tracker_calls(Endpoint::SearchIssues).len(), asked);
    a_quarter_of_an_hour(&app).await;
    assert_eq!(app.world.issues().len(), 3);
    app.finish().await;
}

/// A misconfiguration of ours is waited out like an outage.
#[tokio::test]
async fn a_wrong_token_costs_time_and_no_ticket() {
    let app = tracking().settings(|it| it.tracker.jira_api_token = Some("another-token".to_owned())).start().await;
    silent(&app).await;
    a_quarter_of_an_hour(&app).await;
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "pending".to_owned())]);
    assert!(app.world.counts().calls_unauthorized > 0 && app.world.issues().is_empty());
    app.finish().await;
}

#[tokio::test]
async fn without_a_tracker_tickets_are_kept_here_alone_and_nothing_waits_to_be_sent() {
    let app = TestApp::start().await;
    let id = silent(&app).await;
    app.settle().await;
    let tickets = app.items("/v1/tickets").await;
    let keys = (&tickets[0]["tracker_key"], &tickets[0]["tracker_url"], &tickets[0]["status"]);
    assert_eq!(keys, (&Value::Null, &Value::Null, &json!("open")));
    answered_late(&app, &id).await;
    app.settle().await;
    assert_eq!(app.items("/v1/tickets").await[0]["status"], "closed");
    let rows: i64 = sqlx::query_scalar("select count(*) from outbox where topic like '%_ticket'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!((rows, app.world.ledger().tracker_calls.len()), (0, 0));
    app.finish().await;
}

/// A replica that was not configured yet leaves the work to those that are.
#[tokio::test]
async fn work_for_the_tracker_waits_where_none_is_configured() {
    let mut app = tracking().start().await;
    let tracker = app.context.outside.tracker.take();
    silent(&app).await;
    app.settle().await;
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "pending".to_owned())]);
    app.context.outside.tracker = tracker;
    app.settle().await;
    only_issue(&app);
    app.finish().await;
}
