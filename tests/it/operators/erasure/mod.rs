//! The personal data of a finished opening goes, everywhere it stands, and its history still verifies. (P3, P4, P22)

mod archived;
mod reach;
mod unnamed;

use std::borrow::Cow;
use std::collections::BTreeSet;

use account_opening::provider::signature::WebhookSecret;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::error::DatabaseError;
use world::{Fault, Plan};

use super::{actions, post, taken};
use crate::support::{Subscriber, TestApp, problem};

const IBAN: &str = "BE68539007547034";
const SECOND_IBAN: &str = "BE71096123456769";
const BAD_IBAN: &str = "BE68539007547035";
/// Everything personal that is said in these tests, IBANs aside, holds this.
const CANARY: &str = "canary";
const SECRET: &str = "whsec_YSBzZWNyZXQgb2Ygb3VyIG93biE=";

/// The columns of the whole schema that contain a text: `table.column`, of any type.
async fn places(app: &TestApp, text: &str) -> BTreeSet<String> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text, a.atttypid::regtype::text from pg_class c
           join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(columns.len() > 100, "the schema was looked at: {}", columns.len());
    let looks = columns.iter().map(|(table, column, kind)| {
        let readable = if kind == "bytea" { format!("encode({column}, 'escape')") } else { format!("{column}::text") };
        let look = format!("from {table} where position(lower($1) in lower({readable})) > 0");
        format!("select '{table}.{column}' where exists (select {look})")
    });
    let sql = looks.collect::<Vec<_>>().join(" union all ");
    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(text).fetch_all(&app.pool).await.unwrap();
    found.into_iter().collect()
}

async fn assert_gone(app: &TestApp) {
    for text in [CANARY, IBAN, SECOND_IBAN, BAD_IBAN] {
        assert_eq!(places(app, text).await, BTreeSet::new(), "{text}");
    }
}

fn erase_path(id: &str) -> String {
    format!("/v1/account-openings/{id}/erase")
}

fn reason(of: &str) -> Value {
    json!({"reason": format!("{CANARY} reason of {of}")})
}

/// A webhook that says more than it need, in its body and in its headers.
async fn told(app: &TestApp, message: &str, tracking_id: &str, fields: &Value) {
    let mut data = json!({"account_opening_request_id": tracking_id, "holder": "Canary Person", "note": {"x": CANARY}});
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    app.webhook().id(message).header("x-note", "canary header").data(data).acknowledged().await;
    app.state.ingest.forget_bursts();
    app.settle().await;
}

/// Starts an opening for a customer with the canary in all that is theirs; its id and tracking id. The profile service refuses
/// the first call: a dead letter, which an operator redrives.
async fn somebody(app: &TestApp, key: &str) -> (String, String) {
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let id = somebodys(app, key).plan(plan).start().await;
    app.settle().await;
    let letters = app.items("/v1/dead-letters?queue=outbox").await;
    let letter = letters.iter().find(|it| it["opening_id"] == id.as_str()).unwrap()["id"].as_str().unwrap().to_owned();
    taken(app, &format!("/v1/dead-letters/{letter}/redrive"), &reason("a redrive")).await;
    app.settle().await;
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    (id, tracking_id)
}

fn somebodys<'a>(app: &'a TestApp, key: &str) -> crate::support::OpeningBuilder<'a> {
    app.open().key(&format!("canary-{key}")).customer(&format!("canary-ref-{key}")).body(|it| {
        it["customer"]["name"] = json!("Canary Person");
        it["customer"]["email"] = json!("canary@canary.example");
    })
}

