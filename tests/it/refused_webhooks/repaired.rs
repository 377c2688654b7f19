//! A mistake of ours, put right: what was refused is verified again and taken in, without the provider sending anything.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BANKS_SECRET, OTHER_SECRET, REJECTED, bank, corrected, other_secret, successor, with_secrets};
use crate::support::{TestApp, problem};

const OPENINGS: usize = 40;

/// A valid Belgian IBAN.
fn iban(n: usize) -> String {
    let bban = format!("{:010}{:02}", 5_390_075_470 + n as u64, 0);
    let digits: u128 = format!("{bban}111400").parse().unwrap();
    format!("BE{:02}{bban}", 98 - digits % 97)
}

/// Says that the n-th opening is decided.
async fn decide(app: &TestApp, n: usize, tracking_id: &str) -> u16 {
    let webhook = app.webhook().id(&format!("msg_{n}"));
    match n % 2 {
        0 => webhook.completed(tracking_id, &iban(n)).answered().await,
        _ => webhook.status(tracking_id, "REJECTED").answered().await,
    }
}

async fn ids(app: &TestApp) -> Vec<String> {
    let items = app.items(REJECTED).await;
    items.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// The secret is wrong for a while, for longer than a signed time is tolerated: after the correction all are verified and
/// applied. Webhooks that were forged meanwhile are still refused.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_wrong_secret_is_corrected_all_that_was_refused_is_applied_without_the_provider_sending_anything() {
    let app = with_secrets(OTHER_SECRET).await;
    let mut openings = Vec::new();
    for n in 0..OPENINGS {
        let (id, tracking_id) = app.open().waiting().await;
        assert_eq!(decide(&app, n, &tracking_id).await, 401, "the secret is wrong");
        app.pass(TimeDelta::seconds(1));
        openings.push((id, tracking_id));
    }
    let nobody =
        account_opening::provider::signature::WebhookSecret::parse("whsec_bm9ib2R5LW5vYm9keS1ub2JvZHk=").unwrap();
    for (_, tracking_id) in &openings[..10] {
        let forged = app.webhook().status(tracking_id, "REJECTED").signed_with(&nobody);
        assert_eq!(forged.answered().await, 401);
    }
    app.settle().await;
    assert_eq!(app.inbox().await, []);
    let received: Vec<Value> = app.items(REJECTED).await.iter().map(|it| it["received_at"].clone()).collect();
    app.pass(TimeDelta::minutes(20));

    let service = corrected(&app).await;
    // Later they would be refused for their time; as at receipt they are not.
    assert_eq!(app.webhook().to(&service.public).signed_ago(TimeDelta::minutes(20)).body("{}").answered().await, 401);
    let body = json!({"reason": "the secret was wrong", "provider": "nexusbank", "cause": "signature_wrong"});
    assert_eq!(service.reverify_all(&app, &body).await, (OPENINGS as u64, 10));
    app.settle().await;
    for (n, (id, _)) in openings.iter().enumerate() {
        let opening = app.opening(id).await;
        let expected = if n % 2 == 0 { ("completed", json!(iban(n))) } else { ("rejected", Value::Null) };
        assert_eq!((opening["state"].as_str().unwrap(), &opening["iban"]), (expected.0, &expected.1));
        assert!(app.history(id).await.iter().any(|it| it.ends_with("(provider_reported, webhook)")));
    }
    // Each once, as if it had been taken when it came.
    let stored = app.inbox().await;
    assert_eq!(stored.len(), OPENINGS);
    assert!(stored.iter().all(|it| it.duplicates == 0 && it.status == "applied"), "{stored:?}");
    let kept: Vec<Value> = sqlx::query_scalar(
        "select to_jsonb(received_at) from inbox where source = 'webhook' order by received_at desc",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let at = |it: &Value| it.as_str().unwrap().parse::<account_opening::clock::Time>().unwrap();
    assert_eq!(kept.iter().map(at).collect::<Vec<_>>(), received[10..].iter().map(at).collect::<Vec<_>>());
    // And nothing the second time, nor for the provider's own repeat but a duplicate.
    assert_eq!(service.reverify_all(&app, &body).await, (0, 0));
    app.pass(TimeDelta::minutes(20));
    let again = app.webhook().to(&service.public).id("msg_1").status(&openings[1].1, "REJECTED");
    assert_eq!(again.answered().await, 200);
    app.settle().await;
    assert_eq!(app.inbox().await.len(), OPENINGS + 1, "another body, since its time is another");
    let acts: Vec<(String, String, String)> =
        sqlx::query_as("select who, action, reason from operator_actions").fetch_all(&app.pool).await.unwrap();
    let act = ("operator".to_owned(), "reverify".to_owned(), "the secret was wrong".to_owned());
    assert_eq!(acts, [act], "a run that found nothing to do did nothing");
    app.finish().await;
}

#[tokio::test]
async fn a_time_that_was_stale_at_receipt_still_is_and_one_that_was_not_never_gets_stale() {
    let app = with_secrets(OTHER_SECRET).await;
    let (id, tracking_id) = app.open().waiting().await;
    let webhook = || app.webhook().status(&tracking_id, "REJECTED");
    assert_eq!(webhook().signed_ago(TimeDelta::minutes(6)).answered().await, 401);
    assert_eq!(webhook().signed_ago(TimeDelta::minutes(4)).answered().await, 401);
    app.pass(TimeDelta::days(30));
    let service = corrected(&app).await;
    let ids = ids(&app).await;
    let path = |id: &str| format!("{REJECTED}/{id}/reverify");
    let because = json!({"reason": "x"});
    problem(service.post(&app, &path(&ids[1]), &because).await, 409, "wrong-state").await;
    assert_eq!(service.post(&app, &path(&ids[0]), &because).await.status(), 202);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "rejected");
    // A tolerance that was too narrow is a mistake that can be put right too.
    let patient = successor(&app, |it| it.adapters = bank(OTHER_SECRET, "10m")).await;
    assert_eq!(patient.reverify_all(&app, &because).await, (0, 1), "with the wrong secret");
    let patient = successor(&app, |it| it.adapters = bank(BANKS_SECRET, "10m"));
    assert_eq!(patient.await.reverify_all(&app, &because).await, (1, 0));
    app.finish().await;
}

