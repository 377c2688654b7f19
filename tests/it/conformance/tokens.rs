//! Access tokens: one at a time, renewed early, replaced once when they are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use world::{Api, Bank, Endpoint, Fault, Plan};

use crate::support::{TestApp, listen};

async fn app(bank: Bank) -> TestApp {
    let name = bank.name();
    let builder = TestApp::with().bank(bank, &format!("*={name}"));
    let wide = |it: &mut account_opening::config::RawSettings| it.airwallex.limits.concurrency = Some("100".to_owned());
    let builder = if bank == Bank::Airwallex { builder.settings(wide) } else { builder };
    builder.start().await
}

const BANKS: [(Bank, &str); 2] = [(Bank::Solaris, "DE"), (Bank::Airwallex, "GB")];

/// Each look-up succeeds, in any state of its token.
async fn look_up(app: &TestApp, bank: Bank, ids: &[String]) {
    let provider = app.context.outside.providers.get(bank.name()).unwrap();
    let ids: Vec<_> = ids.iter().map(|id| account_opening::domain::ProviderRef::new(id.as_str()).unwrap()).collect();
    let looks = ids.iter().map(|id| provider.lookup(id));
    for answer in join_all(looks).await {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_also_under_64_calls_at_once() {
    for (bank, market) in BANKS {
        let app = app(bank).await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(app.open().market(market).plan(Plan::by_hand()).waiting().await.1);
        }
        assert_eq!(app.world.tokens_given(), 1, "{market}");
        app.world.revoke_tokens();
        let many: Vec<String> = ids.iter().cycle().take(64).cloned().collect();
        look_up(&app, bank, &many).await;
        assert_eq!(app.world.tokens_given(), 2, "{market}: one new token");
        let looks = app.world.ledger().openings.values().map(|it| it.calls(Endpoint::Lookup)).sum::<u64>();
        assert_eq!(looks, 64, "{market}: and one repeat of each call");
        app.finish().await;
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    for (bank, market) in BANKS {
        let app = app(bank).await;
        let (_, id) = app.open().market(market).plan(Plan::by_hand()).waiting().await;
        let refused = app.world.counts().calls_unauthorized;
        app.pass(TimeDelta::minutes(if bank == Bank::Solaris { 55 } else { 28 }));
        look_up(&app, bank, &[id]).await;
        assert_eq!((app.world.tokens_given(), app.world.counts().calls_unauthorized), (2, refused), "{market}");
        app.finish().await;
    }
}

/// P36: credentials that are refused are our mistake: the opening waits, and no customer is told anything.
#[tokio::test]
async fn refused_credentials_are_a_misconfiguration() {
    let builder = TestApp::with().bank(Bank::Solaris, "*=solaris");
    let app = builder.settings(|it| it.solaris.client_secret = Some("another-secret".to_owned())).start().await;
    let id = app.open().market("DE").start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(
        (&opening["state"], &opening["outcome_unknown_since"]),
        (&"requesting_account".into(), &serde_json::Value::Null)
    );
    let work = app.items("/v1/outbox").await;
    assert_eq!(work[0]["waits_for"], "misconfigured", "{work:?}");
    app.pass_settling(TimeDelta::hours(26), TimeDelta::minutes(30)).await;
    assert_eq!(app.opening(&id).await["state"], "requesting_account");
    app.finish().await;
}

/// P36: the token is refused in the middle, and no other is to be had. Nothing was sent, so the outcome is known; then all goes on.
#[tokio::test]
async fn a_token_that_is_revoked_while_its_endpoint_hangs_delays_the_submission_and_says_nothing() {
    for (bank, market) in BANKS {
        let name = bank.name();
        let builder = TestApp::with().bank(bank, &format!("*={name}"));
        let app = builder.settings(|it| it.provider_timeout = "500ms".to_owned()).start().await;
        app.open().market(market).plan(Plan::by_hand()).waiting().await;
        app.world.revoke_tokens();
        app.world.outage(Api::Tokens, Some(Fault::HangBefore));
        let refused = app.world.counts().calls_unauthorized;
        let id = app.open().market(market).plan(Plan::by_hand()).start().await;
        app.settle().await;
        let opening = app.opening(&id).await;
        assert_eq!(
            (&opening["state"], &opening["outcome_unknown_since"]),
            (&"requesting_account".into(), &Value::Null),
            "{opening}"
        );
        assert_eq!(app.world.counts().calls_unauthorized, refused + 1, "{name}: one call with the revoked token");
        app.world.outage(Api::Tokens, None);
        app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(15)).await;
        assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
        let made = app.world.opening(&id).unwrap();
        assert_eq!((made.calls(Endpoint::Submit), made.requests.len()), (1, 1), "{name}");
        app.finish().await;
    }
}

/// A service at a bank that gives tokens such a life, and the number of tokens that the bank has given.
#[derive(Clone)]
struct Giving {
    answer: Value,
    given: Arc<AtomicUsize>,
}

async fn give(State(giving): State<Giving>) -> Json<Value> {
    giving.given.fetch_add(1, Ordering::SeqCst);
    Json(giving.answer)
}

async fn giving(bank: Bank, answer: Value) -> (TestApp, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let (request, account) = (json!({"id": "x", "status": "IN_PROGRESS"}), json!({"id": "x", "status": "PROCESSING"}));
    let router = Router::new()
        .route("/oauth2/token", post(give))
        .route("/api/v1/authentication/login", post(give))
        .route("/v1/accounts/opening_requests/{id}", get(|| async { Json(request) }))
        .route("/api/v1/global_accounts/{id}", get(|| async { Json(account) }))
        .with_state(Giving { answer, given: Arc::clone(&given) });
    let url = listen(router).await;
    let builder = TestApp::with().bank(bank, &format!("*={}", bank.name())).settings(|it| {
        it.solaris.token_url = Some(format!("{url}/oauth2/token"));
        it.solaris.base_url = Some(url.clone());
        it.airwallex.base_url = Some(url);
        if bank == Bank::Solaris {
            it.airwallex = account_opening::provider::airwallex::RawAirwallex::default();
        } else {
            it.solaris = account_opening::provider::solaris::RawSolaris::default();
        }
    });
    (builder.start().await, given)
}

/// With an impossible life in the bank's answer, the service neither fetches a token for each call nor keeps one for ever.
#[tokio::test]
async fn a_token_with_an_odd_life_is_neither_fetched_for_each_call_nor_kept_for_ever() {
    let solaris = |life: Value| (Bank::Solaris, json!({"access_token": "t", "expires_in": life}));
    let airwallex = |ends: Value| (Bank::Airwallex, json!({"token": "t", "expires_at": ends}));
    let short = [
        solaris(json!(0)),
        solaris(json!(-5)),
        solaris(json!("3599")),
        solaris(json!(3.5)),
        (Bank::Solaris, json!({"access_token": "t"})),
        airwallex(json!("2020-01-01T00:00:00+0000")),
        airwallex(json!("soon")),
        (Bank::Airwallex, json!({"token": "t"})),
    ];
    let long =
        [solaris(json!(i64::MAX)), solaris(json!(4_000_000_000_u64)), airwallex(json!("9999-12-31T23:59:59+0000"))];
    let lives = short.map(|it| (it, TimeDelta::seconds(31))).into_iter();
    for ((bank, answer), life) in lives.chain(long.map(|it| (it, TimeDelta::hours(22)))) {
        let shown = answer.to_string();
        let (app, given) = giving(bank, answer).await;
        let ids = vec!["x".to_owned(); 5];
        look_up(&app, bank, &ids).await;
        assert_eq!(given.load(Ordering::SeqCst), 1, "{shown}");
        app.pass(life);
        look_up(&app, bank, &ids).await;
        assert_eq!(given.load(Ordering::SeqCst), 2, "{shown}: after {life}");
        app.finish().await;
    }
}
