//! Rows that stay: those of openings that have not ended, those of cases and tickets, and those that wait for a person.

use chrono::TimeDelta;
use serde_json::json;

use super::{IBAN, OTHER_IBAN, act, completed, letter, rows, told};
use crate::support::TestApp;

/// Facts and work of an opening that are whole, beside those that are archived.
async fn of(app: &TestApp, id: &str) -> (i64, i64) {
    let sql = "select (select count(*) from inbox where opening_id = $1::uuid and archived_at is null)
                      + (select count(*) from outbox where opening_id = $1::uuid),
                      (select count(*) from inbox_archive where opening_id = $1::uuid)
                      + (select count(*) from outbox_archive where opening_id = $1::uuid)";
    sqlx::query_as(sql).bind(id).fetch_one(&app.pool).await.unwrap()
}

/// Of two openings that ended alike only the one stays that something refers to, for good.
async fn stays(app: &TestApp, kept: &str, other: &str) {
    let (whole, other_whole) = (of(app, kept).await.0, of(app, other).await.0);
    assert!(whole >= 7 && other_whole >= 7, "{whole} {other_whole}");
    app.pass_settling(TimeDelta::days(100), TimeDelta::days(5)).await;
    assert_eq!(of(app, other).await, (0, other_whole));
    assert_eq!(of(app, kept).await, (whole, 0));
}

#[tokio::test]
async fn nothing_of_an_opening_with_a_ticket_leaves_also_when_it_is_closed() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let (other, _) = completed(&app, "msg_2", OTHER_IBAN).await;
    assert_eq!(app.items("/v1/tickets?status=closed").await[0]["opening_id"], id.as_str());
    stays(&app, &id, &other).await;
    app.finish().await;
}

#[tokio::test]
async fn nothing_of_an_opening_with_a_case_leaves_also_when_it_is_resolved() {
    let app = TestApp::start().await;
    let (id, tracking_id) = completed(&app, "msg_1", IBAN).await;
    let (other, _) = completed(&app, "msg_2", OTHER_IBAN).await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    let case = app.items("/v1/cases").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(act(&app, &format!("/v1/cases/{case}/resolve")).await, 202);
    stays(&app, &id, &other).await;
    app.finish().await;
}

/// Nothing leaves of an opening that the case of another names, and no fact that a case rests on, of any opening.
#[tokio::test]
async fn facts_that_cases_of_other_openings_refer_to_stay_too() {
    let app = TestApp::start().await;
    let (id, _) = completed(&app, "msg_1", IBAN).await;
    let (other, _) = completed(&app, "msg_2", OTHER_IBAN).await;
    let (third, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    let case = &app.items("/v1/cases").await[0];
    assert_eq!((&case["opening_id"], &case["theirs"]["held_by"]), (&json!(third), &json!(id)));
    sqlx::query("update cases set evidence = evidence || (select id from inbox where event_id = 'msg_2')")
        .execute(&app.pool)
        .await
        .unwrap();
    let (whole, other_whole) = (of(&app, &id).await.0, of(&app, &other).await.0);
    app.pass_settling(TimeDelta::days(100), TimeDelta::days(5)).await;
    assert_eq!(of(&app, &id).await, (whole, 0));
    assert_eq!(of(&app, &other).await, (1, other_whole - 1));
    app.finish().await;
}

/// The facts and work of an opening that waits for weeks stay, and go once it has ended.
#[tokio::test]
async fn nothing_of_an_opening_leaves_before_it_has_ended() {
    let app = TestApp::with()
        .settings(|it| {
            it.escalate_after = "100d".to_owned();
            it.poll_schedule = "20d".to_owned();
        })
        .start()
        .await;
    let (id, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, "").await;
    told(&app, "msg_2", &tracking_id, "").await;
    // As a fact that was discarded before its tracking id was known.
    sqlx::query(
        "update inbox set opening_id = null, status = 'ignored', outcome = 'discarded' where event_id = 'msg_2'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.pass_settling(TimeDelta::days(45), TimeDelta::days(5)).await;
    let waiting = rows(&app).await;
    assert_eq!((waiting.archived, waiting.archived_work), (0, 0));

    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let ended = rows(&app).await;
    assert_eq!((ended.archived, ended.archived_work), (0, 0));
    app.pass_settling(TimeDelta::days(1), TimeDelta::hours(6)).await;
    // Polls of the last month, the answer and the card are younger.
    let polls = 2;
    assert_eq!(rows(&app).await.archived, ended.whole - 2 - polls);
    assert_eq!(of(&app, &id).await.0, 2 + polls + 1, "and the command of the card");
    app.pass_settling(TimeDelta::days(31), TimeDelta::days(1)).await;
    assert_eq!((rows(&app).await.whole, rows(&app).await.work), (0, 0));
    app.finish().await;
}

#[tokio::test]
async fn dead_letters_stay_until_a_person_has_acted_and_a_month_more() {
    let app = TestApp::start().await;
    app.webhook().id("msg_1").body("nobody can read this").acknowledged().await;
    app.settle().await;
    app.pass_settling(TimeDelta::days(200), TimeDelta::days(10)).await;
    let id = letter(&app, "unreadable").await;
    assert_eq!(app.get(&format!("/v1/dead-letters/{id}")).await["payload"], "nobody can read this");
    assert_eq!(act(&app, &format!("/v1/dead-letters/{id}/discard")).await, 202);
    app.pass_settling(TimeDelta::days(29), TimeDelta::days(1)).await;
    assert_eq!(rows(&app).await.whole, 1);
    app.pass_settling(TimeDelta::days(4), TimeDelta::days(1)).await;
    let gone = rows(&app).await;
    assert_eq!((gone.whole, gone.slim, gone.archived), (0, 0, 1), "its key is old by then, too");
    assert_eq!(app.get(&format!("/v1/dead-letters/{id}")).await["payload"], "nobody can read this");
    app.finish().await;
}