/// Everything beside an opening's answer: polls, an escalation, duplicates, a conflict, unreadable messages.
async fn much_happens(app: &TestApp, id: &str, tracking_id: &str) {
    told(app, &format!("{id}-1"), tracking_id, &json!({"status": "IN_PROGRESS"})).await;
    told(app, &format!("{id}-2"), tracking_id, &json!({"status": "COMPLETED", "iban": BAD_IBAN, "bic": "NEXUBEBB"}))
        .await;
    taken(app, &format!("/v1/account-openings/{id}/poll"), &json!({})).await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    assert_eq!(app.opening(id).await["state"], "escalated");
    // The same id with a body that says the same, and with one that does not; an unreadable message; one of no concern.
    told(app, &format!("{id}-1"), tracking_id, &json!({"status": "IN_PROGRESS", "attempt": CANARY})).await;
    told(app, &format!("{id}-1"), tracking_id, &json!({"status": "IN_PROGRESS", "rejection_reason": CANARY})).await;
    let torn = format!(r#"{{"type":"account_opening_request.status_changed","data":{{"x":"{CANARY} {tracking_id}""#);
    app.webhook().id(&format!("{id}-3")).body(torn).acknowledged().await;
    let other = json!({"type": "customer.changed", "data": {"reference": id, "name": CANARY}});
    app.webhook().id(&format!("{id}-4")).body(other.to_string()).acknowledged().await;
    app.settle().await;
}

/// Its answer, and what contradicts it. A case is judged, dead letters are discarded: the unreadable one, and the conflict, which
/// names the opening by its tracking id alone. A request that speaks of it was refused.
async fn much_is_said(app: &TestApp, id: &str, tracking_id: &str, answers: &[Value]) {
    for (n, answer) in answers.iter().enumerate() {
        for _ in 0..2 {
            told(app, &format!("{id}-answer-{n}"), tracking_id, answer).await;
        }
    }
    let case = app.items(&format!("/v1/cases?opening_id={id}&status=open")).await[0]["id"].as_str().unwrap().to_owned();
    let judged = json!({"reason": "canary reason", "evidence": "canary evidence"});
    taken(app, &format!("/v1/cases/{case}/resolve"), &judged).await;
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    for cause in ["unreadable", "event_id_conflict"] {
        let letter = letters.iter().find(|it| it["cause"] == cause).unwrap()["id"].as_str().unwrap().to_owned();
        taken(app, &format!("/v1/dead-letters/{letter}/discard"), &reason("a discard")).await;
    }
    refused(app, json!({"data": {"reference": id, "holder": CANARY}})).await;
}

fn secret_of_nobody() -> WebhookSecret {
    WebhookSecret::parse("whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWtleQ==").unwrap()
}

/// A webhook signed with an unknown secret.
async fn refused(app: &TestApp, body: Value) {
    let webhook = app.webhook().signed_with(&secret_of_nobody()).body(body.to_string());
    assert_eq!(webhook.answered().await, 401);
    app.settle().await;
}

#[tokio::test]
async fn after_an_erasure_nothing_personal_is_anywhere_and_the_history_verifies() {
    let completed = json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"});
    let second = json!({"status": "COMPLETED", "iban": SECOND_IBAN, "bic": "NEXUBEBB"});
    let rejected = json!({"status": "REJECTED", "rejection_reason": "canary did not pass"});
    for answers in [vec![completed.clone(), second, rejected.clone()], vec![rejected, completed]] {
        let subscriber = Subscriber::answering(200, SECRET).await;
        let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
        let (id, tracking_id) = somebody(&app, "key-1").await;
        much_happens(&app, &id, &tracking_id).await;
        much_is_said(&app, &id, &tracking_id, &answers).await;
        let before = places(&app, CANARY).await;
        for place in [
            "account_openings.customer",
            "account_openings.customer_reference",
            "idempotency_keys.body",
            "idempotency_keys.key",
            "events.data",
            "inbox.body",
            "inbox.headers",
            "inbox.attempt_log",
            "outbox.attempt_log",
            "cases.reason",
            "operator_actions.reason",
            "operator_actions.detail",
            "rejected_requests.body",
        ] {
            assert!(before.contains(place), "{place} holds nothing to erase: {before:?}");
        }
        assert!(places(&app, BAD_IBAN).await.contains("cases.cause"));
        let history = app.items(&format!("/v1/account-openings/{id}/history")).await;

        taken(&app, &erase_path(&id), &json!({"reason": "the customer asked"})).await;
        assert_gone(&app).await;
        assert_eq!(app.items(&format!("/v1/account-openings/{id}/history")).await, history);
        assert_what_is_left(&app, &id).await;
        assert_late_words_leave_nothing(&app, &id, &tracking_id).await;
        // The invariants of every test: histories replay and verify.
        app.finish().await;
    }
}

async fn assert_what_is_left(app: &TestApp, id: &str) {
    let opening = app.opening(id).await;
    let gone = ["iban", "bic", "customer_reference"].map(|it| opening[it].clone());
    assert_eq!(gone, [json!(null), json!(null), json!("")]);
    assert_eq!(opening["erased_at"], json!(app.now()));
    let reason = if opening["state"] == "rejected" { json!("erased") } else { json!(null) };
    assert_eq!(opening["reason"], reason);
    assert!(app.items("/v1/account-openings").await.contains(&opening));
    // Operator, act and time stay; of the reasons, only the erasure's own.
    let acts = actions(app, id).await;
    let told: Vec<_> = acts.iter().map(|it| (it["action"].as_str().unwrap(), it["reason"].as_str().unwrap())).collect();
    assert_eq!(told[0], ("erase", "the customer asked"));
    assert!(told.len() >= 4 && told[1..].iter().all(|(_, reason)| reason.is_empty()), "{told:?}");
    assert!(!app.items(&format!("/v1/account-openings/{id}/timeline")).await.is_empty());
    // The repeat of the start is answered without what is gone, and opens nothing.
    let again = somebodys(app, "key-1").send().await;
    assert_eq!((again.status().as_u16(), &again.headers()["idempotent-replayed"]), (202, &"true".parse().unwrap()));
    let again: Value = again.json().await.unwrap();
    assert_eq!((&again["id"], &again["customer_reference"]), (&json!(id), &json!("")));
    assert_eq!(app.items("/v1/account-openings").await.len(), 1);
    problem(somebodys(app, "key-1").market("NL").send().await, 422, "idempotency-key-reused").await;
}

/// Words about an erased opening mean nothing any more, and stay nowhere.
async fn assert_late_words_leave_nothing(app: &TestApp, id: &str, tracking_id: &str) {
    let cases = app.items("/v1/cases").await.len();
    let opening = app.opening(id).await;
    for (message, fields) in [
        ("late-1", json!({"status": "REJECTED", "rejection_reason": "canary again"})),
        ("late-2", json!({"status": "COMPLETED", "iban": SECOND_IBAN, "bic": "NEXUBEBB"})),
        ("late-3", json!({"reference": id, "status": "COMPLETED", "iban": BAD_IBAN, "bic": "NEXUBEBB"})),
        // P4: another body under an id that is known: one that came before the erasure, one that came after.
        (&format!("{id}-1"), json!({"status": "IN_PROGRESS", "even_more": CANARY})),
        ("late-1", json!({"status": "IN_PROGRESS", "even_more": CANARY})),
    ] {
        told(app, message, tracking_id, &fields).await;
    }
    assert_gone(app).await;
    assert_eq!(app.items("/v1/cases").await.len(), cases, "there is nothing left to compare with");
    assert_eq!(app.opening(id).await, opening);
    let outcomes: Vec<(String, String)> =
        sqlx::query_as("select status, outcome from inbox where event_id like 'late-_' order by event_id")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(outcomes, vec![("ignored".to_owned(), "superseded".to_owned()); 3]);
    // P3: the same event again is still known as a copy: nothing is stored.
    let count =
        async || -> i64 { sqlx::query_scalar("select count(*) from inbox").fetch_one(&app.pool).await.unwrap() };
    let stored = count().await;
    let mut data = json!({"account_opening_request_id": tracking_id, "holder": "Canary Person", "note": {"x": CANARY}});
    data.as_object_mut()
        .unwrap()
        .extend(json!({"status": "IN_PROGRESS", "even_more": CANARY}).as_object().unwrap().clone());
    app.webhook().id("late-1").header("x-note", "canary header").data(data).acknowledged().await;
    app.settle().await;
    assert_eq!(count().await, stored);
    assert_gone(app).await;
}

#[tokio::test]
async fn only_what_has_ended_is_erased_and_erasing_twice_is_erasing_once() {
    let app = TestApp::start().await;
    let nowhere = erase_path("01994c3e-0000-7000-8000-000000000001");
    problem(post(&app, &nowhere, &json!({"reason": "x"})).await, 404, "not-found").await;
    let (id, tracking_id) = app.open().waiting().await;
    problem(post(&app, &erase_path(&id), &json!({"reason": "x"})).await, 409, "wrong-state").await;
    assert_eq!(problem(post(&app, &erase_path(&id), &json!({})).await, 422, "validation-failed").await, ["/reason"]);
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    taken(&app, &erase_path(&id), &json!({"reason": "first"})).await;
    let (opening, acts) = (app.opening(&id).await, actions(&app, &id).await);
    app.pass(TimeDelta::days(1));
    taken(&app, &erase_path(&id), &json!({"reason": "second"})).await;
    assert_eq!((app.opening(&id).await, actions(&app, &id).await), (opening, acts));
    problem(post(&app, &super::resolve_path(&id), &super::decision("failed")).await, 409, "wrong-state").await;
    problem(post(&app, &format!("/v1/account-openings/{id}/poll"), &json!({})).await, 409, "wrong-state").await;
    app.finish().await;
}

/// Openings share nothing that an erasure could take from another; its IBAN is free again.
#[tokio::test]
async fn an_erasure_leaves_every_other_opening_alone() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for iban in [IBAN, SECOND_IBAN] {
        let (id, tracking_id) = app.open().waiting().await;
        told(&app, &format!("{id}-1"), &tracking_id, &json!({"status": "COMPLETED", "iban": iban, "bic": "NEXUBEBB"}))
            .await;
        ids.push(id);
    }
    let other = app.opening(&ids[1]).await;
    let (events, bodies) = (rows(&app, "events", &ids[1]).await, rows(&app, "inbox", &ids[1]).await);
    taken(&app, &erase_path(&ids[0]), &json!({"reason": "x"})).await;
    assert_eq!(app.opening(&ids[1]).await, other);
    assert_eq!((rows(&app, "events", &ids[1]).await, rows(&app, "inbox", &ids[1]).await), (events, bodies));
    assert!(places(&app, SECOND_IBAN).await.contains("account_openings.iban"));
    assert!(places(&app, IBAN).await.is_empty());
    let (third, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&third).await["state"], "completed");
    app.finish().await;
}

