//! How far an erasure reaches: discarded facts, unparsed text, what callers and other openings were told, and what came
//! since; and no further. (P3)

use account_opening::db::inbox;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use world::{Fault, Plan};

use super::super::{actions, decision, resolve_path, taken};
use super::{
    CANARY, IBAN, SECOND_IBAN, assert_gone, erase_path, places, reason, refused, rows, secret_of_nobody, somebodys,
    told,
};
use crate::support::{TestApp, eventually, meanwhile};

/// A second erasure takes what people said of an opening, and what came, since the first; why it was erased stays.
#[tokio::test]
async fn erasing_again_takes_what_was_said_since_and_leaves_why_it_was_erased() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "x"})).await;
    told(&app, "msg_2", &tracking_id, &json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})).await;
    told(&app, "msg_2", &tracking_id, &json!({"status": "COMPLETED", "iban": SECOND_IBAN, "bic": "NEXUBEBB"})).await;
    taken(&app, &erase_path(&id), &json!({"reason": "the customer asked"})).await;
    let opening = app.opening(&id).await;
    let events = rows(&app, "events", &id).await;

    app.pass(TimeDelta::days(1));
    let case = app.items("/v1/cases?status=open").await[0]["id"].as_str().unwrap().to_owned();
    let judged = json!({"reason": "canary reason", "evidence": "canary evidence"});
    taken(&app, &format!("/v1/cases/{case}/resolve"), &judged).await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &reason("a discard")).await;
    refused(&app, json!({"data": {"account_opening_request_id": tracking_id, "holder": CANARY}})).await;
    let since = ["cases.reason", "operator_actions.detail", "operator_actions.reason", "rejected_requests.body"];
    assert_eq!(places(&app, CANARY).await, since.map(str::to_owned).into());

    taken(&app, &erase_path(&id), &json!({"reason": "again"})).await;
    assert_gone(&app).await;
    assert_eq!((app.opening(&id).await, rows(&app, "events", &id).await), (opening, events));
    let reasons: Vec<_> = actions(&app, &id).await.iter().map(|it| it["reason"].clone()).collect();
    assert_eq!(reasons, ["", "", "the customer asked"]);
    app.finish().await;
}

/// A repeat on the synchronous flow is answered with the last answer, without what is personal.
#[tokio::test]
async fn the_stored_answer_of_a_synchronous_opening_is_erased_too() {
    let app = TestApp::start().await;
    let opening = || {
        somebodys(&app, "key-1").plan(Plan::default()).body(|it| {
            it["flow"] = json!("sync");
            it["customer"]["name"] = json!("Canary Person");
            it["customer"]["email"] = json!("canary@canary.example");
        })
    };
    let response = meanwhile(opening().send(), async || app.settle().await).await;
    app.settle().await;
    assert_eq!(response.status(), 201);
    let told: Value = response.json().await.unwrap();
    let (id, iban) = (told["id"].as_str().unwrap(), told["iban"].as_str().unwrap());
    for text in [CANARY, iban] {
        let before = places(&app, text).await;
        assert!(before.contains("idempotency_keys.body"), "{text}: {before:?}");
    }
    taken(&app, &erase_path(id), &json!({"reason": "x"})).await;
    for text in [CANARY, iban] {
        assert_eq!(places(&app, text).await, BTreeSet::new(), "{text}");
    }
    let again = opening().send().await;
    assert_eq!(again.status(), 201);
    let again: Value = again.json().await.unwrap();
    assert_eq!((&again["id"], &again["iban"], &again["customer_reference"]), (&json!(id), &json!(null), &json!("")));
    app.finish().await;
}

