//! Access tokens: one at a time, renewed early, replaced once when they are refused.

use chrono::TimeDelta;
use futures::future::join_all;
use world::{Bank, Endpoint, Plan};

use crate::support::TestApp;

async fn app(bank: Bank) -> TestApp {
    let name = bank.name();
    let builder = TestApp::with().bank(bank, &format!("*={name}"));
    let wide = |it: &mut account_opening::config::RawSettings| it.airwallex.limits.concurrency = Some("100".to_owned());
    let builder = if bank == Bank::Airwallex { builder.settings(wide) } else { builder };
    builder.start().await
}

const BANKS: [(Bank, &str); 2] = [(Bank::Solaris, "DE"), (Bank::Airwallex, "GB")];

/// Each look-up succeeds, whatever became of its token.
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
        let many: Vec<String> = ids.iter().cycle().take(60).cloned().collect();
        look_up(&app, bank, &many).await;
        assert_eq!(app.world.tokens_given(), 2, "{market}: one new token");
        let looks = app.world.ledger().openings.values().map(|it| it.calls(Endpoint::Lookup)).sum::<u64>();
        assert_eq!(looks, 60, "{market}: and one repeat of each call");
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
