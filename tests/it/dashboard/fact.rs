//! `/openings/{id}/facts/{fact}`.

use serde_json::json;

use super::{OPERATOR, READER, Visitor};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

/// The addresses of the messages of an opening's timeline, newest first, each with its kind.
fn messages(page: &str) -> Vec<(String, String)> {
    let link = |it: &str| {
        let (href, rest) = it.split_once("\">")?;
        href.contains("/facts/").then(|| (rest.split('<').next().unwrap().to_owned(), href.to_owned()))
    };
    page.split("<span class=\"kind\"><a href=\"").skip(1).filter_map(link).collect()
}

#[tokio::test]
async fn a_message_shows_its_bytes_its_signer_what_was_read_and_what_it_changed() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let data = json!({"account_opening_request_id": reference, "status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB",
                      "note": "<script>alert(1)</script>"});
    app.webhook().id("msg_shown").data(data).acknowledged().await;
    app.settle().await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let messages = messages(&operator.page(&format!("/openings/{id}")).await);
    let path = &messages.iter().find(|(kind, _)| kind == "webhook").unwrap().1;
    let page = operator.page(path).await;
    for text in [
        "msg_shown",
        "&#60;script&#62;alert(1)",
        "In hexadecimal",
        "webhook-signature",
        "<dt>verdict</dt><dd><bdi>completed</bdi></dd>",
        "number 1 of 1 active ones",
        "version 4: awaiting provider → issuing card",
        IBAN,
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<script>alert") && !page.contains("whsec_"));
    assert!(page.contains(&format!("<dt>Tracking id in it</dt><dd><bdi>{reference}</bdi>")), "as it is written");
    let secrets = app.get("/v1/webhook-secrets").await;
    let fingerprint = secrets["items"][0]["fingerprint"].as_str().unwrap();
    assert!(page.contains(fingerprint), "{secrets}");
    // An answer of a command is no signed message.
    let own = messages.iter().find(|(kind, _)| kind == "command").unwrap();
    assert!(operator.page(&own.1).await.contains("answer to a call of ours"));
    // A second answer changes nothing but opens a case.
    app.webhook().completed(&reference, "BE71096123456769").acknowledged().await;
    app.settle().await;
    let newest = self::messages(&operator.page(&format!("/openings/{id}")).await);
    let page = operator.page(&newest.iter().find(|(kind, _)| kind == "webhook").unwrap().1).await;
    assert!(page.contains("opened a case: conflicting answer") && page.contains("href=\"/cases/"), "{page}");
    app.finish().await;
}

#[tokio::test]
async fn messages_are_for_operators_and_only_of_their_own_opening() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let (other, _) = app.open().key("other").waiting().await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let page = operator.page(&format!("/openings/{id}")).await;
    let path = messages(&page).remove(0).1;
    for token in [READER, "caller-token"] {
        let visitor = Visitor::signed_in(&app, token).await;
        assert_eq!(visitor.get(&path).await.status(), 403);
        assert!(messages(&visitor.page(&format!("/openings/{id}")).await).is_empty());
    }
    for wrong in [path.replace(&id, &other), format!("/openings/{id}/facts/{other}"), format!("/openings/{id}/facts/x")]
    {
        assert_eq!(operator.get(&wrong).await.status(), 404, "{wrong}");
    }
    app.finish().await;
}

#[tokio::test]
async fn an_erased_message_is_empty_and_says_so() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let page = operator.page(&format!("/openings/{id}")).await;
    let path = messages(&page).into_iter().find(|(kind, _)| kind == "webhook").unwrap().1;
    let body = json!({"reason": "asked for"});
    assert_eq!(app.post(&format!("/v1/account-openings/{id}/erase"), &body).await.0, 202);
    let page = operator.page(&path).await;
    assert!(!page.contains(IBAN) && page.contains("its bytes were erased") && page.contains("0 bytes"), "{page}");
    app.finish().await;
}
