//! An event that comes again is a copy, and another body under its id a conflict, wherever its row has gone. (P3, P4)

use std::str::FromStr;

use account_opening::clock::Time;
use chrono::TimeDelta;
use serde_json::json;

use super::{IBAN, MONTH, completed, letter, rows, timeline, told};
use crate::support::TestApp;

#[tokio::test]
async fn a_copy_of_what_was_archived_is_counted_and_another_body_is_a_conflict() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, "").await;
    app.webhook().id("msg_2").completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    app.pass_settling(TimeDelta::days(45), TimeDelta::days(5)).await;
    let before = rows(&app).await;
    assert_eq!((before.whole, before.slim), (0, before.archived));

    told(&app, "msg_1", &tracking_id, "").await;
    assert_eq!(rows(&app).await, before, "nothing was stored");
    let copies = async || -> serde_json::Value {
        let items = timeline(&app, &id).await;
        let item = items.iter().find(|it| it["detail"]["event_id"] == "msg_1").unwrap();
        json!([item["detail"]["duplicates"], item["detail"]["last_duplicate_at"]])
    };
    let counted = copies().await;
    assert_eq!((&counted[0], Time::from_str(counted[1].as_str().unwrap()).unwrap()), (&json!(1), app.now()));
    told(&app, "msg_1", &tracking_id, "else").await;
    assert_eq!(rows(&app).await.whole, 1);
    let conflict = app.get(&format!("/v1/dead-letters/{}", letter(&app, "event_id_conflict").await)).await;
    assert_eq!(conflict["payload"]["more"], "else");

    // Its key is kept for as long again as since it came last; then what was counted is in the archive.
    app.pass_settling(MONTH * 3 - TimeDelta::days(1), TimeDelta::days(5)).await;
    assert_eq!((rows(&app).await.slim, copies().await), (1, counted.clone()));
    app.pass_settling(TimeDelta::days(2), TimeDelta::hours(12)).await;
    assert_eq!((rows(&app).await.slim, copies().await), (0, counted));
    assert_eq!(app.opening(&id).await, opening);
    assert_eq!(rows(&app).await.whole, 1, "what is dead stays");
    app.finish().await;
}

/// Without its key an event is a new fact, of which the state machine makes nothing.
#[tokio::test]
async fn an_event_whose_key_is_gone_changes_nothing_when_it_comes_once_more() {
    let app = TestApp::start().await;
    let (id, tracking_id) = completed(&app, "msg_1", IBAN).await;
    let opening = app.opening(&id).await;
    app.pass_settling(TimeDelta::days(91), TimeDelta::days(5)).await;
    let before = rows(&app).await;
    assert_eq!((before.whole, before.slim), (0, 0));
    app.webhook().id("msg_1").completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.inbox().await[0].settled(), ("ignored", Some("duplicate")));
    assert_eq!((app.opening(&id).await, rows(&app).await.work), (opening, 0));
    // The archive takes both.
    app.pass_settling(TimeDelta::days(91), TimeDelta::days(5)).await;
    assert_eq!((rows(&app).await.whole, rows(&app).await.archived), (0, before.archived + 1));
    app.finish().await;
}