#[tokio::test]
async fn one_is_taken_in_once_marked_and_recorded_and_what_cannot_be_is_told_why() {
    let app = with_secrets(OTHER_SECRET).await;
    let (opening, tracking_id) = app.open().waiting().await;
    let service = corrected(&app).await;
    assert_eq!(app.webhook().status(&tracking_id, "REJECTED").answered().await, 401);
    let id = ids(&app).await.remove(0);
    let path = format!("{REJECTED}/{id}/reverify");
    // Not yet: this replica's secret is the wrong one still.
    problem(app.request(Method::POST, &path).json(&json!({"reason": "x"})).send().await.unwrap(), 409, "wrong-state")
        .await;
    let accepted = service.post(&app, &path, &json!({"reason": "put right"})).await;
    assert_eq!((accepted.status().as_u16(), accepted.json::<Value>().await.unwrap()), (202, json!({"accepted": true})));
    app.settle().await;
    assert_eq!(app.opening(&opening).await["state"], "rejected");
    let marked = app.get(&format!("{REJECTED}/{id}")).await;
    assert_eq!(marked["outcome"], "stored");
    let stored: String =
        sqlx::query_scalar("select event_id from inbox where source = 'webhook'").fetch_one(&app.pool).await.unwrap();
    assert_eq!((marked["event_id"].as_str(), marked["verified_at"].is_string()), (Some(stored.as_str()), true));
    let act: (uuid::Uuid, String, String) =
        sqlx::query_as("select id, subject, reason from operator_actions").fetch_one(&app.pool).await.unwrap();
    let by: uuid::Uuid =
        sqlx::query_scalar("select action_id from rejected_requests").fetch_one(&app.pool).await.unwrap();
    assert_eq!((act.0, act.1, act.2.as_str()), (by, id.clone(), "put right"));
    // Again: it is done.
    problem(service.post(&app, &path, &json!({"reason": "x"})).await, 409, "wrong-state").await;
    assert_eq!(app.inbox().await.len(), 1);

    // No body, no such provider, no such request, no reason.
    app.client.post(format!("{}/webhooks/nexusbank", app.public)).body(vec![b' '; 300_000]).send().await.unwrap();
    app.client.post(format!("{}/webhooks/swan", app.public)).body("{}").send().await.unwrap();
    for id in &ids(&app).await[..2] {
        let path = format!("{REJECTED}/{id}/reverify");
        problem(service.post(&app, &path, &json!({"reason": "x"})).await, 409, "wrong-state").await;
    }
    let unknown = format!("{REJECTED}/{}/reverify", app.state.shell.ids.next());
    problem(service.post(&app, &unknown, &json!({"reason": "x"})).await, 404, "not-found").await;
    for path in [path, format!("{REJECTED}/reverify")] {
        assert_eq!(problem(service.post(&app, &path, &json!({})).await, 422, "validation-failed").await, ["/reason"]);
        for token in ["reader-token", "caller-token"] {
            let request = app.request_as(token, Method::POST, &path).json(&json!({"reason": "x"}));
            problem(request.send().await.unwrap(), 403, "forbidden").await;
        }
    }
    assert_eq!(service.reverify_all(&app, &json!({"reason": "x"})).await, (0, 0), "neither is worth a look");
    app.finish().await;
}

