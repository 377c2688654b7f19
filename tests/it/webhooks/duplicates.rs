//! The same event again, and another under its id. (P3, P4, P6)

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;

use crate::support::TestApp;

use super::{IBAN, OTHER_IBAN, message};

/// Sends copies of one webhook all at once; each must be acknowledged.
async fn copies(app: &TestApp, number: usize, event_id: &str, body: &str, to: &[&str]) {
    let one = |n: usize| app.webhook().id(event_id).body(body).to(to[n % to.len()]).answered();
    let answers = join_all((0..number).map(one)).await;
    assert_eq!(answers, vec![200; number]);
}

async fn assert_completed_once(app: &TestApp, id: &str) {
    let opening = app.opening(id).await;
    assert_eq!((&opening["state"], &opening["iban"]), (&json!("completed"), &json!(IBAN)));
    assert_eq!(app.history(id).await.len(), 5);
    let counts = app.world.counts();
    assert_eq!((counts.profiles, counts.account_requests, counts.cards), (1, 1, 1));
    assert!(app.items("/v1/cases").await.is_empty());
}

/// P3: in a burst, after the burst was forgotten, and under another id.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_applied_once_however_often_and_whenever_it_comes() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let body = message(&tracking_id, "COMPLETED", Some(IBAN));
    copies(&app, 50, "msg_1", &body, &[&app.public]).await;
    app.settle().await;
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].settled()), (1, ("applied", Some("applied"))));
    let counted_in_burst = stored[0].duplicates;
    assert_completed_once(&app, &id).await;

    app.pass(TimeDelta::minutes(16));
    copies(&app, 50, "msg_1", &body, &[&app.public]).await;
    app.settle().await;
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].settled()), (1, ("applied", Some("applied"))));
    assert!(stored[0].duplicates > counted_in_burst, "{}", stored[0].duplicates);
    assert_completed_once(&app, &id).await;

    app.pass(TimeDelta::days(3));
    app.webhook().id("msg_2").body(body.clone()).acknowledged().await;
    app.settle().await;
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[1].settled()), (2, ("ignored", Some("duplicate"))));
    assert_completed_once(&app, &id).await;
    app.finish().await;
}

/// P3: each replica has a burst cache of its own.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_come_to_several_replicas_at_once_are_one_event() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let replicas = [app.public.clone(), app.replica().await, app.replica().await];
    let to: Vec<&str> = replicas.iter().map(String::as_str).collect();
    copies(&app, 60, "msg_1", &message(&tracking_id, "COMPLETED", Some(IBAN)), &to).await;
    app.settle().await;
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].settled()), (1, ("applied", Some("applied"))));
    assert!(stored[0].duplicates >= 2, "two replicas asked the database: {}", stored[0].duplicates);
    assert_completed_once(&app, &id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_copy_is_counted_when_the_database_is_asked_and_shown_in_the_timeline() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for _ in 0..4 {
        app.webhook().id("msg_1").body(message(&tracking_id, "IN_PROGRESS", None)).acknowledged().await;
        app.settle().await;
        app.pass(TimeDelta::minutes(16));
    }
    assert_eq!(app.inbox().await[0].duplicates, 3);
    let timeline = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let webhook = timeline.iter().find(|it| it["kind"] == "webhook").unwrap();
    assert_eq!(webhook["detail"]["duplicates"], 3);
    app.finish().await;
}

