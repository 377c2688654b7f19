//! Acts on an opening that are bound to the version that the operator saw: `expected_version`.

use serde_json::{Value, json};

use super::{actions, decision, post, resolve, taken};
use crate::support::{TestApp, problem};

const ACTS: [&str; 3] = ["poll", "resolve", "erase"];

fn path(id: &str, act: &str) -> String {
    format!("/v1/account-openings/{id}/{act}")
}

fn body(act: &str, expected_version: Value) -> Value {
    let mut body = if act == "resolve" { decision("failed") } else { json!({"reason": "seen on the screen"}) };
    body["expected_version"] = expected_version;
    body
}

/// How many facts of operators there are, and how many acts on this opening.
async fn written(app: &TestApp, id: &str) -> (i64, usize) {
    let facts = sqlx::query_scalar("select count(*) from inbox where source = 'operator'");
    (facts.fetch_one(&app.pool).await.unwrap(), actions(app, id).await.len())
}

#[tokio::test]
async fn an_act_on_an_opening_that_has_moved_is_refused_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let (waiting, _) = app.open().waiting().await;
    let (ended, _) = app.open().waiting().await;
    assert_eq!(resolve(&app, &ended, "failed").await, 202);
    app.settle().await;
    for act in ACTS {
        let id = if act == "erase" { &ended } else { &waiting };
        let (before, version) = (written(&app, id).await, app.opening(id).await["version"].as_i64().unwrap());
        for other in [version - 1, version + 1] {
            problem(post(&app, &path(id, act), &body(act, json!(other))).await, 409, "wrong-state").await;
        }
        app.settle().await;
        assert_eq!(written(&app, id).await, before, "{act}");
        assert_eq!(app.opening(id).await["version"], version, "{act}");
    }
    app.finish().await;
}

#[tokio::test]
async fn an_act_in_the_expected_version_is_taken_and_one_without_any_is_too() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for expected in [json!(null), app.opening(&id).await["version"].clone()] {
        taken(&app, &path(&id, "poll"), &body("poll", expected)).await;
        app.settle().await;
    }
    let (polls, version) = (actions(&app, &id).await, app.opening(&id).await["version"].clone());
    assert_eq!((polls.len(), &polls[0]["reason"]), (2, &json!("seen on the screen")));
    // Also as some languages write a whole number.
    taken(&app, &path(&id, "resolve"), &body("resolve", json!(version.as_f64().unwrap()))).await;
    app.settle().await;
    let ended = app.opening(&id).await;
    assert_eq!(ended["state"], "failed");
    taken(&app, &path(&id, "erase"), &body("erase", ended["version"].clone())).await;
    app.finish().await;
}

#[tokio::test]
async fn a_version_that_is_none_is_pointed_at() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for act in ACTS {
        for wrong in [json!(0), json!(-1), json!(1.5), json!("1"), json!(true), json!(1e300), json!([1])] {
            let refused = post(&app, &path(&id, act), &body(act, wrong.clone())).await;
            assert_eq!(problem(refused, 422, "validation-failed").await, ["/expected_version"], "{act} {wrong}");
        }
    }
    assert!(actions(&app, &id).await.is_empty());
    app.finish().await;
}

/// A poll needs no body; one that comes is read as strictly as any.
#[tokio::test]
async fn a_poll_may_come_without_a_body() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let bare = || app.request(reqwest::Method::POST, &path(&id, "poll"));
    assert_eq!(bare().send().await.unwrap().status(), 202);
    assert_eq!(bare().header("content-type", "text/plain").send().await.unwrap().status(), 202);
    problem(
        bare().header("content-type", "text/plain").body("now").send().await.unwrap(),
        415,
        "unsupported-media-type",
    )
    .await;
    problem(bare().body("now").send().await.unwrap(), 400, "invalid-json").await;
    problem(bare().json(&json!({"when": "now"})).send().await.unwrap(), 400, "unknown-field").await;
    app.finish().await;
}
