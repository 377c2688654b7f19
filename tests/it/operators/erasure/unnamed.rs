//! Messages that name no opening and still speak of its customer. The first erasure knows IBAN, e-mail and reference, and
//! looks for them in unparsed text.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::super::taken;
use super::{CANARY, IBAN, assert_gone, erase_path, places, reason, secret_of_nobody};
use crate::support::{OpeningBuilder, TestApp};

const REFERENCE: &str = "cust/4711-Ab";
const EMAIL: &str = "Jo.Doe+bank@mail.example";

/// A customer with this reference and e-mail.
fn person(app: &TestApp) -> OpeningBuilder<'_> {
    app.open().key("key-for-Jo.Doe+bank@mail.example-canary").customer(REFERENCE).body(|it| {
        it["customer"]["name"] = json!("Canary Person");
        it["customer"]["email"] = json!(EMAIL);
    })
}

/// Their opening, completed with [`IBAN`]; its id and tracking id.
async fn completed(app: &TestApp) -> (String, String) {
    let (id, tracking_id) = person(app).waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    (id, tracking_id)
}

/// How many rows hold `mine`, and how many hold `theirs`.
async fn left(app: &TestApp, table: &str) -> (i64, i64) {
    let sql = format!(
        "select count(*) filter (where encode(body, 'escape') like '%mine%'),
                count(*) filter (where encode(body, 'escape') like '%theirs%') from {table}"
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&app.pool).await.unwrap()
}

/// G7: unknown event types, unreadable ones and refused requests, with any spelling of IBAN, e-mail or reference.
#[tokio::test]
async fn an_erasure_finds_the_customer_in_what_names_no_opening() {
    let app = TestApp::start().await;
    let (id, _) = completed(&app).await;
    let mine = [
        r#"{"type":"account.noted","data":{"iban":"BE68539007547034","holder":"mine"}}"#,
        r#"{"type":"account.noted","data":{"iban":"be68 5390 0754 7034","holder":"mine"}}"#,
        r#"{"type":"account.noted","data":{"iban":"BE68\u00a05390\u00a00754\u00a07034","holder":"mine"}}"#,
        "mine BE68\u{a0}5390\u{a0}0754\u{a0}7034, not JSON",
        "mine BE68-5390-0754-7034.",
        r#"{"type":"customer.noted","data":{"email":"Jo.Doe+bank@mail.example","x":"mine"}}"#,
        r#"{"type":"customer.noted","data":{"email":"JO.DOE+BANK@MAIL.EXAMPLE","x":"mine"}}"#,
        r#"{"type":"customer.noted","data":{"email":"jo.doe\u002Bbank\u0040mail.example","x":"mine"}}"#,
        "x=mine&email=jo.doe%2Bbank%40mail.example",
        "mine <jo.doe+bank@mail.example>.",
        r#"{"type":"customer.noted","data":{"reference":"cust/4711-Ab","x":"mine"}}"#,
        r#"{"type":"customer.noted","data":{"reference":"cust\/4711-ab","x":"mine"}}"#,
        "mine\ncust/4711-Ab\n",
    ];
    let theirs = [
        r#"{"type":"account.noted","data":{"iban":"BE685390075470345","holder":"theirs"}}"#,
        r#"{"type":"account.noted","data":{"iban":"BE71096123456769","holder":"theirs"}}"#,
        r#"{"type":"customer.noted","data":{"email":"mo.jo.doe+bank@mail.example","x":"theirs"}}"#,
        r#"{"type":"customer.noted","data":{"email":"jo.doe+bank@mail.example.org","x":"theirs"}}"#,
        r#"{"type":"customer.noted","data":{"email":"doe@mail.example","x":"theirs"}}"#,
        r#"{"type":"customer.noted","data":{"reference":"cust/4711-Abc","x":"theirs"}}"#,
        r#"{"type":"customer.noted","data":{"reference":"my-cust/4711-Ab","x":"theirs"}}"#,
    ];
    for text in mine.iter().chain(&theirs) {
        app.webhook().body(*text).acknowledged().await;
        assert_eq!(app.webhook().signed_with(&secret_of_nobody()).body(*text).answered().await, 401);
    }
    app.webhook().header("x-customer", EMAIL).body("mine, said by a header").acknowledged().await;
    app.settle().await;
    let (all, others) = (mine.len() as i64, theirs.len() as i64);
    assert_eq!((left(&app, "inbox").await, left(&app, "rejected_requests").await), ((all + 1, others), (all, others)));
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_eq!((left(&app, "inbox").await, left(&app, "rejected_requests").await), ((0, others), (0, others)));
    app.finish().await;
}

