//! Answers that get lost, and crashes: what may have been made is waited for and looked for before it is made again.

use account_opening::domain::Topic;
use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Place, Step, When};
use account_opening::outbox::Relay;
use chrono::TimeDelta;
use futures::future::join_all;
use world::{Api, Endpoint, Fault, IssueStatus};

use super::{INDEX_LAG, a_quarter_of_an_hour, answered_late, creations, only_issue, silent, text, tracking, undone};
use crate::support::TestApp;

/// P9: the tracker answers 500, then times out after creating.
#[tokio::test]
async fn an_error_and_then_a_lost_answer_leave_exactly_one_ticket_and_a_late_answer_closes_it() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.world.fail_next(Endpoint::CreateIssue, [Fault::ErrorBefore { status: 500 }, Fault::HangAfter]);
    a_quarter_of_an_hour(&app).await;
    let issue = only_issue(&app);
    assert_eq!(issue.status, IssueStatus::ToDo);
    assert_eq!(issue.summary, format!("AccountOpeningWebhookNotReceived: opening {id}"));
    let sent = creations(&app);
    assert_eq!(sent.len(), 2);
    assert!(sent[1].at - sent[0].at >= INDEX_LAG, "the first might have had its effect: {sent:?}");

    answered_late(&app, &id).await;
    a_quarter_of_an_hour(&app).await;
    let issue = only_issue(&app);
    assert_eq!((issue.status, issue.comments.len()), (IssueStatus::Done, 1));
    assert!(text(&issue.comments[0]).contains("escalated became issuing_card"), "{issue:?}");
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}

/// P9: after any fault of the creation, and for any lag of the search within `JIRA_INDEX_LAG`.
#[tokio::test]
async fn a_ticket_that_the_search_does_not_know_of_yet_is_not_made_again() {
    for lost in [Fault::ErrorAfter { status: 500 }, Fault::HangAfter, Fault::Garbage, Fault::ErrorAfter { status: 408 }]
    {
        let building = TestApp::with().lagging_tracker(INDEX_LAG - TimeDelta::seconds(1));
        let app = building.settings(|it| it.provider_timeout = "1s".to_owned()).start().await;
        silent(&app).await;
        app.world.fail_next(Endpoint::CreateIssue, [lost]);
        app.settle().await;
        assert_eq!(app.world.issues().len(), 1);
        a_quarter_of_an_hour(&app).await;
        assert_eq!(creations(&app).len(), 1, "{lost:?}");
        assert_eq!(app.items("/v1/tickets").await[0]["tracker_key"], only_issue(&app).key);
        app.finish().await;
    }
}

/// The control: where the search lags behind longer than we were told, the ledger counts the second ticket, and these tests
/// fail by it.
#[tokio::test]
#[should_panic(expected = "P9: something was made twice")]
async fn a_lag_that_is_set_too_short_makes_a_ticket_twice_and_is_noticed() {
    let app = tracking().settings(|it| it.tracker.jira_index_lag = "1s".to_owned()).start().await;
    silent(&app).await;
    app.world.fail_next(Endpoint::CreateIssue, [Fault::ErrorAfter { status: 500 }]);
    app.pass_settling(TimeDelta::seconds(20), TimeDelta::seconds(1)).await;
    assert_eq!(app.world.counts().double_effects, 1);
    app.finish().await;
}

