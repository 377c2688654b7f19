//! Every act in every state: what its page announces is what then happens, and a page writes nothing. (P34)
//!
//! A row of a table is a state; each act is rehearsed and done on a thing of its own in that state.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use world::{Endpoint, Fault, Plan};

use super::{OPERATOR, Visitor, rehearsal};
use crate::reconciliation::{Register, reconcile, upload};
use crate::support::TestApp;

/// What a page announces.
#[derive(Debug)]
struct Announced {
    /// Why it cannot be done.
    refused: Option<String>,
    lines: Vec<String>,
}

impl Announced {
    /// What the page of an act announces for a choice; empty: it has none.
    fn on(page: &str, choice: &str) -> Self {
        let all = rehearsal(page);
        let part = match choice {
            "" => all,
            _ => all.split(&format!("<h3>{choice}</h3>")).nth(1).unwrap_or_else(|| panic!("no {choice}: {all}")),
        };
        let part = part.split("<h3>").next().unwrap();
        let refused = part.split("Not possible: ").nth(1).map(|it| it.split("</p>").next().unwrap().to_owned());
        let lines = part.split("<li><bdi>").skip(1).map(|it| it.split("</bdi>").next().unwrap().to_owned());
        let announced = Self { refused, lines: lines.collect() };
        assert_ne!(
            announced.refused.is_some(),
            !announced.lines.is_empty(),
            "it can be done, or it says why not: {part}"
        );
        announced
    }

    fn says(&self, what: &str) -> bool {
        self.lines.iter().any(|it| it.contains(what))
    }

    /// What stands behind these words in the last line that begins with them.
    fn last(&self, words: &str) -> Option<&str> {
        self.lines.iter().rev().find_map(|it| it.strip_prefix(words))
    }
}

/// Rehearses an act and does it. Nothing is written before; and nothing at all, if the page said that it cannot be done.
async fn act(app: &TestApp, visitor: &Visitor, path: &str, name: &str, fields: &[(&str, &str)]) -> Announced {
    let what = format!("{name} at {path}");
    let before = app.rows().await;
    let page = visitor.page(path).await;
    let choice = fields.iter().find(|(name, _)| *name == "outcome").map_or("", |(_, value)| *value);
    let announced = Announced::on(&page, choice);
    assert_eq!(app.rows().await, before, "{what}: a rehearsal writes nothing");
    let answer = visitor.act(&page, name, &[fields, &[("reason", "for the test")]].concat()).await;
    let expected = if announced.refused.is_some() { 409 } else { 303 };
    assert_eq!(answer.status(), expected, "{what}: {announced:?}: {}", answer.text().await.unwrap());
    if announced.refused.is_some() {
        assert_eq!(app.rows().await, before, "{what}: what is refused leaves nothing");
    }
    announced
}

/// An opening in each state that it can come to rest in.
const STATES: [&str; 9] = [
    "awaiting_provider",
    "completed",
    "rejected",
    "failed",
    "erased",
    "escalated",
    "issuing_card",
    "creating_profile",
    "requesting_account",
];

/// Calls that are refused for good leave an opening where it is; refused submissions end it, so that those fail for a while.
async fn stuck(app: &TestApp, state: &str) -> String {
    let given_up = || vec![Fault::ErrorBefore { status: 422 }];
    let plan = match state {
        "creating_profile" => Plan { profile: given_up(), ..Plan::by_hand() },
        "requesting_account" => Plan { submit: vec![Fault::ErrorBefore { status: 503 }], ..Plan::by_hand() },
        _ => Plan { card: given_up(), ..Plan::by_hand() },
    };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    id
}

async fn opening_in(app: &TestApp, state: &str, number: usize) -> String {
    let (id, reference) = match state {
        "creating_profile" | "requesting_account" => (stuck(app, state).await, String::new()),
        "issuing_card" => {
            let id = stuck(app, state).await;
            let reference = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
            (id, reference)
        }
        _ => app.open().waiting().await,
    };
    match state {
        "completed" | "issuing_card" => app.webhook().completed(&reference, &iban(number)).acknowledged().await,
        "rejected" => app.webhook().status(&reference, "REJECTED").acknowledged().await,
        "failed" | "erased" => {
            let body = json!({"outcome": "failed", "reason": "given up", "evidence": "a call"});
            assert_eq!(app.post(&format!("/v1/account-openings/{id}/resolve"), &body).await.0, 202);
        }
        _ => {}
    }
    app.settle().await;
    if state == "erased" {
        let erase = format!("/v1/account-openings/{id}/erase");
        assert_eq!(app.post(&erase, &json!({"reason": "asked for"})).await.0, 202);
    }
    if state == "escalated" {
        app.pass_settling(chrono::TimeDelta::hours(12), chrono::TimeDelta::hours(1)).await;
    }
    let is = app.opening(&id).await["state"].as_str().unwrap().to_owned();
    assert_eq!(is, if state == "erased" { "failed" } else { state });
    id
}

