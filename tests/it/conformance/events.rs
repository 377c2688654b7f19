//! Events of no concern, and headers with secrets.

use reqwest::Method;
use serde_json::json;
use world::{Bank, RawWebhook, WebhookAnswer};

use super::banks::{adyen, airwallex};
use crate::support::TestApp;

async fn send(app: &TestApp, bank: Bank, body: &serde_json::Value, headers: &[(&str, &str)]) -> WebhookAnswer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let webhook = RawWebhook { bank, body: body.to_string(), headers, ..RawWebhook::default() };
    app.world.send_webhook(&webhook).await.unwrap()
}

/// How many events of no concern this test's process counted; other tests count too.
async fn ignored(app: &TestApp, provider: &str) -> u64 {
    let text = app.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let series = format!("account_opening_webhooks_total{{provider=\"{provider}\",outcome=\"ignored\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |it| it.parse().unwrap())
}

#[tokio::test]
async fn an_event_of_another_integration_is_acknowledged_and_becomes_no_dead_letter() {
    let by_hand = json!({"id": "evt_1", "name": "global_account.active", "account_id": "acct_1",
                         "data": {"id": "ga_1", "status": "ACTIVE", "request_id": "made by hand"}});
    let payment = json!({"id": "evt_2", "name": "payment_intent.succeeded", "data": {"amount": 1}});
    let card = |environment: &str, kind: &str| {
        json!({"type": "balancePlatform.paymentInstrument.created", "environment": environment,
               "data": {"paymentInstrument": {"id": "PI_1", "type": kind, "status": "active",
                                              "reference": "01990000-0000-7000-8000-000000000001"}}})
    };
    for (it, bodies) in [
        (airwallex(), vec![by_hand, payment]),
        (
            adyen(),
            vec![
                card("test", "card"),
                card("live", "bankAccount"),
                json!({"type": "balancePlatform.transfer.created"}),
            ],
        ),
    ] {
        let app = it.app().start().await;
        for body in &bodies {
            let before = ignored(&app, it.name()).await;
            assert_eq!(send(&app, it.bank, body, &[]).await.status, 200, "{body}");
            assert!(ignored(&app, it.name()).await > before, "{body}");
        }
        app.settle().await;
        let statuses = "select status from inbox where source = 'webhook' group by 1";
        let statuses: Vec<String> = sqlx::query_scalar(statuses).fetch_all(&app.pool).await.unwrap();
        assert_eq!(statuses, ["ignored"]);
        assert_eq!(app.items("/v1/dead-letters?queue=inbox").await.len(), 0);
        app.finish().await;
    }
}

/// A test event brings the very key that signs it.
#[tokio::test]
async fn a_secret_in_a_header_is_kept_neither_in_the_inbox_nor_with_what_was_refused() {
    let app = airwallex().app().start().await;
    let secret = ("client-secret-key", "a-secret-that-nobody-may-read");
    let body = json!({"id": "evt_1", "name": "payment_intent.succeeded"});
    assert_eq!(send(&app, Bank::Airwallex, &body, &[secret]).await.status, 200);
    assert_eq!(send(&app, Bank::Airwallex, &body, &[secret, ("x-signature", "00")]).await.status, 401);
    let unknown = app.client.post(format!("{}/webhooks/airwalex", app.public)).header(secret.0, secret.1);
    assert_eq!(unknown.body("{}").send().await.unwrap().status(), 404);
    crate::support::eventually("both refusals are stored", async || {
        let stored = "select count(*) from rejected_requests";
        let stored: i64 = sqlx::query_scalar(stored).fetch_one(&app.pool).await.unwrap();
        (stored == 2).then_some(())
    })
    .await;
    for table in ["inbox", "rejected_requests"] {
        let held = format!("select count(*) from {table} where headers::text like '%nobody-may-read%'");
        let held: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(held)).fetch_one(&app.pool).await.unwrap();
        assert_eq!(held, 0, "{table}");
    }
    app.finish().await;
}

/// The time is signed, so it is checked after the signature, and no form of it makes the service stumble.
#[tokio::test]
async fn an_odd_signed_time_is_refused_however_well_it_is_signed() {
    let app = airwallex().app().start().await;
    let body = json!({"id": "evt_1", "name": "payment_intent.succeeded"});
    let now = app.now();
    let (millis, seconds) = (now.timestamp_millis().to_string(), now.timestamp().to_string());
    let days = |days| (now + chrono::TimeDelta::days(days)).timestamp_millis().to_string();
    let negative = format!("-{millis}");
    let odd = ["0", "1.5", "1e12", "now", "99999999999999999999", "18446744073709551616", "0x19b76e0ac00"];
    let stale = [days(-5), days(5)];
    for stamp in odd.into_iter().chain([seconds.as_str(), &negative]).chain(stale.iter().map(String::as_str)) {
        let signed = [("x-timestamp", stamp), ("x-signature", &signature(stamp, &body))];
        assert_eq!(send(&app, Bank::Airwallex, &body, &signed).await.status, 401, "{stamp:?}");
    }
    for stamp in [millis, days(-3), days(3)] {
        let signed = [("x-timestamp", stamp.as_str()), ("x-signature", &signature(&stamp, &body))];
        assert_eq!(send(&app, Bank::Airwallex, &body, &signed).await.status, 200, "{stamp}");
    }
    app.finish().await;
}

fn signature(stamp: &str, body: &serde_json::Value) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(world::WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(stamp.as_bytes());
    mac.update(body.to_string().as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
