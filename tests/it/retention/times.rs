//! The times at which rows are archived; readers see the same before and after.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{IBAN, INSTANT, MONTH, Where, act, completed, contents, letter, rows, timeline, told};
use crate::support::{Subscriber, TestApp};

const SECRET: &str = "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=";

/// Columns that the archives leave out. Of facts: when they would be tried, and the digest of what they say, which goes with their
/// key. Of work: its lease. And columns that only one side has.
const OF_FACTS: [&str; 5] = ["retry_from", "due_at", "lane", "meaning", "archived_at"];
const OF_WORK: [&str; 5] = ["retry_from", "due_at", "lane", "lease_token", "archived_at"];

#[tokio::test]
async fn settled_rows_leave_after_their_time_and_not_before_and_all_of_each_is_in_the_archive() {
    let app = TestApp::start().await;
    completed(&app, "msg_1", IBAN).await;
    let (facts, work) = (contents(&app, "inbox", &OF_FACTS).await, contents(&app, "outbox", &OF_WORK).await);
    let before = rows(&app).await;
    assert_eq!(before, Where { whole: 4, work: 3, ..Where::default() });

    app.pass_settling(MONTH - INSTANT, TimeDelta::days(10)).await;
    assert_eq!(rows(&app).await, before);
    app.pass(INSTANT);
    app.settle().await;
    assert_eq!(rows(&app).await, Where { slim: 4, archived: 4, archived_work: 3, ..Where::default() });
    assert_eq!(contents(&app, "inbox_archive", &OF_FACTS).await, facts);
    assert_eq!(contents(&app, "outbox_archive", &OF_WORK).await, work);

    app.pass_settling(MONTH * 2 - INSTANT, TimeDelta::days(10)).await;
    assert_eq!(rows(&app).await.slim, 4, "keys stay three months");
    app.pass(INSTANT);
    app.settle().await;
    assert_eq!(rows(&app).await, Where { archived: 4, archived_work: 3, ..Where::default() });
    assert_eq!(contents(&app, "inbox_archive", &OF_FACTS).await, facts);
    app.finish().await;
}

/// An opening with a poll that an operator asked for, copies, a conflict that was redriven and a delivery that was given up.
/// These leave neither a case nor a ticket.
async fn eventful(app: &TestApp, subscriber: &Subscriber) -> (String, [String; 2]) {
    subscriber.answer(400);
    let (id, tracking_id) = app.open().waiting().await;
    told(app, "msg_1", &tracking_id, "").await;
    told(app, "msg_1", &tracking_id, "").await;
    told(app, "msg_1", &tracking_id, "else").await;
    let letters = app.items("/v1/dead-letters?queue=outbox").await;
    assert_eq!(letters.len(), 2, "the event of the start and that of the wait: {letters:?}");
    let letters = [letter(app, "event_id_conflict").await, letters[0]["id"].as_str().unwrap().to_owned()];
    subscriber.answer(200);
    assert_eq!(act(app, &format!("/v1/dead-letters/{}/redrive", letters[0])).await, 202);
    for letter in app.items("/v1/dead-letters?queue=outbox").await {
        let what = if letter["id"] == letters[1].as_str() { "discard" } else { "redrive" };
        assert_eq!(act(app, &format!("/v1/dead-letters/{}/{what}", letter["id"].as_str().unwrap())).await, 202);
    }
    assert_eq!(act(app, &format!("/v1/account-openings/{id}/poll")).await, 202);
    app.settle().await;
    let path = format!("/v1/account-openings/{id}/resolve");
    let decision =
        json!({"outcome": "completed", "iban": IBAN, "bic": "NEXUBEBB", "reason": "seen", "evidence": "a letter"});
    assert_eq!(app.post(&path, &decision).await.0, 202);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert_eq!((app.items("/v1/cases").await.len(), app.items("/v1/tickets").await.len()), (0, 0));
    (id, letters)
}

#[tokio::test]
async fn timeline_and_dead_letters_are_told_as_before() {
    let subscriber = Subscriber::answering(200, SECRET).await;
    let app = TestApp::with()
        .settings(|it| {
            it.event_subscribers = subscriber.setting();
            it.max_attempts = "1".to_owned();
        })
        .start()
        .await;
    let (id, letters) = eventful(&app, &subscriber).await;
    let told = async || -> (Vec<Value>, Vec<Value>) {
        let mut whole = Vec::new();
        for letter in &letters {
            whole.push(app.get(&format!("/v1/dead-letters/{letter}")).await);
        }
        (timeline(&app, &id).await, whole)
    };
    let before = told().await;
    for kind in ["webhook", "poll", "operator", "command", "transition", "create_profile", "deliver_event"] {
        assert!(before.0.iter().any(|it| it["kind"] == kind), "no {kind}: {:?}", before.0);
    }
    assert!(before.0.iter().any(|it| it["detail"]["duplicates"] == 1), "{:?}", before.0);
    assert_ne!(before.1[0]["payload"], "");

    for (months, left) in [(1, true), (3, false)] {
        app.pass_settling(MONTH * (months - 1).max(1) + TimeDelta::hours(2), TimeDelta::days(5)).await;
        let now = rows(&app).await;
        assert_eq!((now.whole, now.work, now.slim > 0), (0, 0, left), "{now:?}");
        assert_eq!(told().await, before, "after {months} months");
        // An act that was done is done, and its letter is no dead letter any more.
        for (letter, done, other) in [(&letters[0], "redrive", "discard"), (&letters[1], "discard", "redrive")] {
            assert_eq!(act(&app, &format!("/v1/dead-letters/{letter}/{done}")).await, 202);
            assert_eq!(act(&app, &format!("/v1/dead-letters/{letter}/{other}")).await, 409);
        }
    }
    app.finish().await;
}

/// A fact that was settled long after it came holds up those behind it for an hour, and goes when its own time has come.
#[tokio::test]
async fn a_fact_that_ended_late_goes_late_and_holds_up_the_others_for_no_longer_than_an_hour() {
    let app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, "").await;
    told(&app, "msg_1", &tracking_id, "else").await;
    app.webhook().id("msg_2").completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let settled = i64::try_from(contents(&app, "inbox", &[]).await.len()).unwrap() - 1;
    let before_it = settled - 2;
    app.pass_settling(TimeDelta::days(20), TimeDelta::days(5)).await;
    assert_eq!(act(&app, &format!("/v1/dead-letters/{}/redrive", letter(&app, "event_id_conflict").await)).await, 202);
    app.settle().await;

    app.pass_settling(TimeDelta::days(10), TimeDelta::days(5)).await;
    assert_eq!(rows(&app).await.archived, before_it, "the answer and the card came after it");
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(10)).await;
    assert_eq!(rows(&app).await.archived, settled);
    app.pass_settling(TimeDelta::days(20) - TimeDelta::hours(1) - INSTANT, TimeDelta::days(1)).await;
    assert_eq!(rows(&app).await.archived, settled);
    app.pass_settling(TimeDelta::days(1), TimeDelta::hours(1)).await;
    assert_eq!((rows(&app).await.archived, rows(&app).await.whole), (settled + 1, 0));
    app.finish().await;
}