fn iban(number: usize) -> String {
    account_opening::domain::bank::made_up_iban("BE", 1_000 + number as u128).as_str().to_owned()
}

/// What an end was announced to do, against what became of the opening.
async fn has_ended(app: &TestApp, id: &str, before: &Value, announced: &Announced) {
    let after = app.opening(id).await;
    if announced.refused.is_some() || announced.says("changes nothing") {
        assert_eq!(after["state"], before["state"], "{announced:?}");
        return;
    }
    if let Some(steps) = announced.last("moves the opening from ") {
        let to = steps.split(" to ").nth(1).unwrap().replace(' ', "_");
        assert_eq!(after["state"], to.as_str(), "{announced:?}");
        for event in announced.lines.iter().filter_map(|it| it.strip_prefix("tells subscribers: ")) {
            let is_told = "select exists (select from events where opening_id = $1::uuid and type = $2)";
            let is_told = sqlx::query_scalar(is_told).bind(id).bind(event).fetch_one(&app.pool).await;
            assert!(is_told.unwrap_or(false), "{event}: {announced:?}");
        }
        assert_eq!(app.items(&format!("/v1/cases?opening_id={id}")).await.len(), 0);
        return;
    }
    assert!(announced.says("saves the account") && after["iban"].is_string(), "{announced:?}: {after}");
    assert!(["issuing_card", "completed"].contains(&after["state"].as_str().unwrap()), "{after}");
}

#[tokio::test]
async fn every_end_of_an_opening_in_every_state_is_what_was_announced() {
    let app = TestApp::start().await;
    for (number, state) in STATES.iter().enumerate() {
        for (at, outcome) in ["failed", "rejected", "completed"].into_iter().enumerate() {
            let id = opening_in(&app, state, 10 * number + at).await;
            let visitor = Visitor::signed_in(&app, OPERATOR).await;
            let before = app.opening(&id).await;
            let account = iban(500 + 10 * number + at);
            let tracking_id = app.world.opening(&id).and_then(|it| it.tracking_id().map(str::to_owned));
            let mut fields = vec![("outcome", outcome), ("evidence", "a letter")];
            if outcome == "completed" {
                let last = &account[account.len() - 4..];
                fields.extend([("iban", account.as_str()), ("bic", "NEXUBEBB"), ("confirm", last)]);
                if *state == "requesting_account" {
                    fields.push(("provider_reference", tracking_id.as_deref().unwrap_or("aor_seen_at_the_bank")));
                }
            }
            let announced = act(&app, &visitor, &format!("/openings/{id}/resolve"), "resolve", &fields).await;
            app.settle().await;
            has_ended(&app, &id, &before, &announced).await;
        }
    }
    app.pass_settling(chrono::TimeDelta::hours(2), chrono::TimeDelta::minutes(30)).await;
    app.finish().await;
}

#[tokio::test]
async fn a_question_a_reveal_and_an_erasure_in_every_state_are_what_was_announced() {
    let app = TestApp::start().await;
    for (number, state) in STATES.iter().enumerate() {
        let id = opening_in(&app, state, number).await;
        let visitor = Visitor::signed_in(&app, OPERATOR).await;
        asked(&app, &visitor, &id, state).await;
        let path = format!("/openings/{id}");
        let reveal = act(&app, &visitor, &format!("{path}/reveal"), "reveal_personal_data", &[]).await;
        assert_eq!(reveal.refused.is_some(), *state == "erased", "{state}: {reveal:?}");
        let erase = act(&app, &visitor, &format!("{path}/erase"), "erase", &[("confirm", "erase")]).await;
        let is_over = ["completed", "rejected", "failed", "erased"].contains(state);
        assert_eq!(erase.refused.is_none(), is_over, "{state}: {erase:?}");
        assert_eq!(app.opening(&id).await["erased_at"].is_string(), is_over, "{state}");
        assert_eq!(erase.says("was done before"), *state == "erased", "{erase:?}");
    }
    app.pass_settling(chrono::TimeDelta::hours(14), chrono::TimeDelta::hours(1)).await;
    app.finish().await;
}