/// A dead letter that names only a tracking id is settled with its opening when it is discarded, and emptied at once where that
/// was erased before.
#[tokio::test]
async fn a_discarded_letter_is_known_by_its_opening_and_empty_where_that_was_erased() {
    let app = TestApp::start().await;
    for erased_first in [false, true] {
        let (id, tracking_id) = app.open().waiting().await;
        told(&app, &format!("{id}-1"), &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "x"})).await;
        told(&app, &format!("{id}-1"), &tracking_id, &json!({"status": "REJECTED", "rejection_reason": CANARY})).await;
        let letter = &app.items("/v1/dead-letters").await[0];
        assert_eq!((&letter["cause"], &letter["opening_id"]), (&json!("event_id_conflict"), &json!(null)));
        let letter = letter["id"].as_str().unwrap().to_owned();
        if erased_first {
            // As for a message that arrived in between: its opening is erased, and it has not been processed since.
            taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
            sqlx::query("update inbox set body = 'canary', erased_at = null where id = $1::uuid")
                .bind(&letter)
                .execute(&app.pool)
                .await
                .unwrap();
        }
        taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &json!({"reason": "x"})).await;
        let of: String = sqlx::query_scalar("select opening_id::text from inbox where id = $1::uuid")
            .bind(&letter)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(of, id);
        let acts = actions(&app, &id).await;
        assert_eq!((&acts[0]["action"], &acts[0]["subject"]), (&json!("discard_dead_letter"), &json!(letter)));
        let whole = app.get(&format!("/v1/dead-letters/{letter}")).await;
        assert_eq!(whole["payload"] == "", erased_first, "{whole}");
        if !erased_first {
            taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
        }
        assert_gone(&app).await;
    }
    app.finish().await;
}

/// A fact that was discarded before its tracking id was known.
#[tokio::test]
async fn a_letter_that_was_discarded_before_its_opening_was_known_is_erased_with_it() {
    let app = TestApp::start().await;
    told(&app, "msg_1", "aor_early_bird", &json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})).await;
    app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &reason("a discard")).await;
    let id = app
        .open()
        .plan(Plan { submit: Fault::ErrorBefore { status: 500 }.times(1000), ..Plan::by_hand() })
        .start()
        .await;
    app.settle().await;
    let mut body = decision("completed");
    body["iban"] = json!(SECOND_IBAN);
    body["provider_reference"] = json!("aor_early_bird");
    taken(&app, &resolve_path(&id), &body).await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert!(places(&app, CANARY).await.contains("inbox.body"));
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_gone(&app).await;
    app.finish().await;
}

/// An erasure also takes what another opening was told of the erased opening's account; the other's own answer stays.
#[tokio::test]
async fn the_cases_of_others_about_what_an_opening_held_are_emptied_with_their_evidence() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let (other, others) = app.open().waiting().await;
    for message in ["msg_1", "msg_2"] {
        told(&app, message, &others, &json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})).await;
    }
    let case = app.items(&format!("/v1/cases?opening_id={other}")).await[0].clone();
    assert_eq!((&case["kind"], &case["theirs"]["held_by"]), (&json!("iban_held_elsewhere"), &json!(id)));
    let judged = json!({"reason": format!("it is {IBAN}"), "evidence": format!("seen: {IBAN}")});
    taken(&app, &format!("/v1/cases/{}/resolve", case["id"].as_str().unwrap()), &judged).await;
    told(&app, "msg_3", &others, &json!({"status": "COMPLETED", "iban": SECOND_IBAN, "bic": "NEXUBEBB"})).await;
    let before = app.opening(&other).await;
    assert_eq!(before["iban"], SECOND_IBAN);
    for place in ["cases.cause", "cases.theirs", "cases.reason", "inbox.body", "operator_actions.reason"] {
        assert!(places(&app, IBAN).await.contains(place), "{place}");
    }

    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_eq!(places(&app, IBAN).await, BTreeSet::new());
    assert_eq!(app.opening(&other).await, before);
    assert!(places(&app, SECOND_IBAN).await.contains("inbox.body"), "what is the other's stays");
    let after = app.items(&format!("/v1/cases?opening_id={other}")).await[0].clone();
    assert_eq!((&after["kind"], &after["status"]), (&case["kind"], &json!("resolved")));
    assert_eq!((&after["theirs"], &after["evidence"]), (&json!({"held_by": id}), &case["evidence"]));
    app.finish().await;
}