/// The wait for the search costs no attempt, and it is no longer than it must be.
#[tokio::test]
async fn a_creation_that_surely_had_no_effect_is_repeated_without_the_wait_and_another_exactly_after_it() {
    let app = tracking().start().await;
    silent(&app).await;
    app.world
        .fail_next(Endpoint::CreateIssue, [Fault::ErrorBefore { status: 403 }, Fault::ErrorBefore { status: 500 }]);
    app.settle().await;
    // A 403 had no effect: the second one follows as soon as the pause of a repeat is over.
    app.pass_settling(TimeDelta::seconds(10), TimeDelta::seconds(1)).await;
    let sent = creations(&app);
    assert_eq!(sent.len(), 2, "{sent:?}");
    let hidden = INDEX_LAG + TimeDelta::seconds(1);
    app.pass(sent[1].at + hidden - app.now() - TimeDelta::milliseconds(1));
    app.settle().await;
    assert_eq!(creations(&app).len(), 2, "it may exist and not be found");
    let searches = app.world.tracker_calls(Endpoint::SearchIssues).len();
    app.pass(TimeDelta::milliseconds(1));
    app.settle().await;
    assert_eq!(creations(&app).len(), 3);
    assert_eq!(app.world.tracker_calls(Endpoint::SearchIssues).len(), searches + 1, "searched once more before");
    only_issue(&app);
    let attempts: i32 = sqlx::query_scalar("select attempts from outbox where topic = 'open_ticket'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(attempts, 0);
    app.finish().await;
}

/// P9, P10: at each step between the creation and its settlement.
#[tokio::test]
async fn a_crash_around_the_creation_leaves_one_ticket() {
    let crashes = [
        ("ticket_mark", Step::Commit, When::Before),
        ("ticket_mark", Step::Commit, When::After),
        ("open_ticket", Step::Call, When::After),
        ("open_ticket", Step::Settle, When::Before),
        ("open_ticket", Step::Commit, When::Before),
        ("open_ticket", Step::Commit, When::After),
    ];
    for (worker, step, when) in crashes {
        let mut app = tracking().start().await;
        silent(&app).await;
        let crash = Place { worker, step, when };
        app.context.shell.faults = FaultPoint::new(move |place| (place == crash).then_some(sqlx::Error::RowNotFound));
        for _ in 0..5 {
            app.try_round().await;
        }
        app.context.shell.faults = FaultPoint::default();
        a_quarter_of_an_hour(&app).await;
        assert_eq!(app.items("/v1/tickets").await[0]["tracker_key"], only_issue(&app).key, "{crash}");
        assert!(undone(&app).await.is_empty(), "{crash}");
        app.finish().await;
    }
}

/// P12: it wakes up after another has made the ticket, and makes none.
#[tokio::test]
async fn a_worker_that_slept_past_its_lease_makes_no_ticket() {
    // The worker has searched, and sleeps before it marks, or before it sends.
    for when in [When::Before, When::After] {
        let mut app = tracking().start().await;
        silent(&app).await;
        let (clock, lease) = (app.clock.clone(), TimeDelta::seconds(31));
        app.context.shell.faults = FaultPoint::new(move |place| {
            if place == (Place { worker: "ticket_mark", step: Step::Commit, when }) {
                clock.advance(lease);
            }
            None
        });
        for _ in 0..5 {
            app.try_round().await;
        }
        assert!(creations(&app).is_empty(), "{when:?}");
        app.context.shell.faults = FaultPoint::default();
        a_quarter_of_an_hour(&app).await;
        assert_eq!(creations(&app).len(), 1);
        only_issue(&app);
        app.finish().await;
    }
}

/// P9, P14: many ticks at once stand for many replicas; nothing but the database is between them.
#[tokio::test(flavor = "multi_thread")]
async fn several_replicas_make_each_ticket_once_and_close_it_after() {
    let app = tracking().start().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(app.open().waiting().await.0);
    }
    app.pass(TimeDelta::hours(12));
    app.world.outage(Api::Tracker, Some(Fault::ErrorBefore { status: 401 }));
    app.settle().await;
    for id in &ids {
        answered_late(&app, id).await;
    }
    app.settle().await;
    app.world.outage(Api::Tracker, None);
    let relays = [Topic::OpenTicket, Topic::CloseTicket].map(|topic| Relay::of(app.context.clone(), topic));
    for _ in 0..6 {
        app.pass(TimeDelta::minutes(5));
        for result in join_all(relays.iter().cycle().take(8).map(tick)).await {
            result.unwrap();
        }
    }
    app.settle().await;
    let issues = app.world.issues();
    assert_eq!(issues.len(), ids.len());
    assert!(issues.iter().all(|it| it.status == IssueStatus::Done && it.comments.len() == 1), "{issues:?}");
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}

/// A comment with a lost answer is not repeated, and a closed ticket is not closed again.
#[tokio::test]
async fn nothing_is_said_or_done_twice_when_the_answers_to_a_closing_are_lost() {
    let app = tracking().start().await;
    let id = silent(&app).await;
    app.settle().await;
    app.world.fail_next(Endpoint::CommentIssue, [Fault::ErrorAfter { status: 500 }]);
    app.world.fail_next(Endpoint::MoveIssue, [Fault::ErrorAfter { status: 500 }]);
    answered_late(&app, &id).await;
    a_quarter_of_an_hour(&app).await;
    let issue = only_issue(&app);
    assert_eq!((issue.comments.len(), issue.moves.len()), (1, 1), "{issue:?}");
    assert_eq!(issue.status, IssueStatus::Done);
    assert!(undone(&app).await.is_empty());
    app.finish().await;
}
