//! An issue that a person deleted: closing it is done, opening its ticket again makes another (G10).

use chrono::TimeDelta;
use world::{Api, Endpoint, Fault, IssueStatus, Plan};

use super::order::redrive;
use super::{a_quarter_of_an_hour, answered_late, creations, only_issue, silent, text, tracking, undone};
use crate::support::TestApp;

/// Attempts that work for the tracker took, and what its rows say in the end.
async fn ends(app: &TestApp) -> Vec<(String, String, i32)> {
    sqlx::query_as(
        "select topic, outcome, attempts from outbox where topic like '%_ticket' order by payload ->> 'revision'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

/// G10
#[tokio::test]
async fn closing_a_ticket_whose_issue_was_deleted_is_done_at_once() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.settle().await;
    assert!(app.world.delete_issue(&only_issue(&app).key));
    answered_late(&app, &id).await;
    app.pass(TimeDelta::minutes(1));
    app.settle().await;
    let row = |topic: &str, outcome: &str| (topic.to_owned(), outcome.to_owned(), 0);
    assert_eq!(ends(&app).await, [row("open_ticket", "opened"), row("close_ticket", "nothing_to_close")]);
    let ticket = &app.items("/v1/tickets").await[0];
    assert_eq!((&ticket["status"], &ticket["tracker_key"]), (&"closed".into(), &serde_json::Value::Null));
    assert!(app.world.issues().is_empty());
    app.finish().await;
}

/// G10, P9: one that is there, and people see it.
#[tokio::test]
async fn a_ticket_that_is_opened_again_after_its_issue_was_deleted_has_a_new_issue() {
    let app = tracking().start().await;
    let no = || vec![Fault::ErrorBefore { status: 422 }];
    let plan = Plan { profile: no(), card: no(), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let first = only_issue(&app);
    redrive(&app, "create_profile").await;
    assert_eq!(only_issue(&app).status, IssueStatus::Done);
    assert!(app.world.delete_issue(&first.key));
    answered_late(&app, &id).await;
    a_quarter_of_an_hour(&app).await;
    let second = only_issue(&app);
    assert_ne!(second.key, first.key);
    assert_eq!(second.status, IssueStatus::ToDo);
    assert!(text(&second.description).contains("issue_card was given up"), "{second:?}");
    assert_eq!(app.items("/v1/tickets").await[0]["tracker_key"], second.key);
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}

/// G10: of the project, the account or the way to the tracker: nothing says that the issue is gone.
#[tokio::test]
async fn a_404_of_everything_or_of_an_issue_that_the_search_still_finds_is_no_deletion() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.settle().await;
    // The search knows of it.
    app.pass(TimeDelta::minutes(1));
    app.world.outage(Api::Tracker, Some(Fault::ErrorBefore { status: 404 }));
    answered_late(&app, &id).await;
    app.settle().await;
    assert_eq!(undone(&app).await, [("close_ticket".to_owned(), "pending".to_owned())]);
    app.world.outage(Api::Tracker, None);
    app.world.fail_next(Endpoint::ReadIssue, [Fault::ErrorBefore { status: 404 }]);
    a_quarter_of_an_hour(&app).await;
    assert_eq!(only_issue(&app).status, IssueStatus::Done);
    assert_eq!(creations(&app).len(), 1);
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}
