//! Several banks at once: routes choose for new openings, and move none that runs.

use chrono::TimeDelta;
use serde_json::json;
use world::{Bank, Plan, Verdict, Webhooks};

use super::cases::decide;
use crate::support::{TestApp, problem};

const ROUTES: &str = "DE=solaris,NL:company=adyen,*:freelancer=airwallex,BE=nexusbank";

async fn all() -> TestApp {
    let builder = TestApp::with().bank(Bank::Solaris, ROUTES).bank(Bank::Airwallex, ROUTES);
    builder.bank(Bank::Adyen, ROUTES).start().await
}

#[tokio::test]
async fn each_opening_goes_to_the_bank_that_its_route_names() {
    let app = all().await;
    for (market, customer_type, provider) in [
        ("DE", "individual", "solaris"),
        ("DE", "freelancer", "solaris"),
        ("NL", "company", "adyen"),
        ("GB", "freelancer", "airwallex"),
        ("BE", "company", "nexusbank"),
    ] {
        let (id, _) = app.open().market(market).body(|it| it["customer_type"] = customer_type.into()).waiting().await;
        assert_eq!(app.opening(&id).await["provider"], provider, "{market} {customer_type}");
        decide(&app, &id, &Verdict::complete()).await;
        assert_eq!(app.opening(&id).await["state"], "completed", "{market} {customer_type}");
    }
    let unrouted = app.open().market("NL").body(|it| it["customer_type"] = "individual".into());
    assert_eq!(problem(unrouted.send().await, 422, "validation-failed").await, ["/market"]);
    app.finish().await;
}

/// The service repeats the first answer to a key, also after the routes have changed.
#[tokio::test]
async fn a_changed_route_moves_no_opening_and_refuses_no_repeat() {
    let mut app = all().await;
    let plan = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (id, _) = app.open().market("DE").customer("cus_route").key("route").plan(plan).waiting().await;
    let mut settings = (*app.state.settings).clone();
    let elsewhere = &["nexusbank", "solaris"];
    settings.routes = account_opening::provider::Routes::parse("BE=nexusbank", elsewhere).unwrap();
    app.state.acts.settings = std::sync::Arc::new(settings);
    app.internal = crate::support::listen(account_opening::http::internal::router(app.state.clone())).await;
    let again = app.open().market("DE").customer("cus_route").key("route").send().await;
    assert_eq!((again.status().as_u16(), again.headers()["idempotent-replayed"].to_str().unwrap()), (202, "true"));
    assert_eq!(problem(app.open().market("DE").send().await, 422, "validation-failed").await, ["/market"]);
    // No route leads to the bank any more; it is polled all the same.
    app.world.decide(&id, &Verdict::complete()).unwrap();
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["provider"]), (&"completed".into(), &"solaris".into()));
    app.finish().await;
}

#[tokio::test]
async fn the_path_of_a_bank_without_an_adapter_is_unknown_and_that_of_one_without_a_route_is_not() {
    let app = TestApp::with().bank(Bank::Adyen, "*=nexusbank").start().await;
    let post = |name: &'static str| app.client.post(format!("{}/webhooks/{name}", app.public)).json(&json!({})).send();
    assert_eq!(post("solaris").await.unwrap().status(), 404);
    assert_eq!(post("adyen").await.unwrap().status(), 401);
    app.finish().await;
}

/// The flag says synchronous: where the bank has no blocking call, the opening is asynchronous.
#[tokio::test]
async fn the_flag_makes_no_opening_synchronous_at_a_bank_without_a_blocking_call() {
    let app = all().await;
    let flag = json!({"market": null, "customer_type": null, "enabled": false, "reason": "a test"});
    let flagged = app.request(reqwest::Method::PUT, "/v1/feature-flags/async-account-opening").json(&flag).send().await;
    assert_eq!(flagged.unwrap().status(), 200);
    let (id, _) = app.open().market("DE").waiting().await;
    assert_eq!(app.opening(&id).await["flow"], "async");
    decide(&app, &id, &Verdict::complete()).await;
    app.finish().await;
}

