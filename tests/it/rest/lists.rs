//! Lists: filters, pages, and what their queries refuse.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::Value;

use crate::support::{TestApp, keys, problem};

const OPENINGS: &str = "/v1/account-openings";

type Query<'a> = &'a [(&'a str, &'a str)];

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|it| it["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn openings_are_found_by_each_filter_and_all_of_them() {
    let app = TestApp::start().await;
    let (rejected, tracking_id) = app.open().market("NL").customer("cus_1").waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    let (completed, tracking_id) = app.open().market("BE").customer("cus_1").waiting().await;
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    let (escalated, _) = app.open().market("NL").customer("cus 2&x=%").waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::hours(1)).await;
    let started = app.open().market("NL").customer("cus_1").start().await;
    let all = [&started, &escalated, &completed, &rejected];
    let table: [(Query<'_>, &[&String]); 13] = [
        (&[], &all),
        (&[("status", "in_progress")], &[&started, &escalated]),
        (&[("status", "succeeded")], &[&completed]),
        (&[("status", "rejected")], &[&rejected]),
        (&[("status", "failed")], &[]),
        (&[("state", "escalated")], &[&escalated]),
        (&[("state", "escalated"), ("status", "rejected")], &[]),
        (&[("market", "NL")], &[&started, &escalated, &rejected]),
        (&[("market", "DE")], &[]),
        (&[("customer_reference", "cus_1")], &[&started, &completed, &rejected]),
        (&[("customer_reference", "cus 2&x=%")], &[&escalated]),
        (&[("customer_reference", "cus_")], &[]),
        (&[("customer_reference", "cus_1"), ("market", "NL"), ("status", "in_progress")], &[&started]),
    ];
    for (query, expected) in table {
        let response = app.request(Method::GET, OPENINGS).query(query).send().await.unwrap();
        let page: Value = response.json().await.unwrap();
        assert_eq!(
            ids(page["items"].as_array().unwrap()),
            expected.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            "{query:?}"
        );
        assert_eq!(page["next_cursor"], Value::Null);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_page_has_fifty_items_unless_another_number_is_asked_for() {
    let app = TestApp::start().await;
    for _ in 0..205 {
        app.open().start().await;
    }
    for (query, items) in [("", 50), ("?limit=1", 1), ("?limit=200", 200), ("?limit=199", 199)] {
        let page = app.get(&format!("{OPENINGS}{query}")).await;
        assert_eq!(keys(&page), BTreeSet::from(["items", "next_cursor"]));
        assert_eq!(page["items"].as_array().unwrap().len(), items);
        assert!(page["next_cursor"].is_string());
    }
    app.finish().await;
}

#[tokio::test]
async fn a_reader_goes_through_all_pages_while_openings_are_started_and_moved() {
    let app = TestApp::start().await;
    let mut there = Vec::new();
    for _ in 0..23 {
        there.push(app.open().start().await);
    }
    there.reverse();
    let (mut seen, mut cursor): (Vec<String>, _) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{OPENINGS}?limit=5{cursor}")).await;
        seen.extend(ids(page["items"].as_array().unwrap()).into_iter().map(ToOwned::to_owned));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        app.open().start().await;
        app.round().await;
    }
    assert_eq!(seen, there, "each once, newest first, and none that came later");
    assert_eq!(app.items(OPENINGS).await.len(), 27);
    app.finish().await;
}

#[tokio::test]
async fn a_query_without_meaning_is_refused_by_every_list() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let (history, timeline) = (format!("{OPENINGS}/{id}/history"), format!("{OPENINGS}/{id}/timeline"));
    let lists =
        [OPENINGS, &history, &timeline, "/v1/dead-letters", "/v1/cases", "/v1/tickets", "/v1/events", "/v1/fee-ledger"];
    for list in lists {
        let get = async |query: &str| app.request(Method::GET, &format!("{list}?{query}")).send().await.unwrap();
        for limit in ["0", "201", "-1", "x", "", "1.5", "99999999999999999999", "%00"] {
            let pointers = problem(get(&format!("limit={limit}")).await, 422, "validation-failed").await;
            assert_eq!(pointers, ["/limit"], "{list} {limit}");
        }
        for cursor in ["x", "", "%00", "bnVsbA", "%F0%9F%A6%80", "MQ%3D%3D", "e30", &"A".repeat(4_000)] {
            let pointers = problem(get(&format!("cursor={cursor}")).await, 422, "validation-failed").await;
            assert_eq!(pointers, ["/cursor"], "{list} {cursor}");
        }
        assert_eq!(problem(get("offset=1").await, 400, "unknown-field").await, ["/offset"], "{list}");
        problem(get("limit=1&limit=1").await, 422, "validation-failed").await;
    }
    for (query, pointer) in [
        ("status=done", "/status"),
        ("status=", "/status"),
        ("state=waiting", "/state"),
        ("market=be", "/market"),
        ("market=XX", "/market"),
        ("customer_reference=", "/customer_reference"),
        ("customer_reference=%00", "/customer_reference"),
    ] {
        let response = app.request(Method::GET, &format!("{OPENINGS}?{query}")).send().await.unwrap();
        assert_eq!(problem(response, 422, "validation-failed").await, [pointer], "{query}");
    }
    for query in [
        "/v1/dead-letters?queue=timers",
        "/v1/cases?status=x",
        "/v1/tickets?opening_id=1",
        "/v1/fee-ledger?account=bank",
    ] {
        problem(app.request(Method::GET, query).send().await.unwrap(), 422, "validation-failed").await;
    }
    app.finish().await;
}

/// A cursor is not signed: one that was made up is a place in the list, or refused.
#[tokio::test]
async fn a_made_up_cursor_is_no_mistake_of_ours() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let (history, timeline) = (format!("{OPENINGS}/{id}/history"), format!("{OPENINGS}/{id}/timeline"));
    let (nil, max) = (uuid::Uuid::nil(), uuid::Uuid::max());
    let table = [
        (history.as_str(), "999999999999999999", 200),
        (history.as_str(), "9223372036854775807", 422),
        (history.as_str(), "-1", 422),
        (history.as_str(), "1e3", 422),
        (timeline.as_str(), "999999999999999999~9~x", 200),
        (timeline.as_str(), "0~0~", 200),
        (timeline.as_str(), "-1~0~x", 422),
        (timeline.as_str(), "0~0~'; drop table inbox", 422),
        ("/v1/events", "999999999999999999", 200),
        ("/v1/events", "-1", 422),
        (OPENINGS, &max.to_string(), 200),
        (OPENINGS, &nil.to_string(), 200),
        (OPENINGS, &nil.simple().to_string(), 422),
        ("/v1/webhook-secrets", "~", 200),
        ("/v1/webhook-secrets", "~~", 422),
    ];
    for (list, cursor, status) in table {
        let request = app.request(Method::GET, list).query(&[("cursor", cursor)]);
        assert_eq!(request.send().await.unwrap().status(), status, "{list} {cursor}");
    }
    app.finish().await;
}