/// G7: letters that name an opening which does not exist, what went to the archive, and the words of operators.
#[tokio::test]
async fn an_erasure_reaches_dead_letters_archive_and_acts_that_speak_of_the_customer() {
    let app = TestApp::start().await;
    let (id, _) = completed(&app).await;
    // Archived: of an unknown type, unreadable and discarded, discarded with an unknown tracking id.
    let unknown = json!({"type": "customer.noted", "data": {"email": EMAIL, "name": CANARY}});
    app.webhook().body(unknown.to_string()).acknowledged().await;
    app.webhook().body(format!("{CANARY}, not JSON: {IBAN}")).acknowledged().await;
    let nobodys = json!({"account_opening_request_id": "aor_of_nobody", "status": "COMPLETED", "iban": IBAN,
                         "bic": "NEXUBEBB", "holder": CANARY});
    app.webhook().data(nobodys.clone()).acknowledged().await;
    app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
    for letter in app.items("/v1/dead-letters").await {
        let path = format!("/v1/dead-letters/{}/discard", letter["id"].as_str().unwrap());
        taken(&app, &path, &reason("a discard")).await;
    }
    app.pass_settling(TimeDelta::days(31), TimeDelta::days(1)).await;
    // Not archived.
    app.webhook().id("msg_2").body(format!("{CANARY}, not JSON either: {IBAN}")).acknowledged().await;
    app.webhook().id("msg_3").data(nobodys).acknowledged().await;
    app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
    for told in [
        json!({"forced": "open", "reason": format!("{CANARY}: {EMAIL} asked")}),
        json!({"forced": null, "reason": "x"}),
    ] {
        let force = app.request_as("operator-token", reqwest::Method::PUT, "/v1/breakers/cards/issue").json(&told);
        assert_eq!(force.send().await.unwrap().status(), 200);
    }
    app.settle().await;
    let before = places(&app, CANARY).await;
    for place in ["inbox.body", "inbox_archive.body", "operator_actions.reason"] {
        assert!(before.contains(place), "{place} holds nothing to erase: {before:?}");
    }
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    assert_gone(&app).await;
    for text in [EMAIL, REFERENCE] {
        assert!(places(&app, text).await.is_empty(), "{text}: {:?}", places(&app, text).await);
    }
    app.finish().await;
}

/// G7: a repeat with an erased key is recognised.
#[tokio::test]
async fn a_repeat_under_an_erased_key_opens_nothing() {
    let app = TestApp::start().await;
    let (id, _) = completed(&app).await;
    taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
    for _ in 0..2 {
        let again = person(&app).send().await;
        assert_eq!((again.status().as_u16(), again.headers()["idempotent-replayed"].to_str().unwrap()), (202, "true"));
        let again: serde_json::Value = again.json().await.unwrap();
        assert_eq!(again["id"], json!(id));
    }
    let other = person(&app).customer("another").send().await;
    assert_eq!(other.status(), 422);
    assert!(!places(&app, "key-for").await.contains("idempotency_keys.key"));
    assert_eq!(app.items("/v1/account-openings").await.len(), 1);
    app.finish().await;
}

/// G7: a reference that is a short text or a plain word is found everywhere: it is not looked for.
#[tokio::test]
async fn a_reference_that_says_too_little_is_not_looked_for() {
    for reference in ["1", "cus_1", "company"] {
        let app = TestApp::start().await;
        let (id, tracking_id) = app.open().customer(reference).waiting().await;
        app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
        let other = json!({"type": "customer.noted", "data": {"reference": reference, "of": "theirs"}});
        app.webhook().body(other.to_string()).acknowledged().await;
        app.settle().await;
        taken(&app, &erase_path(&id), &json!({"reason": "x"})).await;
        assert_eq!(left(&app, "inbox").await, (0, 1), "{reference}");
        app.finish().await;
    }
}
