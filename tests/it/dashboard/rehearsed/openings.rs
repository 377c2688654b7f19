//! Acts on an opening.

use serde_json::{Value, json};
use world::{Endpoint, Fault, Plan};

use super::{Announced, OPERATOR, Visitor, act};
use crate::support::TestApp;

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
pub async fn stuck(app: &TestApp, state: &str) -> String {
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

pub fn iban(number: usize) -> String {
    account_opening::domain::bank::made_up_iban("BE", 1_000 + number as u128).as_str().to_owned()
}

/// Holds the announcement of an end against what became of the opening.
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
