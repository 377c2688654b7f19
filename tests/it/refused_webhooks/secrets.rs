//! Which secrets providers sign with: evidence for retiring an old one.

use account_opening::provider::signature::Fingerprint;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{BANKS_SECRET, OTHER_SECRET, bank, other_secret, successor, with_secrets};
use crate::support::TestApp;

const SECRETS: &str = "/v1/webhook-secrets";

async fn secret(app: &TestApp, secret: &str) -> Value {
    let fingerprint = Fingerprint::of(secret).to_string();
    let items = app.items(SECRETS).await;
    items.into_iter().find(|it| it["fingerprint"] == *fingerprint).unwrap_or_default()
}

#[tokio::test]
async fn uses_are_counted_for_each_secret_and_those_that_are_gone_are_shown_too() {
    let app = with_secrets(&format!("{BANKS_SECRET},{OTHER_SECRET}")).await;
    for (text, position) in [(BANKS_SECRET, 0), (OTHER_SECRET, 1)] {
        let fingerprint = Fingerprint::of(text).to_string();
        let unused = json!({"provider": "nexusbank", "fingerprint": fingerprint, "active": true, "position": position,
                            "uses": 0, "first_used_at": null, "last_used_at": null});
        assert_eq!(secret(&app, text).await, unused);
    }
    let send = async |n: usize, with: &str| {
        let with = account_opening::provider::signature::WebhookSecret::parse(with).unwrap();
        app.webhook().body(format!("{{\"type\":\"x\",\"n\":{n}}}")).signed_with(&with).acknowledged().await;
    };
    send(1, OTHER_SECRET).await;
    app.pass(TimeDelta::minutes(1));
    for n in 2..5 {
        send(n, BANKS_SECRET).await;
        app.settle().await;
    }
    app.pass(TimeDelta::minutes(1));
    send(5, BANKS_SECRET).await;
    // Not believed, not counted.
    assert_eq!(app.webhook().body("{}").without("webhook-id").answered().await, 401);
    app.settle().await;
    let used = secret(&app, BANKS_SECRET).await;
    assert_eq!(
        (&used["uses"], &used["first_used_at"], &used["last_used_at"]),
        (&json!(4), &json!("2026-01-01T00:01:00Z"), &json!("2026-01-01T00:02:00Z"))
    );
    assert_eq!(secret(&app, OTHER_SECRET).await["uses"], 1);

    // The other one is retired; what it did stays to be seen.
    let successor = successor(&app, |it| it.adapters = bank(BANKS_SECRET, "5m")).await;
    let response = app.client.get(format!("{}{SECRETS}", successor.internal)).bearer_auth("reader-token").send().await;
    let text = response.unwrap().text().await.unwrap();
    assert!(!text.contains("whsec") && !text.contains(&OTHER_SECRET[6..20]), "{text}");
    let items: Value = serde_json::from_str(&text).unwrap();
    let items = items["items"].as_array().unwrap();
    let gone = items.iter().find(|it| it["active"] == false).unwrap();
    assert_eq!((items.len(), &gone["uses"], &gone["position"]), (2, &json!(1), &Value::Null));
    let page = app.get(&format!("{SECRETS}?limit=1")).await;
    let next = app.get(&format!("{SECRETS}?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((next["items"].as_array().unwrap().len(), &next["next_cursor"]), (1, &Value::Null));
    assert_ne!(page["items"][0], next["items"][0]);
    app.finish().await;
}

/// A webhook that was verified after all was signed when it came, and says so.
#[tokio::test]
async fn a_webhook_verified_again_counts_for_the_time_at_which_it_came() {
    let app = with_secrets(BANKS_SECRET).await;
    let webhook = app.webhook().body("{\"type\":\"x\"}").signed_with(&other_secret());
    assert_eq!(webhook.answered().await, 401);
    app.pass(TimeDelta::days(3));
    let both = format!("{BANKS_SECRET},{OTHER_SECRET}");
    let successor = successor(&app, |it| it.adapters = bank(&both, "5m")).await;
    assert_eq!(successor.reverify_all(&app, &json!({"reason": "x"})).await, (1, 0));
    // The use is written with the replica's next tick; here by hand.
    let (pool, faults) = (&successor.state.cell.pool, &successor.state.shell.faults);
    let kept = account_opening::workers::secret_uses::write(pool, &successor.state.secret_uses, faults).await;
    assert_eq!(kept.unwrap(), 1);
    let used = secret(&app, OTHER_SECRET).await;
    assert_eq!(
        (&used["uses"], &used["last_used_at"], &used["active"]),
        (&json!(1), &json!("2026-01-01T00:00:00Z"), &json!(false))
    );
    app.finish().await;
}
