//! Signature checks: 401 for every invalid signature, and nothing of the request is read or stored.

use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{WebhookSecret, sign};
use chrono::TimeDelta;

use crate::support::{TestApp, Webhook, secret};

use super::{IBAN, message, of_no_concern};

const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const THIRD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn parsed(text: &str) -> WebhookSecret {
    WebhookSecret::parse(text).unwrap()
}

#[tokio::test]
async fn a_webhook_with_a_wrong_signature_is_refused_and_leaves_nothing() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let body = message(&tracking_id, "COMPLETED", Some(IBAN));
    let now = app.now();
    let right = sign(&secret(), "msg_1", now, body.as_bytes());
    let webhook = || app.webhook().id("msg_1").body(body.clone());
    let signature = |value: &str| webhook().header("webhook-signature", value);
    let later = (now.timestamp() + 1).to_string();
    let refused: Vec<(&str, Webhook<'_>)> = vec![
        ("no id", webhook().without("webhook-id")),
        ("no time", webhook().without("webhook-timestamp")),
        ("no signature", webhook().without("webhook-signature")),
        ("an empty id", webhook().header("webhook-id", "")),
        ("an empty signature", signature("")),
        ("nothing at all", webhook().without("webhook-id").without("webhook-timestamp").without("webhook-signature")),
        ("another's secret", webhook().signed_with(&parsed(OTHER_SECRET))),
        ("another id", signature(&right).id("msg_2")),
        ("another time", webhook().header("webhook-signature", &right).header("webhook-timestamp", &later)),
        ("a byte changed", signature(&right).body(body.replace(IBAN, "BE68539007547035"))),
        ("a byte more", signature(&right).body(format!("{body} "))),
        ("a byte less", signature(&right).body(&body[..body.len() - 1])),
        ("another version", signature(&right.replace("v1,", "v2,"))),
        ("no version", signature(&right.replace("v1,", ""))),
        ("half a signature", signature(&right[..right.len() / 2])),
        ("a signature of nothing", signature("v1,")),
        ("no base64", signature("v1,***")),
        ("signed with another's body", signature(&sign(&secret(), "msg_1", now, b"{}"))),
        ("what is no JSON, unsigned", webhook().body("not json").without("webhook-signature")),
    ];
    for (what, webhook) in refused {
        assert_eq!(webhook.answered().await, 401, "{what}");
    }
    app.settle().await;
    assert_eq!(app.inbox().await, []);
    assert!(app.items("/v1/dead-letters").await.is_empty());
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    // None of them stands in the way of the right one, under the same id.
    signature(&right).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

#[tokio::test]
async fn a_signed_time_is_believed_for_five_minutes_both_ways() {
    let app = TestApp::start().await;
    let sent = |seconds: i64| app.webhook().body(of_no_concern(0)).signed_ago(TimeDelta::seconds(seconds)).answered();
    for seconds in [0, 299, 300, -299, -300] {
        assert_eq!(sent(seconds).await, 200, "{seconds}");
    }
    for seconds in [301, -301, 86_400, -86_400, 1_700_000_000] {
        assert_eq!(sent(seconds).await, 401, "{seconds}");
    }
    assert_eq!(app.inbox().await.len(), 5);
    // A webhook that was signed in time and comes too late is not believed; signed again it is.
    let signature = sign(&secret(), "msg_1", app.now(), b"{}");
    let time = app.now().timestamp().to_string();
    app.pass(TimeDelta::seconds(301));
    let webhook = || app.webhook().id("msg_1").body("{}");
    let old = webhook().header("webhook-timestamp", &time).header("webhook-signature", &signature);
    assert_eq!(old.answered().await, 401);
    assert_eq!(webhook().answered().await, 200);
    app.finish().await;
}

#[tokio::test]
async fn the_tolerance_is_a_setting() {
    let app = TestApp::with().settings(|it| it.webhook_tolerance = "10s".to_owned()).start().await;
    let sent = |seconds: i64| app.webhook().body(of_no_concern(0)).signed_ago(TimeDelta::seconds(seconds)).answered();
    assert_eq!((sent(10).await, sent(11).await, sent(-10).await, sent(-11).await), (200, 401, 200, 401));
    app.finish().await;
}

