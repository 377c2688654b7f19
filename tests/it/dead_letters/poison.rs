//! Poison goes to the dead letters after its attempts and blocks nothing behind it (P15).

use account_opening::driver::Worker as _;
use account_opening::inbox::InboxWorker;
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Fault, Plan};

use super::{IBAN, accepted, classes, only_letter};
use crate::support::TestApp;

#[tokio::test]
async fn answers_that_are_none_are_dead_after_ten_with_each_of_them_listed() {
    let app = TestApp::start().await;
    let plan = Plan { profile: Fault::Garbage.times(10), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(15)).await;
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((&whole["cause"], &whole["attempts_count"]), (&json!("unusable"), &json!(10)));
    assert_eq!(classes(&whole), ["unusable"; 10]);
    let times: Vec<&str> = whole["attempts"].as_array().unwrap().iter().map(|it| it["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    assert!(!whole.to_string().contains("It works!"), "a body of another system's is not kept");
    assert_eq!(app.items("/v1/tickets").await.len(), 1);
    // The eleventh is well: the profile was made by the first, and is made once.
    accepted(&app, &letter, "redrive", "they speak JSON again").await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    assert_eq!(app.world.opening(&id).unwrap().profiles.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_dead_at_once_and_again_when_it_is_redriven() {
    let app = TestApp::start().await;
    app.webhook().id("msg_1").body("{\"no\": \"status\"\u{0}").acknowledged().await;
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((&whole["queue"], &whole["kind"]), (&json!("inbox"), &json!("webhook")));
    assert_eq!((&whole["opening_id"], &whole["attempts_count"]), (&json!(null), &json!(0)));
    assert_eq!(whole["payload"], "{\"no\": \"status\"\u{0}");
    assert_eq!(whole["headers"]["webhook-id"], "msg_1");
    app.pass(TimeDelta::hours(30));
    accepted(&app, &letter, "redrive", "let us see").await;
    app.settle().await;
    let (again, whole) = only_letter(&app).await;
    assert_eq!((again, &whole["status"]), (letter.clone(), &json!("dead")));
    let log = classes(&whole);
    assert_eq!((log[0], log.len()), ("redrive", 2), "{log:?}");
    accepted(&app, &letter, "discard", "nobody knows what it was").await;
    app.settle().await;
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

/// Puts a row into the inbox that is due before everything else.
async fn insert(app: &TestApp, opening: &str, body: &str) -> uuid::Uuid {
    let id = uuid::Uuid::from_u128(app.state.shell.ids.next().as_u128() & u128::from(u64::MAX));
    let early = app.now() - TimeDelta::minutes(1);
    sqlx::query(
        "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id,
                            received_at, retry_from, status, due_at)
         values ($1, 'command:nexusbank', $1::text, 'command', 'nexusbank', $2, sha256($2), '{}', $3, $4, $4, 'pending', $4)",
    )
    .bind(id)
    .bind(body.as_bytes())
    .bind(uuid::Uuid::parse_str(opening).unwrap())
    .bind(early)
    .execute(&app.pool)
    .await
    .unwrap();
    id
}

/// P15
#[tokio::test]
async fn a_row_that_is_no_fact_is_buried_and_blocks_nothing_behind_it() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let bodies = ["", "null", "{}", "\u{0}", r#"{"kind":"card_issued"}"#, r#"{"kind":"of_another_version","x":1}"#];
    let mut poison = Vec::new();
    for body in bodies {
        poison.push(insert(&app, &id, body).await);
    }
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.tick_inbox().await;
    assert_eq!(app.opening(&id).await["state"], "issuing_card", "in the same tick");
    app.settle().await;
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    let mut dead: Vec<uuid::Uuid> = letters.iter().map(|it| it["id"].as_str().unwrap().parse().unwrap()).collect();
    dead.sort_unstable();
    poison.sort_unstable();
    assert_eq!(dead, poison);
    for letter in letters {
        assert_eq!((&letter["cause"], &letter["opening_id"]), (&json!("unreadable"), &json!(id)));
        let whole = app.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).await;
        let why = whole["attempts"][0]["cause"].as_str().unwrap();
        assert!(why.starts_with("not one of our facts"), "{why}");
    }
    app.finish().await;
}

/// P15: a fact that can be read and fails whenever it is decided; its neighbours go on, and it is dead after ten tries.
#[tokio::test]
async fn a_fact_that_fails_every_time_is_dead_after_ten_and_its_neighbours_are_not() {
    let app = TestApp::start().await;
    let plan = Plan { submit: Fault::ErrorBefore { status: 503 }.times(10_000), ..Plan::by_hand() };
    let stuck = app.open().plan(plan).start().await;
    let (other, tracking_id) = app.open().waiting().await;
    // Postgres takes no U+0000 in a text.
    let poison = insert(&app, &stuck, r#"{"kind":"submission_rejected","code":"x","message":"a\u0000b"}"#).await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.tick_inbox().await;
    assert_eq!(app.opening(&other).await["state"], "issuing_card", "in the same tick");
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(15)).await;
    assert_eq!(app.opening(&stuck).await["state"], "requesting_account");
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((letter, &whole["attempts_count"]), (poison.to_string(), &json!(10)));
    assert_eq!(whole["attempts"].as_array().map(Vec::len), Some(10));
    let said: Vec<&Value> = whole["attempts"].as_array().unwrap().iter().map(|it| &it["cause"]).collect();
    assert!(said.iter().all(|it| it.as_str().is_some_and(|it| !it.is_empty() && !it.contains("a\u{0}b"))), "{said:?}");
    assert_eq!(app.opening(&other).await["state"], "completed");
    app.finish().await;
}

/// P15: two of a batch that fail every time, in the first and the last place, count once each; the rest of it is decided in the
/// same tick, in the order of receipt.
#[tokio::test]
async fn a_batch_is_halved_until_what_fails_in_it_stands_alone() {
    const MESSAGES: i64 = 29;
    let app = TestApp::start().await;
    let plan = || Plan { submit: Fault::ErrorBefore { status: 503 }.times(10_000), ..Plan::by_hand() };
    let stuck = [app.open().plan(plan()).start().await, app.open().plan(plan()).start().await];
    let (other, tracking_id) = app.open().waiting().await;
    let body = r#"{"kind":"submission_rejected","code":"x","message":"a\u0000b"}"#;
    insert(&app, &stuck[0], body).await;
    for n in 1..MESSAGES {
        let data = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "n": n});
        app.webhook().data(data).acknowledged().await;
    }
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    let last = insert(&app, &stuck[1], body).await;
    sqlx::query("update inbox set id = $2 where id = $1")
        .bind(last)
        .bind(app.state.shell.ids.next())
        .execute(&app.pool)
        .await
        .unwrap();

    let decided = InboxWorker::new(app.context.clone()).tick().await.unwrap();
    assert_eq!((decided.claimed, decided.failed), (MESSAGES.unsigned_abs() + 2, 2), "{decided:?}");
    assert_eq!(decided.outcomes.values().sum::<u64>(), MESSAGES.unsigned_abs());
    assert_eq!(app.opening(&other).await["state"], "issuing_card");
    let attempts: Vec<i32> =
        sqlx::query_scalar("select attempts from inbox where status = 'pending'").fetch_all(&app.pool).await.unwrap();
    assert_eq!(attempts, [1, 1]);
    sqlx::query(
        "update inbox set status = 'ignored', due_at = null, settled_at = received_at where status = 'pending'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.finish().await;
}