/// A webhook that was refused for its type was the provider's all the same.
#[tokio::test]
async fn one_that_said_it_was_no_json_can_be_taken_in() {
    let app = with_secrets(BANKS_SECRET).await;
    let (opening, tracking_id) = app.open().waiting().await;
    let webhook = app.webhook().status(&tracking_id, "REJECTED").header("content-type", "text/plain");
    assert_eq!(webhook.answered().await, 415);
    let id = ids(&app).await.remove(0);
    assert_eq!(app.post(&format!("{REJECTED}/{id}/reverify"), &json!({"reason": "a proxy changed it"})).await.0, 202);
    app.settle().await;
    assert_eq!(app.opening(&opening).await["state"], "rejected");
    app.finish().await;
}

/// A crash between taking in and marking: the next look finds it in the inbox.
#[tokio::test]
async fn one_that_was_taken_in_and_not_marked_is_a_duplicate_when_it_is_looked_at_again() {
    let app = with_secrets(OTHER_SECRET).await;
    let (opening, tracking_id) = app.open().waiting().await;
    let service = corrected(&app).await;
    assert_eq!(app.webhook().status(&tracking_id, "REJECTED").answered().await, 401);
    assert_eq!(service.reverify_all(&app, &json!({"reason": "x"})).await, (1, 0));
    app.settle().await;
    sqlx::query("update rejected_requests set verified_at = null, outcome = null, event_id = null")
        .execute(&app.pool)
        .await
        .unwrap();
    service.state.ingest.forget_bursts();
    assert_eq!(service.reverify_all(&app, &json!({"reason": "x"})).await, (1, 0));
    app.settle().await;
    let stored = app.inbox().await;
    assert_eq!((stored.len(), stored[0].duplicates), (1, 1));
    assert_eq!(app.items(REJECTED).await[0]["outcome"], "duplicate");
    assert_eq!(app.history(&opening).await.len(), 4);
    app.finish().await;
}

#[tokio::test]
async fn a_run_may_be_narrowed_and_goes_on_where_it_stopped() {
    let app = with_secrets(OTHER_SECRET).await;
    for n in 0..100 {
        let webhook = app.webhook().id(&format!("msg_{n}")).body(format!("{{\"type\":\"x\",\"n\":{n}}}"));
        assert_eq!(webhook.answered().await, 401);
        app.pass(TimeDelta::seconds(1));
    }
    assert_eq!(
        app.webhook().body("{}").signed_with(&other_secret()).header("content-type", "text/plain").answered().await,
        415
    );
    let service = corrected(&app).await;
    let run = async |more: Value| {
        let mut body = json!({"reason": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.reverify_all(&app, &body).await
    };
    assert_eq!(run(json!({"provider": "other"})).await, (0, 0));
    assert_eq!(run(json!({"cause": "signature_stale"})).await, (0, 0));
    assert_eq!(run(json!({"since": "2026-01-01T00:00:10Z", "until": "2026-01-01T00:00:20Z"})).await, (10, 0));
    assert_eq!(run(json!({"until": "2026-01-01T00:00:20Z"})).await, (10, 0));
    assert_eq!(run(json!({})).await, (80, 1));
    let stored: Vec<String> = app.inbox().await.into_iter().map(|it| it.event_id).collect();
    assert_eq!(stored.len(), 100);
    app.finish().await;
}

/// While the database takes nothing, nothing is lost and nothing is said to be done.
#[tokio::test]
async fn a_run_that_cannot_take_anything_in_says_so_and_is_done_later() {
    let app = with_secrets(OTHER_SECRET).await;
    for n in 0..3 {
        assert_eq!(app.webhook().body(format!("{{\"type\":\"x\",\"n\":{n}}}")).answered().await, 401);
    }
    let service = corrected(&app).await;
    let lock = app.lock_inbox().await;
    let response = service.post(&app, &format!("{REJECTED}/reverify"), &json!({"reason": "x"})).await;
    problem(response, 503, "unavailable").await;
    lock.rollback().await.unwrap();
    assert_eq!(service.reverify_all(&app, &json!({"reason": "x"})).await, (3, 0));
    assert_eq!(app.inbox().await.len(), 3);
    app.finish().await;
}

/// F11: verified again as received, however a proxy folded its signatures.
#[tokio::test]
async fn a_signature_on_the_second_line_is_found_when_it_is_verified_again() {
    let app = with_secrets(OTHER_SECRET).await;
    let (id, tracking_id) = app.open().waiting().await;
    let body = json!({"type": "account_opening_request.status_changed", "timestamp": app.now(),
                      "data": {"account_opening_request_id": tracking_id, "status": "REJECTED"}});
    let body = body.to_string();
    let bank = account_opening::provider::signature::WebhookSecret::parse(BANKS_SECRET).unwrap();
    let right = account_opening::provider::signature::sign(&bank, "msg_1", app.now(), body.as_bytes());
    let webhook = app.webhook().id("msg_1").body(body).line("webhook-signature", "v1,b3RoZXI=");
    assert_eq!(webhook.line("webhook-signature", &right).answered().await, 401, "the secret is wrong");
    let service = corrected(&app).await;
    assert_eq!(service.reverify_all(&app, &json!({"reason": "the secret was wrong"})).await, (1, 0));
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "rejected");
    app.finish().await;
}
