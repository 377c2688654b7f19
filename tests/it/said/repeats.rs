//! The same event again in other bytes: kept, and shown as a conflict only where it says something else. (P3, P4)

use futures::future::join_all;
use serde_json::{Value, json};

use super::{IBAN, Outside, of_kind};
use crate::support::TestApp;

/// A webhook that counts its attempts, and writes its fields in another order each time.
fn attempt(tracking_id: &str, status: &str, number: usize) -> String {
    let account = format!(r#""iban":"{IBAN}","bic":"NEXUBEBB""#);
    let mut fields =
        [format!(r#""account_opening_request_id":"{tracking_id}""#), format!(r#""status": "{status}""#), account];
    fields.rotate_left(number % 3);
    let [a, b, c] = fields;
    format!(r#"{{"attempt":{number},"type":"account_opening_request.status_changed","data":{{{a},{b},{c}}}}}"#)
}

async fn send(app: &TestApp, id: &str, body: &str) {
    app.webhook().id(id).body(body).acknowledged().await;
    app.state.ingest.forget_bursts();
    app.settle().await;
}

/// F16, P4: every body is kept; what says the same is settled, what says something else is before a person.
#[tokio::test]
async fn a_repeat_that_counts_its_attempts_is_kept_and_no_dead_letter() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let bodies: Vec<String> = (1..=4).map(|number| attempt(&tracking_id, "COMPLETED", number)).collect();
    for body in bodies.iter().chain(&bodies) {
        send(&app, "msg_1", body).await;
    }
    let stored = app.inbox().await;
    assert_eq!(
        stored.iter().map(|it| it.body.as_slice()).collect::<Vec<_>>(),
        bodies.iter().map(String::as_bytes).collect::<Vec<_>>()
    );
    assert_eq!((stored[0].event_id.as_str(), stored[0].settled()), ("msg_1", ("applied", Some("applied"))));
    assert!(
        stored[1..].iter().all(|it| it.settled() == ("ignored", Some("duplicate")) && it.duplicates == 1),
        "{stored:?}"
    );
    assert_eq!(stored[0].duplicates, 7, "each that came after it says the same");
    assert!(app.items("/v1/dead-letters").await.is_empty());
    let told = of_kind(&app, &id, "webhook").await;
    let outcomes: Vec<_> = told.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["applied", "duplicate", "duplicate", "duplicate"]);

    for other in [attempt(&tracking_id, "REJECTED", 5), attempt("aor_other", "COMPLETED", 6)] {
        send(&app, "msg_1", &other).await;
        let conflict = app.inbox().await.pop().unwrap();
        assert_eq!(
            (conflict.body.as_slice(), conflict.settled()),
            (other.as_bytes(), ("dead", Some("event_id_conflict")))
        );
    }
    // The first's id, and what the first says, hold also against what conflicted with it.
    send(&app, "msg_1", &attempt(&tracking_id, "COMPLETED", 7)).await;
    assert_eq!(app.inbox().await.pop().unwrap().settled(), ("ignored", Some("duplicate")));
    assert_eq!(
        (app.items("/v1/dead-letters").await.len(), app.opening(&id).await["state"].clone()),
        (2, json!("completed"))
    );
    app.finish().await;
}

/// F16, P4: what cannot be understood, or is of a kind that is not known, cannot be said to say the same.
#[tokio::test]
async fn repeats_of_what_is_not_understood_stay_conflicts() {
    let app = TestApp::start().await;
    for (n, pair) in
        [["{\"n\":1}", "{\"n\":2}"], [r#"{"type":"customer.created","n":1}"#, r#"{"type":"customer.created","n":2}"#]]
            .iter()
            .enumerate()
    {
        for body in pair {
            send(&app, &format!("msg_{n}"), body).await;
        }
    }
    let letters = app.items("/v1/dead-letters").await;
    assert_eq!(letters.iter().filter(|it| it["cause"] == "event_id_conflict").count(), 2, "{letters:?}");
    app.finish().await;
}

/// F16, P4: whichever of them comes first, in one commit.
#[tokio::test]
async fn repeats_in_one_commit_are_kept_beside_the_first_and_no_dead_letters() {
    let app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    let lock = app.lock_inbox().await;
    let held = app.webhook().id("msg_0").status("aor_0", "IN_PROGRESS").answered();
    let bodies: Vec<String> = (1..=4).map(|number| attempt(&tracking_id, "IN_PROGRESS", number)).collect();
    // The burst cache takes one at a time of what says the same; these differ, so that all of them wait for the writer.
    let sent = join_all(bodies.iter().map(|body| app.webhook().id("msg_1").body(body.clone()).answered()));
    let release = async {
        app.an_insert_waits().await;
        lock.rollback().await.unwrap();
    };
    let (held, answers, ()) = tokio::join!(held, sent, release);
    assert_eq!((held, answers), (200, vec![200; 4]));
    app.settle().await;
    let stored: Vec<_> = app.inbox().await.into_iter().filter(|it| it.event_id != "msg_0").collect();
    let mut kept: Vec<&[u8]> = stored.iter().map(|it| it.body.as_slice()).collect();
    kept.sort_unstable();
    let mut all: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    all.sort_unstable();
    assert_eq!(kept, all);
    assert_eq!(stored.iter().filter(|it| it.settled() == ("ignored", Some("duplicate"))).count(), 3, "{stored:?}");
    app.finish().await;
}

/// F16: items with the same time of change, their fields in another order; then one that says something else.
#[tokio::test]
async fn list_items_of_one_time_are_a_conflict_only_where_they_say_something_else() {
    let (outside, app) = Outside::around(|_, _| None).await;
    let id = app.open().start().await;
    app.settle().await;
    let item = |more: Value| {
        let mut item = json!({"account_opening_request_id": "aor_1", "reference": id, "status": "IN_PROGRESS",
                              "updated_at": "2026-01-01T00:00:00Z"});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    for more in [json!({}), json!({"fetched": 1}), json!({"fetched": 2}), json!({"fetched": 1})] {
        outside.listed(&app, &[item(more)]).await;
    }
    let told = of_kind(&app, &id, "list").await;
    let outcomes: Vec<_> = told.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["recorded", "duplicate", "duplicate"]);
    assert!(app.items("/v1/dead-letters").await.is_empty());
    outside.listed(&app, &[item(json!({"iban": IBAN}))]).await;
    assert_eq!(app.items("/v1/dead-letters").await[0]["cause"], "event_id_conflict");
    app.finish().await;
}

/// F16: one that comes before anything is known of its opening is on the timeline later, and one that comes when the opening's
/// data were erased brings none of them back.
#[tokio::test]
async fn a_repeat_is_found_by_the_timeline_and_by_an_erasure() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for number in 1..=2 {
        app.webhook().id("msg_1").body(attempt(&tracking_id, "COMPLETED", number)).acknowledged().await;
        app.state.ingest.forget_bursts();
    }
    app.settle().await;
    assert_eq!(of_kind(&app, &id, "webhook").await.len(), 2);
    let (status, answer) = app.post(&format!("/v1/account-openings/{id}/erase"), &json!({"reason": "asked"})).await;
    assert_eq!(status, 202, "{answer}");
    send(&app, "msg_1", &attempt(&tracking_id, "COMPLETED", 3)).await;
    let held: i64 = sqlx::query_scalar("select count(*) from inbox where body <> '' and source = 'webhook'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!((held, app.items("/v1/dead-letters").await.len()), (0, 0));
    app.finish().await;
}