/// An erasure looks for whole ids in unparsed text: the text about a neighbour stays, although its longer id contains the erased id.
#[tokio::test]
async fn an_erasure_finds_whole_ids_and_leaves_the_neighbours() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    assert!(tracking_id.len() >= 6);
    let mine = [
        format!("x {tracking_id}"),
        format!("\"{tracking_id}\\n"),
        format!("\\n{tracking_id}\\u0020"),
        format!("\\u0020{tracking_id}."),
        format!("é{tracking_id}é"),
        format!("\n{tracking_id}\n"),
        tracking_id.clone(),
        format!("x{}x", id.to_uppercase()),
        format!("x{id}x"),
    ];
    let neighbours =
        [format!("{tracking_id}3"), format!("x{tracking_id}"), format!("{tracking_id}-b"), format!("y_{tracking_id}")];
    for text in mine.iter().map(|it| format!("mine {it}")).chain(neighbours.iter().map(|it| format!("theirs {it}"))) {
        // Neither is JSON: a dead letter without an opening, and a refused request.
        app.webhook().body(text.clone()).acknowledged().await;
        assert_eq!(app.webhook().signed_with(&secret_of_nobody()).body(text).answered().await, 401);
    }
    app.webhook()
        .signed_with(&secret_of_nobody())
        .header("x-about", &id.to_uppercase())
        .body("header mine")
        .answered()
        .await;
    let near = format!("{tracking_id}3");
    app.webhook().signed_with(&secret_of_nobody()).header("x-about", &near).body("header theirs").answered().await;
    app.settle().await;
    let left = async |table: &str| -> (i64, i64) {
        let sql = format!(
            "select count(*) filter (where encode(body, 'escape') like '%mine%'),
                    count(*) filter (where encode(body, 'escape') like '%theirs%') from {table}"
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&app.pool).await.unwrap()
    };
    assert_eq!((left("inbox").await, left("rejected_requests").await), ((9, 4), (10, 5)));
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_eq!((left("inbox").await, left("rejected_requests").await), ((0, 4), (0, 5)));
    app.finish().await;
}

/// The sweeper empties a letter that dies after its opening was erased, and holds it from its look to its end. No operator
/// redrives it in between.
#[tokio::test]
async fn a_sweep_holds_the_letters_that_it_empties() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "x"})).await;
    told(&app, "msg_1", &tracking_id, &json!({"status": "REJECTED", "rejection_reason": "y"})).await;
    let sweep = async || {
        let mut connection = app.state.cell.pool.acquire().await.unwrap();
        inbox::erase_late(&mut connection, app.now(), 10).await.unwrap()
    };
    assert_eq!(sweep().await, 0, "nothing was erased");
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_eq!(sweep().await, 0, "it is empty already");
    sqlx::raw_sql(
        "update inbox set body = 'canary', erased_at = null where status = 'dead';
         create function wait_for_the_test() returns trigger language plpgsql as
             'begin perform pg_advisory_xact_lock(77); return null; end';
         create trigger wait_for_the_test before update on inbox
             for each statement execute function wait_for_the_test();",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let mut test = app.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(77)").execute(&mut *test).await.unwrap();
    let look = async {
        // The sweep has looked, and is about to empty what it found.
        let waits = "select exists (select from pg_locks where locktype = 'advisory' and objid = 77 and not granted)";
        eventually("the sweep has looked", async || {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&app.pool).await.unwrap().then_some(())
        })
        .await;
        let free = "select count(*) from (select from inbox where status = 'dead' for update skip locked) as free";
        let free: i64 = sqlx::query_scalar(free).fetch_one(&mut *test).await.unwrap();
        test.rollback().await.unwrap();
        free
    };
    assert_eq!(tokio::join!(sweep(), look), (1, 0));
    sqlx::raw_sql("drop trigger wait_for_the_test on inbox").execute(&app.pool).await.unwrap();
    assert_gone(&app).await;
    app.finish().await;
}