#[tokio::test]
async fn each_bank_has_its_own_deadline_and_schedule() {
    let builder = TestApp::with().bank(Bank::Solaris, "DE=solaris,BE=nexusbank").settings(|it| {
        it.solaris.limits.escalate_after = Some("2h".to_owned());
        it.solaris.limits.poll_schedule = Some("5m,1h".to_owned());
    });
    let app = builder.start().await;
    let (slow, _) = app.open().market("DE").waiting().await;
    let (usual, _) = app.open().market("BE").waiting().await;
    let at = |minutes| json!(app.now() + TimeDelta::minutes(minutes));
    let opening = app.opening(&slow).await;
    assert_eq!((&opening["next_poll_at"], &opening["deadline_at"]), (&at(5), &at(120)));
    let opening = app.opening(&usual).await;
    assert_eq!((&opening["next_poll_at"], &opening["deadline_at"]), (&at(30), &at(720)));
    app.pass_settling(TimeDelta::minutes(121), TimeDelta::minutes(5)).await;
    assert_eq!(app.opening(&slow).await["state"], "escalated");
    assert_eq!(app.opening(&usual).await["state"], "awaiting_provider");
    app.finish().await;
}

/// Each bank that lists, by its own list; the others have none to pull.
#[tokio::test]
async fn the_list_of_another_bank_is_pulled_as_a_register() {
    let routes = "GB=airwallex,DE=solaris,NL=adyen,BE=nexusbank";
    let builder = TestApp::with().bank(Bank::Solaris, routes).bank(Bank::Airwallex, routes).bank(Bank::Adyen, routes);
    let app = builder.settings(|it| it.reconciliation.report_schedule = "airwallex=6h,nexusbank=6h".to_owned());
    let app = app.settings(|it| it.poll_schedule = "11h".to_owned()).start().await;
    app.settle().await;
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let mut ids = Vec::new();
    for (market, verdict) in
        [("GB", Verdict::complete()), ("GB", Verdict::reject("documents_expired")), ("BE", Verdict::complete())]
    {
        let (id, _) = app.open().market(market).plan(silent.clone()).waiting().await;
        app.world.decide(&id, &verdict).unwrap();
        ids.push(id);
    }
    let (waiting, _) = app.open().market("GB").plan(silent).waiting().await;
    app.pass_settling(TimeDelta::hours(7), TimeDelta::hours(7)).await;
    for (id, state) in ids.iter().zip(["completed", "rejected", "completed"]) {
        assert_eq!(app.opening(id).await["state"], state);
        assert!(app.history(id).await.iter().any(|it| it.ends_with(", report)")), "{:?}", app.history(id).await);
    }
    assert_eq!(app.opening(&waiting).await["state"], "awaiting_provider");
    let reports = app.items("/v1/reports").await;
    let of = |provider: &str| reports.iter().filter(|it| it["provider"] == provider).count();
    assert_eq!((of("airwallex"), of("nexusbank"), reports.len()), (2, 2, 4), "{reports:?}");
    for bank in ["solaris", "adyen"] {
        let period = json!({"provider": bank, "from": "2025-12-31T00:00:00Z", "until": "2026-01-01T00:00:00Z",
                            "reason": "no files"});
        let (status, refused) = app.post("/v1/reports/pull", &period).await;
        assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/provider")), "{refused}");
        assert_eq!(refused["errors"][0]["detail"], "must be a provider with a list: airwallex, nexusbank");
    }
    app.finish().await;
}

/// P13: the backfill reads a bank's list again and stores each item as a fact; at a bank without a list it has nothing to read.
#[tokio::test]
async fn the_list_of_another_bank_is_backfilled() {
    let routes = "GB=airwallex,DE=solaris,BE=nexusbank";
    let app = TestApp::with().bank(Bank::Solaris, routes).bank(Bank::Airwallex, routes).start().await;
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (id, _) = app.open().market("GB").plan(silent).waiting().await;
    app.world.decide(&id, &Verdict::complete()).unwrap();
    let wanted = json!({"reason": "its webhooks were lost", "since": "2025-12-31T23:00:00Z"});
    assert_eq!(app.post("/v1/providers/solaris/backfill", &wanted).await.0, 409);
    assert_eq!(app.post("/v1/providers/airwallex/backfill", &wanted).await.0, 202);
    app.settle().await;
    let history = app.history(&id).await;
    assert!(history.iter().any(|it| it.ends_with(", list)")), "{history:?}");
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert_eq!(app.world.opening(&id).unwrap().calls(world::Endpoint::Lookup), 0);
    app.finish().await;
}
