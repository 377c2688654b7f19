//! Changes of one ticket reach the tracker in the same order, and only those that are still of use.

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Api, Endpoint, Fault, IssueStatus, Plan};

use super::{a_quarter_of_an_hour, answered_late, only_issue, silent, text, tracking, undone};
use crate::support::TestApp;

const AWAY: Fault = Fault::ErrorBefore { status: 503 };

/// The letter of a dead command is redriven.
pub(super) async fn redrive(app: &TestApp, topic: &str) {
    let letters = app.items("/v1/dead-letters?queue=outbox").await;
    let id =
        letters.iter().find(|it| it["kind"] == topic).unwrap_or_else(|| panic!("{topic} in {letters:?}"))["id"].clone();
    let path = format!("/v1/dead-letters/{}/redrive", id.as_str().unwrap());
    assert_eq!(app.post(&path, &json!({"reason": "repaired"})).await.0, 202);
    app.settle().await;
}

async fn answered_while_away(app: &TestApp) -> String {
    app.world.outage(Api::Tracker, Some(AWAY));
    let id = silent(app).await;
    app.settle().await;
    answered_late(app, &id).await;
    app.settle().await;
    id
}

/// P9
#[tokio::test]
async fn a_ticket_that_was_closed_before_it_was_made_is_made_and_then_closed() {
    let app = tracking().start().await;
    answered_while_away(&app).await;
    assert!(app.world.issues().is_empty());
    app.world.outage(Api::Tracker, None);
    a_quarter_of_an_hour(&app).await;
    let issue = only_issue(&app);
    assert_eq!((issue.status, issue.comments.len()), (IssueStatus::Done, 1));
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}

/// Ids come from the clocks of several replicas.
#[tokio::test]
async fn the_order_is_that_of_what_happened_also_where_the_ids_say_otherwise() {
    let app = tracking().start().await;
    answered_while_away(&app).await;
    let id_of = "select id from outbox where topic = $1";
    let first: uuid::Uuid = sqlx::query_scalar(id_of).bind("open_ticket").fetch_one(&app.pool).await.unwrap();
    for (topic, id) in [("open_ticket", uuid::Uuid::max()), ("close_ticket", first)] {
        let renamed = sqlx::query("update outbox set id = $2 where topic = $1").bind(topic).bind(id).execute(&app.pool);
        assert_eq!(renamed.await.unwrap().rows_affected(), 1);
    }
    app.world.outage(Api::Tracker, None);
    a_quarter_of_an_hour(&app).await;
    assert_eq!(only_issue(&app).status, IssueStatus::Done);
    app.finish().await;
}

/// One opening, two kinds of trouble one after the other, of the same kind of ticket.
#[tokio::test]
async fn a_ticket_that_is_opened_again_is_the_same_one_with_a_comment() {
    let app = tracking().start().await;
    let no = || vec![Fault::ErrorBefore { status: 422 }];
    let plan = Plan { profile: no(), card: no(), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let issue = only_issue(&app);
    assert_eq!(issue.summary, format!("AccountOpeningStepFailed: opening {id}"));
    assert!(text(&issue.description).contains("create_profile was given up"), "{issue:?}");

    redrive(&app, "create_profile").await;
    assert_eq!(only_issue(&app).status, IssueStatus::Done);
    answered_late(&app, &id).await;
    app.settle().await;
    let issue = only_issue(&app);
    assert_eq!(issue.status, IssueStatus::ToDo, "{issue:?}");
    assert!(text(&issue.comments[1]).contains("issue_card was given up"), "{issue:?}");

    redrive(&app, "issue_card").await;
    let issue = only_issue(&app);
    assert_eq!((issue.status, issue.comments.len()), (IssueStatus::Done, 3));
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// An operator has closed it at the tracker: a comment is added, and it is not moved.
#[tokio::test]
async fn a_ticket_that_a_person_closed_is_only_commented_on() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.settle().await;
    let url = format!("{}/rest/api/3/issue/{}/transitions", app.world.base_url(), only_issue(&app).key);
    let tracker = app.state.settings.tracker.as_ref().unwrap();
    let token = secrecy::ExposeSecret::expose_secret(&tracker.api_token);
    let request = app.client.post(url).basic_auth(&tracker.email, Some(token));
    let answer = request.json(&json!({"transition": {"id": "31"}})).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    answered_late(&app, &id).await;
    app.settle().await;
    let issue = only_issue(&app);
    assert_eq!((issue.comments.len(), issue.moves.len()), (1, 1));
    app.finish().await;
}

/// A dead letter blocks nothing, and is of no use once what came after it is done.
#[tokio::test]
async fn a_dead_ticket_command_blocks_nothing_and_is_not_made_up_for_later() {
    let app = tracking().start().await;
    app.world.fail_next(Endpoint::CreateIssue, [Fault::ErrorBefore { status: 400 }]);
    let id = silent(&app).await;
    app.settle().await;
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "dead".to_owned())]);
    answered_late(&app, &id).await;
    app.settle().await;
    assert!(app.world.issues().is_empty(), "there was nothing to close");
    redrive(&app, "open_ticket").await;
    assert!(app.world.issues().is_empty(), "nobody has to look any more");
    assert_eq!(undone(&app).await, [("open_ticket".to_owned(), "cancelled".to_owned())]);
    app.finish().await;
}

/// Of two kinds of ticket of one opening, neither waits for the other.
#[tokio::test]
async fn each_ticket_has_its_own_order() {
    let app = tracking().start().await;
    let id = app.open().plan(Plan { card: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() }).start().await;
    app.settle().await;
    app.pass(TimeDelta::hours(12));
    app.settle().await;
    app.world.fail_next(Endpoint::CommentIssue, AWAY.times(1));
    answered_late(&app, &id).await;
    app.settle().await;
    let kinds: Vec<Value> = app.items("/v1/tickets").await.iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["AccountOpeningStepFailed", "AccountOpeningWebhookNotReceived"]);
    let status = |issue: &world::IssueRecord| issue.status;
    let issues = app.world.issues();
    assert_eq!(issues.iter().map(status).collect::<Vec<_>>(), [IssueStatus::ToDo, IssueStatus::ToDo]);
    a_quarter_of_an_hour(&app).await;
    let issues = app.world.issues();
    assert_eq!(issues.iter().map(status).collect::<Vec<_>>(), [IssueStatus::Done, IssueStatus::ToDo]);
    app.finish().await;
}