/// Asks the bank: the button is there where the bank is asked.
async fn asked(app: &TestApp, visitor: &Visitor, id: &str, state: &str) {
    let (path, before) = (format!("/openings/{id}"), app.rows().await);
    let page = visitor.page(&path).await;
    assert_eq!(app.rows().await, before, "a page writes nothing");
    let (tag, rest) = page.split_once(r#"data-act="poll""#).unwrap();
    let tag = [tag.rsplit('<').next().unwrap(), rest.split('>').next().unwrap()].concat();
    let is_offered = !tag.contains("disabled");
    let calls = || app.world.opening(id).map_or(0, |it| it.calls(Endpoint::Lookup));
    let asked_before = calls();
    let (form, version) = (app.state.shell.ids.next().to_string(), app.opening(id).await["version"].to_string());
    let answer = visitor.post(&format!("{path}/poll"), &[("form", &form), ("expected_version", &version)]).await;
    assert_eq!(answer.status(), if is_offered { 303 } else { 409 }, "{state}");
    if !is_offered {
        assert_eq!(app.rows().await, before, "{state}: what is refused leaves nothing");
    }
    app.settle().await;
    assert_eq!(calls() - asked_before, u64::from(is_offered), "{state}");
    assert_eq!(is_offered, ["awaiting_provider", "escalated"].contains(&state));
}

/// The last act in a letter's attempts, and how many entries they have.
async fn attempts(app: &TestApp, id: &str) -> (String, usize) {
    let log = app.get(&format!("/v1/dead-letters/{id}")).await["attempts"].clone();
    let log = log.as_array().cloned().unwrap_or_default();
    let acts = log.iter().rev().filter_map(|it| it["class"].as_str()).find(|it| ["redrive", "discard"].contains(it));
    (acts.unwrap_or_default().to_owned(), log.len())
}

/// A dead letter of each kind.
async fn letter_in(app: &TestApp, state: &str, number: usize) -> String {
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
    let other = Visitor::signed_in(&app, crate::support::TOKEN).await;
    assert!(act(&app, &other, &path, "resolve_case", &[]).await.refused.is_some());
    app.finish().await;
}

/// A report in each state that it stays in until an act or the worker comes.
async fn report_in(app: &TestApp, state: &str, number: usize) -> String {
    let day = format!("2025-{:02}-{:02}", 1 + number / 28, 1 + number % 28);
    let row = |n: usize| format!("aor_{number}_{n},,IN_PROGRESS,,,,BE,EUR,{day}T08:00:00Z,");
    // More differences than a file may have.
    let rows = if ["held", "discarded", "released"].contains(&state) { 21 } else { 1 };
    let register = (0..rows).fold(Register::of_day(&day), |register, n| register.row(&row(n)));
    let query = "provider=nexusbank&kind=register";
    let id = match state {
        "received" => return upload(app, query, register.text()).await.id(),
        "dry_run" => upload(app, &format!("{query}&dry_run=true"), register.text()).await.id(),
        _ => reconcile(app, &register).await["id"].as_str().unwrap().to_owned(),
    };
    app.settle().await;
    if ["discarded", "released"].contains(&state) {
        let verb = if state == "discarded" { "discard" } else { "release" };
        assert_eq!(app.post(&format!("/v1/reports/{id}/{verb}"), &json!({"reason": "before"})).await.0, 202);
        app.settle().await;
    }
    id
}

#[tokio::test]
async fn every_act_on_a_report_in_every_state_is_what_was_announced() {
    let app = TestApp::start().await;
    let mut cells = Vec::new();
    for (number, state) in ["received", "held", "finished", "dry_run", "discarded", "released"].into_iter().enumerate()
    {
        for (at, (verb, end)) in [("release", "finished"), ("discard", "discarded")].into_iter().enumerate() {
            let id = report_in(&app, state, 2 * number + at).await;
            let visitor = Visitor::signed_in(&app, OPERATOR).await;
            let report = async || app.get(&format!("/v1/reports/{id}")).await;
            let before = report().await["state"].clone();
            let announced = act(&app, &visitor, &format!("/reports/{id}/{verb}"), &format!("{verb}_report"), &[]).await;
            let is_done = announced.refused.is_none() && !announced.says("was done before");
            app.settle().await;
            let after = report().await["state"].clone();
            let expected = if is_done { json!(end) } else { before.clone() };
            // The worker has read meanwhile what was only received.
            if is_done || state != "received" {
                assert_eq!(after, expected, "{state} {verb}: {announced:?}");
            }
            cells.push((state, verb, announced.refused.is_none(), is_done));
        }
    }
    let done: Vec<_> = cells.iter().filter(|it| it.3).map(|it| (it.0, it.1)).collect();
    assert_eq!(
        done,
        [("received", "discard"), ("held", "release"), ("held", "discard"), ("dry_run", "discard")],
        "{cells:?}"
    );
    app.finish().await;
}