async fn rows(app: &TestApp, table: &str, opening: &str) -> Vec<String> {
    let sql = format!("select t::text from {table} t where opening_id = $1::uuid order by id");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(opening).fetch_all(&app.pool).await.unwrap()
}

/// A letter without its body has nothing to redrive; letting it be is possible.
#[tokio::test]
async fn a_dead_letter_that_was_emptied_is_not_redriven() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "x"})).await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "y"})).await;
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    let whole = app.get(&format!("/v1/dead-letters/{letter}")).await;
    assert_eq!((&whole["payload"], &whole["headers"]), (&json!(""), &json!({})));
    assert_eq!(whole["erased_at"], json!(app.now()));
    let response = post(&app, &format!("/v1/dead-letters/{letter}/redrive"), &json!({"reason": "x"})).await;
    problem(response, 409, "wrong-state").await;
    taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &json!({"reason": "x"})).await;
    app.finish().await;
}

/// A delivery that was not taken before the erasure carries the absence.
#[tokio::test]
async fn an_event_that_is_delivered_after_the_erasure_carries_nothing_personal() {
    let subscriber = Subscriber::answering(500, SECRET).await;
    let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
    let (id, tracking_id) = somebody(&app, "key-1").await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})).await;
    let said = subscriber.deliveries().len();
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    subscriber.answer(200);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    let late = subscriber.deliveries().split_off(said);
    assert!(late.len() >= 4, "{}", late.len());
    for delivery in late {
        let (text, data) = (delivery.event().to_string().to_lowercase(), delivery.event()["data"].clone());
        assert!(!text.contains(CANARY) && !text.contains(&IBAN.to_lowercase()), "{text}");
        assert_eq!((&data["id"], &data["customer_reference"]), (&json!(id), &json!("")));
    }
    app.finish().await;
}

