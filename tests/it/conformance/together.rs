//! Two banks at once, one of them away: the other's openings are not delayed.

use world::{Api, Bank, Endpoint, Fault, Plan};

use crate::support::TestApp;

/// P16: counted, not timed: each round lets every worker tick once.
#[tokio::test]
async fn a_bank_whose_breaker_is_open_delays_no_opening_of_another_in_the_same_market() {
    let routes = "DE:company=solaris,DE:individual=airwallex";
    let builder = TestApp::with().bank(Bank::Solaris, routes).bank(Bank::Airwallex, routes).settings(|it| {
        it.provider_timeout = "300ms".to_owned();
        it.breaker_failures = "1".to_owned();
        it.airwallex.limits.concurrency = Some("64".to_owned());
    });
    let app = builder.start().await;
    let away = Plan { submit: vec![Fault::ErrorBefore { status: 503 }; 50], ..Plan::by_hand() };
    for _ in 0..20 {
        app.open().market("DE").plan(away.clone()).start().await;
    }
    app.settle().await;
    let mut others = Vec::new();
    for _ in 0..16 {
        let other = app.open().market("DE").body(|it| it["customer_type"] = "individual".into());
        others.push(other.plan(Plan::by_hand()).start().await);
    }
    // Profile, its fact, and the submission: three rounds, however many of the other bank wait in the same market.
    for _ in 0..3 {
        app.round().await;
    }
    let submitted = others.iter().filter(|id| app.world.opening(id).is_some_and(|it| it.calls(Endpoint::Submit) == 1));
    assert_eq!(submitted.count(), others.len());
    discard_the_rest(&app).await;
    app.finish().await;
}

/// Openings of a bank that never answers would be due again and again.
async fn discard_the_rest(app: &TestApp) {
    app.pass_settling(chrono::TimeDelta::hours(30), chrono::TimeDelta::minutes(30)).await;
}

/// P16: a token endpoint that is away opens a breaker of its own, and costs the other bank nothing.
#[tokio::test]
async fn a_token_endpoint_that_is_away_delays_only_its_own_bank() {
    for away in [Fault::HangBefore, Fault::ErrorBefore { status: 503 }] {
        delays_only_its_own_bank(away).await;
    }
}

async fn delays_only_its_own_bank(away: Fault) {
    let routes = "DE=solaris,BE=nexusbank";
    let builder = TestApp::with().bank(Bank::Solaris, routes).settings(|it| it.provider_timeout = "300ms".to_owned());
    let app = builder.start().await;
    app.world.outage(Api::Tokens, Some(away));
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(app.open().market("DE").plan(Plan::by_hand()).start().await);
    }
    let (other, _) = app.open().market("BE").waiting().await;
    assert_eq!(app.opening(&other).await["state"], "awaiting_provider");
    for id in &waiting {
        let opening = app.opening(id).await;
        assert_eq!(
            (&opening["state"], &opening["outcome_unknown_since"]),
            (&"requesting_account".into(), &serde_json::Value::Null)
        );
        assert_eq!(app.world.opening(id).unwrap().calls(Endpoint::Submit), 0);
    }
    app.world.outage(Api::Tokens, None);
    app.pass_settling(chrono::TimeDelta::minutes(2), chrono::TimeDelta::seconds(15)).await;
    for id in &waiting {
        assert_eq!(app.opening(id).await["state"], "awaiting_provider");
        assert_eq!(app.world.opening(id).unwrap().calls(Endpoint::Submit), 1);
    }
    assert_eq!(app.world.tokens_given(), 1);
    app.finish().await;
}
