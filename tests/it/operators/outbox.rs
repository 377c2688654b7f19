//! Operators see the work that waits in the outbox, and end what is not to be tried again. (P12, P15)

use std::collections::BTreeSet;

use account_opening::db::outbox::{self, Settled};
use account_opening::domain::Topic;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::{actions, post, taken};
use crate::support::{Subscriber, TestApp, keys, problem};

const SECRET: &str = "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=";

/// An opening with deliveries that its subscriber does not take; the opening's id.
async fn with_deliveries(app: &TestApp) -> String {
    let (id, _) = app.open().waiting().await;
    id
}

async fn subscribed() -> (TestApp, Subscriber) {
    let subscriber = Subscriber::answering(503, SECRET).await;
    let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
    (app, subscriber)
}

async fn waiting(app: &TestApp) -> Vec<Value> {
    app.items("/v1/outbox").await
}

fn discard_path(row: &Value) -> String {
    format!("/v1/outbox/{}/discard", row["id"].as_str().unwrap())
}

/// G15: all waiting work is listed, optionally by topic, page by page.
#[tokio::test]
async fn the_work_that_waits_is_listed_with_why_and_until_when() {
    let (app, subscriber) = subscribed().await;
    let id = with_deliveries(&app).await;
    let rows = waiting(&app).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let fields =
        ["id", "topic", "lane", "opening_id", "waits_for", "attempts", "tries", "next_attempt_at", "created_at"];
    for row in &rows {
        assert_eq!(keys(row), BTreeSet::from(fields));
        assert_eq!((&row["topic"], &row["opening_id"]), (&json!("deliver_event"), &json!(id)));
        assert_eq!(row["waits_for"], json!("server_error"));
        assert_eq!(row["lane"], json!(subscriber.url.trim_start_matches("http://")));
    }
    assert_eq!(app.items("/v1/outbox?topic=deliver_event").await, rows);
    assert_eq!(app.items("/v1/outbox?topic=issue_card").await, Vec::<Value>::new());
    let first = app.get("/v1/outbox?limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app.get(&format!("/v1/outbox?limit=1&cursor={cursor}")).await;
    assert_eq!([first["items"][0].clone(), second["items"][0].clone()].as_slice(), rows);
    let wrong = app.request(Method::GET, "/v1/outbox?topic=x").send().await.unwrap();
    assert_eq!(problem(wrong, 422, "validation-failed").await, ["/topic"]);
    app.finish().await;
}

/// G15: an operator ends what waits; the act is recorded, and doing it twice is doing it once.
#[tokio::test]
async fn work_that_waits_is_discarded_by_an_operator_with_a_reason() {
    let (app, subscriber) = subscribed().await;
    let id = with_deliveries(&app).await;
    let rows = waiting(&app).await;
    let asked = subscriber.deliveries().len();
    for row in &rows {
        for _ in 0..2 {
            taken(&app, &discard_path(row), &json!({"reason": "they have gone"})).await;
        }
    }
    assert!(waiting(&app).await.is_empty());
    let acts = actions(&app, &id).await;
    assert_eq!(acts.len(), 2, "{acts:?}");
    for (act, row) in acts.iter().rev().zip(&rows) {
        assert_eq!((&act["action"], &act["reason"]), (&json!("discard_work"), &json!("they have gone")));
        assert!(rows.iter().any(|it| it["id"] == act["subject"]), "{act}: {row}");
        assert_eq!(act["detail"]["topic"], json!("deliver_event"));
    }
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    assert_eq!(subscriber.deliveries().len(), asked, "nothing more is sent");
    let ended = "select count(*) from outbox where status = 'cancelled' and outcome = 'discarded'";
    assert_eq!(sqlx::query_scalar::<_, i64>(ended).fetch_one(&app.pool).await.unwrap(), 2);
    app.finish().await;
}

/// G15: readers and callers do not act; what does not wait is no waiting work.
#[tokio::test]
async fn settled_work_is_not_discarded_and_a_reader_discards_nothing() {
    let (app, subscriber) = subscribed().await;
    with_deliveries(&app).await;
    let rows = waiting(&app).await;
    for token in ["reader-token", "caller-token"] {
        let act = app.request_as(token, Method::POST, &discard_path(&rows[0])).json(&json!({"reason": "x"}));
        problem(act.send().await.unwrap(), 403, "forbidden").await;
    }
    assert_eq!(
        problem(post(&app, &discard_path(&rows[0]), &json!({})).await, 422, "validation-failed").await,
        ["/reason"]
    );
    let nowhere = "/v1/outbox/01994c3e-0000-7000-8000-000000000001/discard";
    problem(post(&app, nowhere, &json!({"reason": "x"})).await, 404, "not-found").await;
    subscriber.answer(200);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    problem(post(&app, &discard_path(&rows[0]), &json!({"reason": "x"})).await, 409, "wrong-state").await;
    app.finish().await;
}

/// G15, P12: a discard that meets a relay which holds the row ends the lease: what the relay settles later changes nothing. Where
/// the relay settled first, there is nothing to discard.
#[tokio::test]
async fn a_discard_and_the_relay_that_holds_the_row_settle_it_once() {
    for relay_first in [false, true] {
        let (app, _subscriber) = subscribed().await;
        with_deliveries(&app).await;
        app.pass(TimeDelta::minutes(16));
        let token = app.state.shell.ids.next();
        let mut connection = app.pool.acquire().await.unwrap();
        let until = app.now() + TimeDelta::minutes(1);
        let claimed =
            outbox::claim(&mut connection, Topic::DeliverEvent, token, app.now(), until, &[], 16).await.unwrap();
        let row = json!({"id": claimed[0].id});
        let sent = Settled::Delivered { outcome: "sent" };
        let mut settle =
            async || outbox::settle(&mut connection, token, &[(claimed[0].id, &sent)], app.now()).await.unwrap();
        let settled = if relay_first { settle().await.len() } else { 0 };
        let discarded = post(&app, &discard_path(&row), &json!({"reason": "x"})).await.status().as_u16();
        let settled = settled + settle().await.len();
        assert_eq!((settled, discarded), if relay_first { (1, 409) } else { (0, 202) });
        let status: String = sqlx::query_scalar("select status from outbox where id = $1")
            .bind(claimed[0].id)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(status, if relay_first { "delivered" } else { "cancelled" });
        app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
        app.finish().await;
    }
}