#[tokio::test]
async fn one_right_signature_among_several_is_enough() {
    let app = TestApp::start().await;
    let body = of_no_concern(0);
    let right = sign(&secret(), "msg_1", app.now(), body.as_bytes());
    let wrong = sign(&parsed(OTHER_SECRET), "msg_1", app.now(), body.as_bytes());
    for several in [format!("{wrong} {right}"), format!("{right} {wrong}"), format!("v1a,xyz v1,*** {wrong} {right}")] {
        let webhook = app.webhook().id("msg_1").body(body.clone()).header("webhook-signature", &several);
        assert_eq!(webhook.answered().await, 200, "{several}");
    }
    let none = app.webhook().id("msg_1").body(body).header("webhook-signature", &format!("{wrong} v1a,xyz {wrong}"));
    assert_eq!(none.answered().await, 401);
    assert_eq!(app.inbox().await.len(), 1);
    app.finish().await;
}

/// F11: a proxy may fold the header in any way that HTTP allows a list to be folded; which bytes are signed does not change.
#[tokio::test]
async fn signatures_are_found_however_a_proxy_folded_their_header() {
    let app = TestApp::start().await;
    // Lines, in which # stands for the right signature and ? for another, both without their version.
    let taken = ["v1, #", "v1,?,v1,#", "v1a,xyz, v1,?, v1,#", "v1,?\nv1a,xyz\nv1,#", "v1\n#", ",\tv1,? ,\t, v1\t,#"];
    let refused = ["v1,?\n#", "v2, #", "v1,? #", "#\nv1"];
    for (n, (folded, status)) in taken.map(|it| (it, 200)).into_iter().chain(refused.map(|it| (it, 401))).enumerate() {
        let (id, body) = (format!("msg_{n}"), of_no_concern(n));
        let [right, wrong] = [secret(), parsed(OTHER_SECRET)].map(|it| sign(&it, &id, app.now(), body.as_bytes()));
        let whole = |line: &str| line.replace('#', &right["v1,".len()..]).replace('?', &wrong["v1,".len()..]);
        let webhook = app.webhook().id(&id).body(body.clone());
        let webhook = folded.split('\n').fold(webhook, |it, line| it.line("webhook-signature", &whole(line)));
        assert_eq!(webhook.answered().await, status, "{folded:?}");
    }
    assert_eq!(app.inbox().await.len(), taken.len());
    app.finish().await;
}

/// F11: the inbox keeps every line too, for the adapter that reads the message again when it is decided.
#[tokio::test]
async fn the_inbox_keeps_all_lines_of_a_header() {
    let app = TestApp::start().await;
    app.webhook().body(of_no_concern(0)).line("x-more", "y").line("x-more", "z").acknowledged().await;
    let headers: serde_json::Value =
        sqlx::query_scalar("select headers from inbox").fetch_one(&app.pool).await.unwrap();
    assert_eq!(headers["x-more"], serde_json::json!(["y", "z"]));
    assert_eq!(headers["content-type"], "application/json");
    app.finish().await;
}

/// F11: id and time that a proxy repeated say nothing new. They are signed, so that only the first line can count.
#[tokio::test]
async fn an_id_and_a_time_that_stand_on_two_lines_are_those_of_the_first() {
    let app = TestApp::start().await;
    let now = app.now().timestamp().to_string();
    let body = of_no_concern(0);
    let right = sign(&secret(), "msg_1", app.now(), body.as_bytes());
    let webhook = |first: &str, second: &str| {
        let webhook = app.webhook().body(body.clone()).line("webhook-signature", &right);
        let webhook = webhook.line("webhook-timestamp", &now).line("webhook-timestamp", &now);
        webhook.line("webhook-id", first).line("webhook-id", second)
    };
    assert_eq!(webhook("msg_1", "msg_1").answered().await, 200);
    assert_eq!(webhook("msg_2", "msg_1").answered().await, 401);
    assert_eq!(app.inbox().await[0].event_id, "msg_1");
    app.finish().await;
}

#[tokio::test]
async fn while_secrets_are_rotated_the_old_and_the_new_one_are_believed() {
    let both = format!("{DEVELOPMENT_WEBHOOK_SECRET},{OTHER_SECRET}");
    let app = TestApp::with().settings(|it| it.nexusbank.webhook_secrets = both).start().await;
    let sent = |secret: &str| app.webhook().body(of_no_concern(0)).signed_with(&parsed(secret)).answered();
    assert_eq!(sent(DEVELOPMENT_WEBHOOK_SECRET).await, 200);
    assert_eq!(sent(OTHER_SECRET).await, 200);
    assert_eq!(sent(THIRD_SECRET).await, 401);
    assert_eq!(app.inbox().await.len(), 2);
    app.finish().await;
}
