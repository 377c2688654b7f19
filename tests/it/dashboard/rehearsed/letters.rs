//! Acts on a dead letter and on a case.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::openings::{iban, stuck};
use super::{OPERATOR, Visitor, act};
use crate::support::{TOKEN, TestApp};

/// The last act in a letter's attempts, and how many entries they have.
pub async fn attempts(app: &TestApp, id: &str) -> (String, usize) {
    let log = app.get(&format!("/v1/dead-letters/{id}")).await["attempts"].clone();
    let log = log.as_array().cloned().unwrap_or_default();
    let acts = log.iter().rev().filter_map(|it| it["class"].as_str()).find(|it| ["redrive", "discard"].contains(it));
    (acts.unwrap_or_default().to_owned(), log.len())
}

/// A dead letter of each kind.
pub async fn letter_in(app: &TestApp, state: &str, number: usize) -> String {
    let newest = async || app.items("/v1/dead-letters").await;
    let known: Vec<Value> = newest().await.iter().map(|it| it["id"].clone()).collect();
    match state {
        "unreadable" | "redriven" | "discarded" => {
            app.webhook().body(format!("{{\"type\": {number}}}")).acknowledged().await;
        }
        _ => {
            stuck(app, "creating_profile").await;
        }
    }
    app.settle().await;
    let letters = newest().await;
    let letter = letters.iter().find(|it| !known.contains(&it["id"])).unwrap();
    let id = letter["id"].as_str().unwrap().to_owned();
    match state {
        "redriven" | "discarded" => {
            let act = if state == "redriven" { "redrive" } else { "discard" };
            let path = format!("/v1/dead-letters/{id}/{act}");
            assert_eq!(app.post(&path, &json!({"reason": "before"})).await.0, 202);
        }
        "obsolete" => {
            let path = format!("/v1/account-openings/{}/resolve", letter["opening_id"].as_str().unwrap());
            let body = json!({"outcome": "failed", "reason": "given up", "evidence": "a call"});
            assert_eq!(app.post(&path, &body).await.0, 202);
            app.settle().await;
        }
        _ => {}
    }
    id
}

#[tokio::test]
async fn every_act_on_a_dead_letter_in_every_state_is_what_was_announced() {
    let app = TestApp::start().await;
    let mut refused = BTreeMap::new();
    for (number, state) in ["unreadable", "call", "obsolete", "redriven", "discarded"].into_iter().enumerate() {
        for (at, verb) in ["redrive", "discard"].into_iter().enumerate() {
            let id = letter_in(&app, state, 10 * number + at).await;
            let visitor = Visitor::signed_in(&app, OPERATOR).await;
            let before = attempts(&app, &id).await;
            let path = format!("/dead-letters/{id}/{verb}");
            let announced = act(&app, &visitor, &path, &format!("{verb}_dead_letter"), &[]).await;
            let after = attempts(&app, &id).await;
            let is_done = announced.refused.is_none() && !announced.says("was done before");
            assert_eq!(after.1 - before.1, usize::from(is_done), "{state} {verb}: {announced:?}");
            assert_eq!(after.0, if is_done { verb.to_owned() } else { before.0 }, "{state} {verb}: {announced:?}");
            app.settle().await;
            if is_done && verb == "discard" {
                let listed = app.items("/v1/dead-letters").await;
                assert!(listed.iter().all(|it| it["id"] != id.as_str()), "{state}: it is not tried again");
            }
            refused.insert((state, verb), announced.refused.is_some());
        }
    }
    let refused: Vec<_> = refused.into_iter().filter(|(_, is_refused)| *is_refused).map(|(cell, _)| cell).collect();
    assert_eq!(refused, [("discarded", "redrive"), ("obsolete", "redrive"), ("redriven", "discard")]);
    app.finish().await;
}

#[tokio::test]
async fn a_case_is_resolved_once_as_was_announced() {
    let app = TestApp::start().await;
    let (_, reference) = app.open().waiting().await;
    for number in [1, 2] {
        app.webhook().completed(&reference, &iban(number)).acknowledged().await;
        app.settle().await;
    }
    let id = app.items("/v1/cases").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/cases/{id}/resolve");
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let before = app.opening(app.items("/v1/cases").await[0]["opening_id"].as_str().unwrap()).await;
    let announced = act(&app, &visitor, &path, "resolve_case", &[]).await;
    assert!(announced.refused.is_none() && announced.says("moves no opening"), "{announced:?}");
    app.settle().await;
    assert_eq!(app.opening(before["id"].as_str().unwrap()).await, before);
    assert_eq!(app.get(&format!("/v1/cases/{id}")).await["status"], "resolved");
    // Another person finds it resolved.
    let other = Visitor::signed_in(&app, TOKEN).await;
    assert!(act(&app, &other, &path, "resolve_case", &[]).await.refused.is_some());
    app.finish().await;
}