/// P4: both are kept; the second is shown and does nothing; and the same again changes nothing.
#[tokio::test]
async fn another_body_under_the_same_event_id_is_kept_beside_the_first_and_shown() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let first = message(&tracking_id, "COMPLETED", Some(IBAN));
    let second = message(&tracking_id, "COMPLETED", Some(OTHER_IBAN));
    app.webhook().id("msg_1").body(first.clone()).acknowledged().await;
    for body in [&second, &second, &first, &second] {
        app.webhook().id("msg_1").body(body.clone()).acknowledged().await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    let stored = app.inbox().await;
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[0].event_id.as_str(), stored[0].body.as_slice()), ("msg_1", first.as_bytes()));
    assert_eq!((stored[0].settled(), stored[0].duplicates), (("applied", Some("applied")), 1));
    assert!(stored[1].event_id.starts_with("msg_1!"), "{}", stored[1].event_id);
    assert_eq!(stored[1].body, second.as_bytes());
    assert_eq!((stored[1].settled(), stored[1].duplicates), (("dead", Some("event_id_conflict")), 2));
    let letters = app.items("/v1/dead-letters").await;
    assert_eq!((letters.len(), &letters[0]["cause"]), (1, &json!("event_id_conflict")));
    let whole = app.get(&format!("/v1/dead-letters/{}", letters[0]["id"].as_str().unwrap())).await;
    assert_eq!(whole["payload"]["data"]["iban"], OTHER_IBAN);
    assert_completed_once(&app, &id).await;
    app.finish().await;
}

/// P4: whichever of them comes first.
#[tokio::test]
async fn several_bodies_under_one_event_id_in_one_commit_leave_one_first_and_the_others_as_conflicts() {
    let app = TestApp::start().await;
    let lock = app.lock_inbox().await;
    // The writer holds this webhook, so that the others queue behind it and go into one commit.
    let held = app.webhook().id("msg_0").body(message("aor_0", "IN_PROGRESS", None)).answered();
    let bodies: Vec<String> = (1..=5).map(|n| message(&format!("aor_{n}"), "IN_PROGRESS", None)).collect();
    let twice = bodies.iter().chain(&bodies);
    let sent = join_all(twice.map(|body| app.webhook().id("msg_1").body(body.clone()).answered()));
    let release = async {
        app.an_insert_waits().await;
        lock.rollback().await.unwrap();
    };
    let (held, answers, ()) = tokio::join!(held, sent, release);
    assert_eq!((held, answers), (200, vec![200; 10]));
    app.settle().await;
    let (firsts, conflicts): (Vec<_>, Vec<_>) =
        app.inbox().await.into_iter().filter(|it| it.event_id != "msg_0").partition(|it| it.event_id == "msg_1");
    assert_eq!((firsts.len(), conflicts.len()), (1, 4));
    assert!(conflicts.iter().all(|it| it.settled() == ("dead", Some("event_id_conflict"))));
    assert_eq!(firsts[0].settled(), ("pending", Some("parked")));
    let mut kept: Vec<&[u8]> = firsts.iter().chain(&conflicts).map(|it| it.body.as_slice()).collect();
    kept.sort_unstable();
    assert_eq!(kept, bodies.iter().map(String::as_bytes).collect::<Vec<_>>());
    app.finish().await;
}

/// P6: any number of any later answers.
#[tokio::test]
async fn a_terminal_state_is_left_by_nothing_that_the_bank_says() {
    for (status, state) in [("COMPLETED", "completed"), ("REJECTED", "rejected")] {
        let app = TestApp::start().await;
        let (id, tracking_id) = app.open().waiting().await;
        app.webhook().body(message(&tracking_id, status, Some(IBAN))).acknowledged().await;
        app.settle().await;
        let (opening, history) = (app.opening(&id).await, app.history(&id).await);
        assert_eq!(opening["state"], state);
        for later in ["INITIATED", "IN_PROGRESS", "COMPLETED", "SUCCEEDED", "REJECTED", "WHATEVER"] {
            for account in [None, Some(IBAN), Some(OTHER_IBAN)] {
                app.webhook().body(message(&tracking_id, later, account)).acknowledged().await;
                app.state.ingest.forget_bursts();
            }
            app.settle().await;
        }
        let now = app.opening(&id).await;
        for field in ["state", "status", "iban", "bic", "card_id", "reason", "version"] {
            assert_eq!(now[field], opening[field], "{state}: {field}");
        }
        assert_eq!(app.history(&id).await, history);
        app.finish().await;
    }
}
