//! The ticket tracker: as strict as Jira, with a lagging search, and counting double tickets.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::*;
use super::World;
use clock::Clock;

const OWN: &str = "account-opening-o1-Late";

fn document(text: &str) -> Value {
    json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]})
}

fn issue(label: &str) -> Value {
    json!({"fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "Late",
                      "description": document("It is late."), "labels": ["account-opening", "Late", label]}})
}

/// Calls the tracker with the given token.
async fn ask(world: &World, path: &str, body: Option<&Value>, token: &str) -> (u16, Value) {
    let url = format!("{}/rest/api/3{path}", world.sim.base_url());
    let request = body.map_or_else(|| world.http.get(&url), |body| world.http.post(&url).json(body));
    let answer = request.basic_auth(TrackerOptions::default().email, Some(token)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn asked(world: &World, path: &str, body: Option<&Value>) -> (u16, Value) {
    ask(world, path, body, &TrackerOptions::default().api_token).await
}

async fn found(world: &World, label: &str) -> Vec<String> {
    let jql = format!("project = \"OPS\" AND labels = \"{label}\" ORDER BY created ASC");
    let (status, answer) = asked(world, "/search/jql", Some(&json!({"jql": jql, "fields": ["created"]}))).await;
    assert_eq!((status, &answer["isLast"]), (200, &json!(true)), "{answer}");
    answer["issues"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_issue_is_found_after_the_lag_and_a_second_one_of_its_label_is_a_double() {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let world = World::with(|options| options.clock = clock.clone()).await;
    for (label, doubles) in [(OWN, 0), ("account-opening-o2-Late", 0), (OWN, 1)] {
        let (status, made) = asked(&world, "/issue", Some(&issue(label))).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!(world.sim.counts().double_effects, doubles);
    }
    assert_eq!(world.sim.counts().issues, 3);
    clock.advance(TrackerOptions::default().lag - TimeDelta::microseconds(1));
    assert!(found(&world, OWN).await.is_empty());
    clock.advance(TimeDelta::microseconds(1));
    assert_eq!(found(&world, OWN).await, ["OPS-1", "OPS-3"]);
    assert_eq!(found(&world, "account-opening").await.len(), 3);
}

#[tokio::test]
async fn the_tracker_refuses_in_jiras_words() {
    let world = World::with(|_| {}).await;
    let with = |field: &str, value: Value| {
        let mut body = issue(OWN);
        body["fields"][field] = value;
        body
    };
    for (field, value) in [
        ("project", json!({})),
        ("issuetype", json!({"name": "Nonsense"})),
        ("summary", json!("two\nlines")),
        ("summary", json!("x".repeat(256))),
        ("description", json!("no document")),
        ("description", document("")),
        ("labels", json!(["two words"])),
    ] {
        let (status, answer) = asked(&world, "/issue", Some(&with(field, value.clone()))).await;
        assert_eq!(status, 400, "{value}");
        assert!(answer["errors"][field].is_string(), "{value}: {answer}");
    }
    assert_eq!(ask(&world, "/issue", Some(&issue(OWN)), "wrong").await.0, 401);
    assert_eq!(asked(&world, "/search", Some(&json!({"jql": "x"}))).await.0, 410, "the old search was removed");
    assert_eq!(asked(&world, "/search/jql", Some(&json!({"jql": ""}))).await.0, 400, "no bound");
    assert_eq!(asked(&world, "/issue/OPS-1", None).await.0, 404);
    assert!(world.sim.issues().is_empty());
}

#[tokio::test]
async fn an_issue_is_commented_on_and_moved_and_faults_strike_before_or_after() {
    let world = World::with(|_| {}).await;
    let (before, after) = (Fault::ErrorBefore { status: 500 }, Fault::ErrorAfter { status: 500 });
    world.sim.fail_next(Endpoint::CreateIssue, [before, after]);
    assert_eq!(asked(&world, "/issue", Some(&issue(OWN))).await.0, 500);
    assert!(world.sim.issues().is_empty());
    assert_eq!(asked(&world, "/issue", Some(&issue(OWN))).await.0, 500);
    assert_eq!(world.sim.issues().len(), 1);

    for text in ["one", "two"] {
        assert_eq!(asked(&world, "/issue/OPS-1/comment", Some(&json!({"body": document(text)}))).await.0, 201);
    }
    assert_eq!(asked(&world, "/issue/OPS-1/comment", Some(&json!({"body": "text"}))).await.0, 400);
    let (_, newest) = asked(&world, "/issue/OPS-1/comment?orderBy=-created&maxResults=1", None).await;
    assert_eq!(newest["comments"], json!([{"body": document("two")}]));

    let (_, ways) = asked(&world, "/issue/OPS-1/transitions", None).await;
    let done =
        ways["transitions"].as_array().unwrap().iter().find(|it| it["to"]["statusCategory"]["key"] == "done").unwrap();
    let way = json!({"transition": {"id": done["id"]}});
    assert_eq!(asked(&world, "/issue/OPS-1/transitions", Some(&way)).await.0, 204);
    let (_, seen) = asked(&world, "/issue/OPS-1", None).await;
    assert_eq!(seen["fields"]["status"]["statusCategory"]["key"], "done");
    let calls = world.sim.tracker_calls(Endpoint::CreateIssue);
    assert_eq!(calls.iter().map(|it| it.fault).collect::<Vec<_>>(), [Some(before), Some(after)]);
}
