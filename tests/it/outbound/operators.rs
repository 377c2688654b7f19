//! An operator's hand on a breaker.

use account_opening::app::Parts;
use account_opening::domain::chain::HistoryKey;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use world::{Api, Fault};

use super::{OPEN_FOR, bank_calls, calls, force, nothing_is_used_up, shown};
use crate::support::{KEY, TOKEN, TestApp, problem};
use world::Endpoint;

/// Another replica on the same database: it knows what that holds, and nothing else.
fn replica(app: &TestApp) -> Parts {
    let key = HistoryKey::new(&KEY);
    Parts::new((*app.state.settings).clone(), app.state.cell.pool.clone(), key, app.clock.clone()).unwrap()
}

#[tokio::test]
async fn every_breaker_is_listed_as_it_is() {
    let app = TestApp::start().await;
    let items = app.items("/v1/breakers").await;
    let names: Vec<_> =
        items.iter().map(|it| (it["provider"].as_str().unwrap(), it["operation"].as_str().unwrap())).collect();
    for name in [("cards", "issue"), ("nexusbank", "lookup"), ("nexusbank", "submit"), ("profiles", "create")] {
        assert!(names.contains(&name), "{name:?}");
    }
    let expected = json!({"provider": "nexusbank", "operation": "submit", "state": "closed", "forced": null,
                          "under_way": 0, "by": null, "reason": null, "at": null});
    assert_eq!(shown(&app, "nexusbank", "submit").await, expected);
    let metrics = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("account_opening_breaker_state{provider=\"cards\",operation=\"issue\"}"));
    app.finish().await;
}

/// P16: nothing is lost while it is shut, and all of it is done when it is not any more.
#[tokio::test]
async fn a_breaker_that_is_forced_open_lets_nothing_through_until_it_is_released() {
    let app = TestApp::start().await;
    let (status, body) = force(&app, "nexusbank/submit", Some("open")).await;
    let expected = json!({"provider": "nexusbank", "operation": "submit", "state": "open", "forced": "open",
                          "under_way": 0, "by": "operator", "reason": "a rehearsal", "at": app.now()});
    assert_eq!((status, &body), (200, &expected));
    assert_eq!(shown(&app, "nexusbank", "submit").await, expected);
    let id = app.open().start().await;
    for _ in 0..5 {
        app.pass(OPEN_FOR);
        app.settle().await;
    }
    assert_eq!((bank_calls(&app), &app.opening(&id).await["state"]), (0, &json!("requesting_account")));
    nothing_is_used_up(&app).await;
    let (status, body) = force(&app, "nexusbank/submit", None).await;
    assert_eq!(
        (status, &body["state"], &body["forced"], &body["by"]),
        (200, &json!("closed"), &json!(null), &json!(null))
    );
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    let acts: Vec<(String, String, String, String, Value)> =
        sqlx::query_as("select who, action, subject, reason, detail from operator_actions order by id")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let act = |forced| {
        let [who, action, subject, reason] =
            ["operator", "force_breaker", "nexusbank/submit", "a rehearsal"].map(str::to_owned);
        (who, action, subject, reason, json!({ "forced": forced }))
    };
    assert_eq!(acts, [act(Some("open")), act(None)]);
    app.finish().await;
}

#[tokio::test]
async fn a_breaker_that_is_forced_closed_lets_everything_through() {
    let app = TestApp::start().await;
    force(&app, "profiles/create", Some("closed")).await;
    app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 503 }));
    for _ in 0..40 {
        app.open().start().await;
    }
    app.settle().await;
    assert!(calls(&app, &[Endpoint::CreateProfile]) >= 40, "each was tried");
    assert_eq!(shown(&app, "profiles", "create").await["state"], "closed");
    app.world.outage(Api::Profiles, None);
    app.pass_settling(OPEN_FOR, OPEN_FOR).await;
    nothing_is_used_up(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn every_replica_follows_and_one_that_starts_knows_before_its_first_call() {
    let app = TestApp::start().await;
    let other = replica(&app);
    let gate = |parts: &Parts| parts.context.outside.gates.gate("nexusbank", "submit");
    force(&app, "nexusbank/submit", Some("open")).await;
    assert_eq!(gate(&other).refused_for(), None);
    assert_eq!(other.context.breaker_overrides().read().await.unwrap(), 1);
    assert_eq!(gate(&other).refused_for(), Some(OPEN_FOR));

    let started = {
        let mut settings = (*app.state.settings).clone();
        settings.public_addr = "127.0.0.1:0".parse().unwrap();
        settings.internal_addr = "127.0.0.1:0".parse().unwrap();
        Parts::new(settings, app.state.cell.pool.clone(), HistoryKey::new(&KEY), app.clock.clone()).unwrap()
    };
    let gate_of_started = gate(&started);
    let running = started.run().await.unwrap();
    assert_eq!(gate_of_started.refused_for(), Some(OPEN_FOR), "as soon as it listens");
    let url = format!("http://{}/v1/breakers", running.internal_addr);
    let listed: Value = app.client.get(url).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
    let row = listed["items"].as_array().unwrap().iter().find(|it| it["operation"] == "submit").unwrap();
    assert_eq!((&row["state"], &row["forced"]), (&json!("open"), &json!("open")));
    running.stop(Instant::now() + Duration::from_secs(10)).await;

    force(&app, "nexusbank/submit", None).await;
    assert_eq!(other.context.breaker_overrides().read().await.unwrap(), 1);
    assert_eq!((gate(&other).refused_for(), gate(&other).forced()), (None, None));
    assert_eq!(other.context.breaker_overrides().read().await.unwrap(), 0);
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_breaker_and_an_override_without_a_reason_are_refused() {
    let app = TestApp::start().await;
    let put =
        |path: &str, body: Value| app.request(reqwest::Method::PUT, &format!("/v1/breakers/{path}")).json(&body).send();
    let wish = json!({"forced": "open", "reason": "x"});
    for unknown in ["nexusbank/teapot", "stranger/submit", "%FF/submit", "nexusbank%2Fsubmit/x"] {
        problem(put(unknown, wish.clone()).await.unwrap(), 404, "not-found").await;
    }
    for wrong in [json!({"forced": "open"}), json!({"reason": "x"}), json!({"forced": "shut", "reason": "x"})] {
        problem(put("nexusbank/submit", wrong).await.unwrap(), 422, "validation-failed").await;
    }
    let unknown = json!({"forced": "open", "reason": "x", "until": "tomorrow"});
    problem(put("nexusbank/submit", unknown).await.unwrap(), 400, "unknown-field").await;
    let written: i64 =
        sqlx::query_scalar("select (select count(*) from breakers) + (select count(*) from operator_actions)")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!((written, &shown(&app, "nexusbank", "submit").await["state"]), (0, &json!("closed")));
    app.finish().await;
}

/// A derived name contains slashes, which a path takes escaped.
#[tokio::test]
async fn the_breaker_of_a_sink_has_the_sinks_name() {
    let url = "http://127.0.0.1:9/events|whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let app = TestApp::with().settings(|it| it.event_subscribers = format!("{url},crm={url}")).start().await;
    for (path, name) in [("127.0.0.1:9%2Fevents", "127.0.0.1:9/events"), ("crm", "crm")] {
        let (status, body) = force(&app, &format!("{path}/deliver"), Some("open")).await;
        assert_eq!((status, &body["provider"], &body["state"]), (200, &json!(name), &json!("open")));
    }
    app.finish().await;
}
