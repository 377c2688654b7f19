//! `/refused` and `/refused/{id}`.

use account_opening::app::Parts;
use account_opening::domain::chain::HistoryKey;
use account_opening::http::internal;
use account_opening::http::listener::Limits;
use account_opening::provider::signature::WebhookSecret;
use serde_json::Value;

use super::{OPERATOR, READER, Visitor, links, location, pages, recorded_acts, rehearsal};
use crate::refused_webhooks::bank;
use crate::support::{KEY, TestApp, listen_as};

const OTHER_SECRET: &str = "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWtleQ==";
const BODY: &str =
    r#"{"type":"x","name":"Jane Doe","to":"jane@acme.example","iban":"BE68539007547034","at":"<i>here</i>"}"#;

/// The secret that our settings lacked.
pub fn other() -> WebhookSecret {
    WebhookSecret::parse(OTHER_SECRET).unwrap()
}

/// The refused webhooks as REST lists them, newest first.
pub async fn refused(app: &TestApp) -> Vec<Value> {
    app.items("/v1/rejected-requests").await
}

/// A replica that knows the secret that was missing.
pub async fn corrected(app: &TestApp) -> String {
    let mut settings = (*app.state.settings).clone();
    settings.adapters = bank(OTHER_SECRET, "5m");
    let parts = Parts::new(settings, app.state.cell.pool.clone(), HistoryKey::new(&KEY), app.clock.clone()).unwrap();
    let limits = Limits::inside(&parts.state.settings);
    listen_as(internal::router(parts.state), limits).await
}

#[tokio::test]
async fn refused_webhooks_are_grouped_by_cause_and_source_and_their_bodies_are_masked_for_readers() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        assert_eq!(app.webhook().body(BODY).signed_with(&other()).answered().await, 401);
    }
    assert_eq!(app.webhook().body("Jane <script>").signed_with(&other()).answered().await, 401);
    let reader = Visitor::signed_in(&app, READER).await;
    let page = reader.page("/refused").await;
    let group = page.split(r#"<tr data-cause="signature_wrong">"#).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(group.contains("127.0.0.1") && group.contains(r#"<td class="numbers">3</td>"#), "{group}");
    assert!(group.contains("/refused?cause=signature_wrong&#38;source=127.0.0.1"), "{group}");
    let listed = |page: &str| page.matches("scope=\"row\"><a href=\"/refused/").count();
    for (query, count) in [
        ("cause=signature_wrong&source=127.0.0.1&provider=nexusbank", 3),
        ("cause=too_large", 0),
        ("source=192.0.2.7", 0),
        ("provider=other", 0),
        ("cause=&source=&provider=", 3),
    ] {
        assert_eq!(listed(&reader.page(&format!("/refused?{query}")).await), count, "{query}");
    }
    assert_eq!(pages(&reader, "/refused?limit=1").await.len(), 3);
    assert_eq!(app.items("/v1/rejected-requests?source=192.0.2.7").await.len(), 0);
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    for row in refused(&app).await {
        let path = format!("/refused/{}", row["id"].as_str().unwrap());
        let page = reader.page(&path).await;
        for secret in ["Jane", "jane@", "BE68539007547034", "<script>", "<i>here", "00000000"] {
            assert!(!page.contains(secret), "{secret}: {page}");
        }
        assert!(!page.contains("data-act"));
        let page = operator.page(&path).await;
        assert!(page.contains("Jane") && page.contains("00000000") && !page.contains("<i>here"), "{page}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_refused_webhook_is_verified_again_one_time_when_the_mistake_was_ours() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let webhook = app.webhook().completed(&reference, "BE68539007547034").signed_with(&other());
    assert_eq!(webhook.answered().await, 401);
    let path = format!("/refused/{}", refused(&app).await[0]["id"].as_str().unwrap());
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let link = links(&visitor.page(&path).await, "reverify")[0].to_owned();
    let page = visitor.page(&link).await;
    assert!(
        rehearsal(&page).contains("Not possible: still refused: the signature does not match"),
        "{}",
        rehearsal(&page)
    );
    assert_eq!(visitor.act(&page, "reverify", &[("reason", "try")]).await.status(), 409);

    let mut visitor = Visitor::at(&corrected(&app).await);
    visitor.sign_in(OPERATOR, "").await;
    let page = visitor.page(&link).await;
    assert!(
        rehearsal(&page).contains("verifies with a secret of today")
            && page.contains(&format!("<a href=\"{path}\">Back"))
    );
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider", "a rehearsal takes nothing in");
    assert_eq!(visitor.act(&page, "reverify", &[]).await.status(), 422);
    for _ in 0..2 {
        let answer = visitor.act(&page, "reverify", &[("reason", "our secret was missing")]).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (303, format!("{path}#done-reverify").as_str()));
    }
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let acts = recorded_acts(&app).await;
    assert_eq!(acts.iter().filter(|it| *it == "reverify").count(), 1, "{acts:?}");
    let page = visitor.page(&path).await;
    assert!(page.contains("It was verified already") && page.contains("stored"), "{page}");
    app.finish().await;
}
