//! The flag over REST: roles, rules in force, scopes, and what a change leaves alone.

use std::collections::BTreeMap;

use account_opening::app::Parts;
use account_opening::domain::chain::HistoryKey;
use account_opening::http::internal;
use account_opening::http::listener::Limits;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Endpoint, Plan, Verdict};

use super::{Answer, FLAG, calls, count, set};
use crate::support::{KEY, TestApp, keys, listen_as, problem};

/// No caller waits here; only the chosen flow counts.
async fn app() -> TestApp {
    TestApp::with().settings(|it| it.sync_wait = "1ms".to_owned()).start().await
}

async fn flow(app: &TestApp, market: &str, customer_type: &str) -> String {
    let opening = app.open().market(market).body(|it| it["customer_type"] = json!(customer_type)).plan(Plan::default());
    let answer = Answer::of(opening.send().await).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.resource()["flow"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_narrowest_rule_decides_and_without_one_it_is_on() {
    let app = app().await;
    let ask = async |table: &[(&str, &str, &str)]| {
        for (market, customer_type, expected) in table {
            assert_eq!(flow(&app, market, customer_type).await, *expected, "{market} {customer_type}");
        }
    };
    ask(&[("NL", "company", "async"), ("BE", "freelancer", "async")]).await;
    set(&app, json!({"enabled": false, "reason": "all"})).await;
    ask(&[("NL", "company", "sync"), ("BE", "freelancer", "sync")]).await;
    set(&app, json!({"market": null, "customer_type": "company", "enabled": true, "reason": "type"})).await;
    ask(&[("NL", "company", "async"), ("NL", "freelancer", "sync"), ("BE", "individual", "sync")]).await;
    set(&app, json!({"market": "NL", "customer_type": null, "enabled": false, "reason": "market"})).await;
    ask(&[("NL", "company", "sync"), ("BE", "company", "async")]).await;
    set(&app, json!({"market": "NL", "customer_type": "company", "enabled": true, "reason": "both"})).await;
    ask(&[("NL", "company", "async"), ("NL", "freelancer", "sync"), ("BE", "company", "async")]).await;
    // The last setting of a scope holds.
    set(&app, json!({"market": "NL", "customer_type": "company", "enabled": false, "reason": "back"})).await;
    set(&app, json!({"enabled": true, "reason": "all on"})).await;
    ask(&[("NL", "company", "sync"), ("NL", "freelancer", "sync"), ("DE", "individual", "async")]).await;
    app.finish().await;
}

#[tokio::test]
async fn a_percentage_is_for_a_part_and_0_is_for_no_opening() {
    let app = app().await;
    let mut flows: BTreeMap<String, u32> = BTreeMap::new();
    set(&app, json!({"enabled": true, "percentage": 50, "reason": "half"})).await;
    for _ in 0..40 {
        *flows.entry(flow(&app, "NL", "company").await).or_default() += 1;
    }
    // 40 fair coins: fewer than 5 of a kind is one in ten million.
    assert!(flows.len() == 2 && flows.values().all(|n| *n >= 5), "{flows:?}");
    set(&app, json!({"enabled": true, "percentage": 0, "reason": "nobody"})).await;
    assert_eq!(flow(&app, "NL", "company").await, "sync");
    set(&app, json!({"enabled": true, "percentage": 100, "reason": "everybody"})).await;
    assert_eq!(flow(&app, "NL", "company").await, "async");
    app.finish().await;
}

#[tokio::test]
async fn each_flag_is_listed_with_its_author_and_reason_and_every_change_is_kept() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/v1/feature-flags").await, json!({"items": [], "next_cursor": null}));
    let all = set(&app, json!({"enabled": false, "reason": "before the start"})).await;
    let names = ["flag", "market", "customer_type", "enabled", "percentage", "reason", "by", "at"];
    assert_eq!(keys(&all), names.into_iter().collect());
    assert_eq!(
        all,
        json!({"flag": "async-account-opening", "market": null, "customer_type": null, "enabled": false,
               "percentage": 100, "reason": "before the start", "by": "admin", "at": "2026-01-01T00:00:00Z"})
    );
    let mut holds = Vec::new();
    for (market, customer_type) in [("BE", json!(null)), ("NL", json!(null)), ("NL", json!("company"))] {
        let body =
            json!({"market": market, "customer_type": customer_type, "enabled": true, "percentage": 10, "reason": "r"});
        set(&app, body.clone()).await;
        app.pass(TimeDelta::seconds(1));
        holds.push(
            set(
                &app,
                json!({"percentage": 20, "market": body["market"], "customer_type": body["customer_type"],
                                    "enabled": true, "reason": "more"}),
            )
            .await,
        );
    }
    let listed: Vec<Value> = [vec![all.clone()], holds.clone()].concat();
    assert_eq!(app.items("/v1/feature-flags").await, listed);
    // Page by page.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    while let Some(next) = {
        let page = app.get(&format!("/v1/feature-flags?limit=1{cursor}")).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        page["next_cursor"].as_str().map(str::to_owned)
    } {
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, listed);

    let changes = app.items(&format!("{FLAG}/changes")).await;
    assert_eq!(changes.len(), 7);
    assert_eq!((&changes[0], &changes[6]), (&holds[2], &all), "newest first");
    let first = app.get(&format!("{FLAG}/changes?limit=6")).await;
    let rest = app.get(&format!("{FLAG}/changes?cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(rest, json!({"items": [all], "next_cursor": null}));
    let acts = "select count(*) from operator_actions where action = 'set_flag' and who = 'admin'
                   and subject = 'async-account-opening' and reason <> '' and detail ? 'percentage'";
    assert_eq!(count(&app, acts).await, 7);
    app.finish().await;
}

#[tokio::test]
async fn only_an_admin_sets_it_and_only_what_is_right() {
    let app = TestApp::start().await;
    let right = json!({"enabled": false, "reason": "r"});
    for token in ["reader-token", "caller-token", "operator-token"] {
        let response = app.request_as(token, Method::PUT, FLAG).json(&right).send().await.unwrap();
        problem(response, 403, "forbidden").await;
        for path in ["/v1/feature-flags".to_owned(), format!("{FLAG}/changes")] {
            assert_eq!(app.request_as(token, Method::GET, &path).send().await.unwrap().status(), 200);
        }
    }
    let put = async |path: &str, body: &Value| app.request(Method::PUT, path).json(body).send().await.unwrap();
    problem(put("/v1/feature-flags/another", &right).await, 404, "not-found").await;
    problem(app.request(Method::GET, "/v1/feature-flags/x/changes").send().await.unwrap(), 404, "not-found").await;
    problem(app.request(Method::POST, FLAG).json(&right).send().await.unwrap(), 405, "method-not-allowed").await;
    assert_eq!(
        problem(put(FLAG, &json!({"enabled": true, "reason": "r", "flag": 1})).await, 400, "unknown-field").await,
        ["/flag"]
    );
    assert_eq!(problem(put(FLAG, &json!({"market": "nl"})).await, 422, "validation-failed").await.len(), 3);
    let text = app.request(Method::PUT, FLAG).header("content-type", "application/json").body("[1]").send().await;
    problem(text.unwrap(), 400, "invalid-json").await;
    assert_eq!(count(&app, "select count(*) from feature_flag_changes").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_wish_of_the_caller_wins_and_a_repeat_after_a_flip_is_the_same_request() {
    let app = app().await;
    let first = Answer::of(app.open().key("on").customer("cus_1").send().await).await;
    assert_eq!(first.resource()["flow"], "async");
    set(&app, json!({"enabled": false, "reason": "off"})).await;
    let again = Answer::of(app.open().key("on").customer("cus_1").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..first });
    let wish = |flow: &'static str| app.open().key(flow).body(move |it| it["flow"] = json!(flow));
    let asynchronous = Answer::of(wish("async").plan(Plan::default()).send().await).await;
    assert_eq!(asynchronous.resource()["flow"], "async");
    let off = Answer::of(app.open().key("off").customer("cus_2").plan(Plan::default()).send().await).await;
    assert_eq!(off.resource()["flow"], "sync");
    set(&app, json!({"enabled": true, "reason": "on"})).await;
    let again = Answer::of(app.open().key("off").customer("cus_2").send().await).await;
    assert_eq!(again, Answer { replayed: true, ..off });
    let synchronous = Answer::of(wish("sync").plan(Plan::default()).send().await).await;
    assert_eq!(synchronous.resource()["flow"], "sync");
    app.finish().await;
}

#[tokio::test]
async fn a_flip_touches_no_opening_under_way() {
    let app = app().await;
    let (waiting, reference) = app.open().customer("cus_1").waiting().await;
    let started = app.open().customer("cus_2").plan(Plan::default()).start().await;
    set(&app, json!({"enabled": false, "reason": "off"})).await;
    let legacy = app.open().customer("cus_3").plan(Plan::default()).start().await;
    set(&app, json!({"enabled": true, "reason": "on"})).await;
    app.settle().await;
    app.world.decide(&reference, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    for (id, flow, submits, opens) in [(&waiting, "async", 1, 0), (&started, "async", 1, 0), (&legacy, "sync", 0, 1)] {
        let opening = app.opening(id).await;
        assert_eq!((&opening["state"], &opening["flow"]), (&json!("completed"), &json!(flow)), "{opening}");
        assert_eq!((app.world.opening(id).unwrap().calls(Endpoint::Submit), calls(&app, id).0), (submits, opens));
    }
    app.finish().await;
}

/// Within 2 s on every replica: one that has read the rules a moment ago reads them again when they are a second old.
#[tokio::test]
async fn another_replica_sees_a_flip_within_a_second() {
    let mut app = app().await;
    let settings = (*app.state.settings).clone();
    let parts = Parts::new(settings, app.state.cell.pool.clone(), HistoryKey::new(&KEY), app.clock.clone()).unwrap();
    let limits = Limits::inside(&parts.state.settings);
    let (here, other) = (app.internal.clone(), listen_as(internal::router(parts.state), limits).await);
    app.internal.clone_from(&other);
    assert_eq!(flow(&app, "NL", "company").await, "async");
    app.internal.clone_from(&here);
    set(&app, json!({"enabled": false, "reason": "off"})).await;
    assert_eq!(flow(&app, "NL", "company").await, "sync", "at once where it was set");
    app.internal.clone_from(&other);
    assert_eq!(flow(&app, "NL", "company").await, "async", "or this test shows nothing");
    app.pass(TimeDelta::seconds(1));
    assert_eq!(flow(&app, "NL", "company").await, "sync");
    app.internal = here;
    app.finish().await;
}
