//! The record of what people did.

use serde_json::{Value, json};
use world::{Fault, Plan};

use super::{actions, decision, post, resolve_path, taken};
use crate::support::TestApp;

async fn refused_profile(app: &TestApp) -> (String, String) {
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let letters = app.items("/v1/dead-letters").await;
    let mine = letters.iter().find(|it| it["opening_id"] == id.as_str()).unwrap();
    (id, mine["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn polls_redrives_and_discards_are_recorded_once_each() {
    let app = TestApp::start().await;
    let (id, letter) = refused_profile(&app).await;
    for _ in 0..2 {
        taken(&app, &format!("/v1/dead-letters/{letter}/redrive"), &json!({"reason": "repaired"})).await;
    }
    app.settle().await;
    taken(&app, &format!("/v1/account-openings/{id}/poll"), &json!({})).await;
    app.settle().await;
    let (other, letter) = refused_profile(&app).await;
    for _ in 0..2 {
        taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &json!({"reason": "of no use"})).await;
    }
    let words = |it: &Value| ["who", "action", "reason"].map(|name| it[name].as_str().unwrap().to_owned());
    let acts = actions(&app, &id).await;
    let told: Vec<_> = acts.iter().map(words).collect();
    assert_eq!(told, [["operator", "poll", ""], ["operator", "redrive_dead_letter", "repaired"]]);
    // The record says why the letter was dead: the act itself takes the cause off the row.
    let why = json!("rejected");
    assert_eq!((&acts[1]["detail"]["kind"], &acts[1]["detail"]["cause"]), (&json!("create_profile"), &why));
    let acts = actions(&app, &other).await;
    assert_eq!(acts[0]["detail"]["cause"], why);
    assert_eq!(words(&acts[0]), ["operator", "discard_dead_letter", "of no use"]);
    assert_eq!((acts.len(), &acts[0]["subject"], &acts[0]["opening_id"]), (1, &json!(letter), &json!(other)));
    assert_eq!(app.items("/v1/operator-actions").await.len(), 3);
    app.finish().await;
}

#[tokio::test]
async fn the_list_is_newest_first_and_comes_in_pages() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    for _ in 0..3 {
        taken(&app, &format!("/v1/account-openings/{id}/poll"), &json!({})).await;
        app.settle().await;
        app.pass(chrono::TimeDelta::seconds(1));
    }
    let whole = actions(&app, &id).await;
    assert!(whole.len() == 3 && whole.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str()), "{whole:?}");
    let page = app.get("/v1/operator-actions?limit=2").await;
    assert_eq!(page["items"], json!(whole[..2]));
    let next = format!("/v1/operator-actions?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    let page = app.get(&next).await;
    assert_eq!((&page["items"], &page["next_cursor"]), (&json!(whole[2..]), &json!(null)));
    app.finish().await;
}

#[tokio::test]
async fn an_act_is_one_item_of_the_timeline_with_what_came_of_it() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    assert_eq!(post(&app, &format!("/v1/account-openings/{id}/poll"), &json!({})).await.status(), 202);
    app.settle().await;
    taken(&app, &resolve_path(&id), &decision("failed")).await;
    app.settle().await;
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let acts: Vec<_> = items.iter().filter(|it| it["kind"] == "operator").map(|it| &it["detail"]).collect();
    let told = |it: &Value| ["who", "action", "reason", "outcome"].map(|name| it[name].as_str().unwrap().to_owned());
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert_eq!(told(acts[0]), ["operator", "poll", "", "recorded"]);
    assert_eq!(told(acts[1]), ["operator", "resolve", "seen at the bank", "applied"]);
    assert_eq!(acts[1]["detail"]["evidence"], "their letter\nof 3 January");
    app.finish().await;
}
