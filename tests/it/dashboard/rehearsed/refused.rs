//! A refused webhook that is verified again: its page says whether it verifies now, and the act takes in what does.

use account_opening::provider::signature::WebhookSecret;
use chrono::TimeDelta;
use serde_json::json;

use super::{Visitor, act, changed};
use crate::dashboard::OPERATOR;
use crate::dashboard::refused::{corrected, other, refused};
use crate::support::{TestApp, exchange};

/// The fate of a refused webhook: what the inbox does with it, and how its fact is judged in the end. Or why it is still refused, as
/// the page's markup has it.
type Fate = Result<(&'static str, &'static str), &'static str>;

const STATES: [(&str, Fate); 12] = [
    ("signed with our new secret", Ok(("stored", "applied"))),
    ("sent to another path", Ok(("stored", "applied"))),
    ("about no opening", Ok(("stored", "parked"))),
    ("unreadable", Ok(("stored", "unreadable"))),
    ("stored before", Ok(("duplicate", "applied"))),
    ("stored before with other content", Ok(("conflict", "event_id_conflict"))),
    ("signed with another secret", Err("still refused: the signature does not match")),
    ("without a signature", Err("still refused: the signature is missing")),
    ("too old at receipt", Err("still refused: the signed time was out of tolerance at receipt")),
    ("verified already", Err("the request was verified already")),
    ("without its body", Err("the request&#39;s body was not kept")),
    ("of an unknown provider", Err("no provider has this name")),
];

/// `WEBHOOK_MAX_BYTES` of the default settings.
const MAX_BODY: usize = 262_144;

/// Has a webhook of this state refused: its id.
async fn refused_in(app: &TestApp, visitor: &Visitor, state: &str) -> String {
    let (_, reference) = app.open().waiting().await;
    let id = format!("msg_{}", state.replace(' ', "_"));
    let webhook = || app.webhook().id(&id).status(&reference, "REJECTED").signed_with(&other());
    let nobodys = WebhookSecret::parse("whsec_bm9ib2R5LW5vYm9keS1ub2JvZHk=").unwrap();
    let sent = match state {
        "sent to another path" => webhook().path("/hooks/nexusbank"),
        "about no opening" => webhook().status("aor_that_is_unknown", "REJECTED"),
        "unreadable" => webhook().body("{\"type\": 1}"),
        "signed with another secret" => webhook().signed_with(&nobodys),
        "without a signature" => webhook().without("webhook-signature"),
        "too old at receipt" => webhook().signed_ago(TimeDelta::minutes(6)),
        "without its body" => webhook().body(vec![b' '; MAX_BODY + 1]),
        "of an unknown provider" => webhook().path("/webhooks/another-bank"),
        _ => webhook(),
    };
    let before = match state {
        "stored before" => Some("REJECTED"),
        "stored before with other content" => Some("IN_PROGRESS"),
        _ => None,
    };
    if let Some(status) = before {
        app.webhook().id(&id).status(&reference, status).acknowledged().await;
    }
    let answered = exchange(&app.public, &sent.wire()).await.status;
    assert!([401, 404, 413].contains(&answered), "{state}: {answered}");
    let refused = refused(app).await[0]["id"].as_str().unwrap().to_owned();
    if state == "verified already" {
        let path = format!("/refused/{refused}/reverify");
        let page = visitor.page(&path).await;
        assert_eq!(visitor.act(&page, "reverify", &[("reason", "before")]).await.status(), 303);
    }
    app.settle().await;
    refused
}

#[tokio::test]
async fn a_refused_webhook_in_every_state_is_verified_again_as_was_announced() {
    let app = TestApp::start().await;
    let mut visitor = Visitor::at(&corrected(&app).await);
    assert_eq!(visitor.sign_in(OPERATOR, "").await.status(), 303);
    for (state, expected) in STATES {
        let id = refused_in(&app, &visitor, state).await;
        let rows = app.rows().await;
        let announced = act(&app, &visitor, &format!("/refused/{id}/reverify"), "reverify", &[]).await;
        assert_eq!(announced.refused.as_deref(), expected.err(), "{state}");
        let Ok((outcome, judged)) = expected else { continue };
        for line in ["verifies with a secret of today", "if it came before", "becomes a dead letter"] {
            assert!(announced.says(line), "{state}: {announced:?}");
        }
        assert_eq!(changed(&app, &rows).await, ["inbox", "operator_actions", "rejected_requests"], "{state}");
        let row = app.get(&format!("/v1/rejected-requests/{id}")).await;
        assert_eq!(row["outcome"], outcome, "{state}: {row}");
        app.settle().await;
        let key = row["event_id"].as_str().unwrap();
        let facts = app.inbox().await;
        let facts: Vec<_> = facts.iter().filter(|it| it.event_id.starts_with(key)).collect();
        // A conflict stands beside the first under a longer key.
        let fact = facts.iter().max_by_key(|it| it.event_id.len()).unwrap_or_else(|| panic!("{state}: {row}"));
        let repeats = facts.iter().map(|it| it.duplicates).sum::<i32>();
        assert_eq!((fact.outcome.as_deref(), repeats), (Some(judged), i32::from(outcome == "duplicate")), "{state}");
        assert_eq!(facts.len(), 1 + usize::from(outcome == "conflict"), "{state}: {facts:?}");
    }
    let letters = app.items("/v1/dead-letters").await;
    let causes: Vec<_> = letters.iter().map(|it| it["cause"].clone()).collect();
    assert_eq!(json!(causes), json!(["event_id_conflict", "unreadable"]));
    app.finish().await;
}