/// The service's role may empty what an erasure empties, and write nothing else of what is written once.
#[tokio::test]
async fn the_services_role_may_change_only_what_people_act_on() {
    let app = TestApp::start().await;
    let pool = &app.state.cell.pool;
    for (allowed, sql) in [
        (true, "update events set data = data"),
        (false, "update events set version = version"),
        (false, "update events set type = type"),
        (false, "delete from events"),
        (true, "update operator_actions set reason = '', detail = '{}'"),
        (false, "update operator_actions set who = who"),
        (false, "update operator_actions set at = at"),
        (false, "delete from operator_actions"),
        (true, "update cases set status = status, reason = reason"),
        (false, "update cases set opening_id = opening_id"),
        (false, "update cases set evidence = evidence"),
        (false, "update opening_history set detail = detail"),
        (true, "update inbox_archive set body = body, headers = headers, attempt_log = attempt_log"),
        (false, "update inbox_archive set outcome = outcome"),
        (false, "delete from inbox_archive"),
        (true, "update outbox_archive set payload = payload, attempt_log = attempt_log"),
        (false, "update outbox_archive set status = status"),
        (false, "delete from outbox_archive"),
    ] {
        let done = sqlx::query(AssertSqlSafe(sql)).execute(pool).await;
        let database =
            |error: sqlx::Error| error.as_database_error().and_then(DatabaseError::code).map(Cow::into_owned);
        let code = done.err().and_then(database);
        assert_eq!(code.as_deref(), if allowed { None } else { Some("42501") }, "{sql}");
    }
    app.finish().await;
}
