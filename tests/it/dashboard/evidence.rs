//! The evidence of an opening: for operators the bytes as they came, for readers masked; recorded, and verified without the service.

use account_opening::domain::chain::HistoryKey;
use account_opening::reconciliation::evidence::verify::verify_opening;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{OPERATOR, READER, Visitor, recorded};
use crate::support::process::{Folder, Program};
use crate::support::{KEY, TestApp};

const IBAN: &str = "BE68539007547034";

/// The verifier's findings in a document.
fn findings(document: &[u8], chain: Option<&HistoryKey>) -> Vec<String> {
    let mut found = Vec::new();
    let _ = verify_opening(document, None, chain, &mut |it| found.push(it.to_string()));
    found
}

fn part<'a>(document: &'a Value, name: &str) -> &'a str {
    let parts = document["parts"].as_array().unwrap();
    let part = parts.iter().find(|it| it["name"].as_str().unwrap().ends_with(name));
    part.unwrap_or_else(|| panic!("no {name}: {document}"))["text"].as_str().unwrap()
}

#[tokio::test]
async fn the_evidence_has_the_banks_bytes_and_headers_and_verifies_with_and_without_the_historys_key() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let webhook = app.webhook().id("msg_1").completed(&reference, IBAN);
    webhook.acknowledged().await;
    app.settle().await;
    let operator = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/openings/{id}/evidence.json");
    assert!(operator.page(&format!("/openings/{id}")).await.contains(&format!("href=\"{path}\"")));
    let answer = operator.get(&path).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let bytes = answer.bytes().await.unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&document["masked"], &document["opening_id"]), (&json!(false), &json!(id)));
    let message = document["parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["text"].as_str().is_some_and(|it| it.contains("msg_1")));
    let name = message.unwrap()["name"].as_str().unwrap().trim_end_matches("fact.json").to_owned();
    assert!(part(&document, &format!("{name}body")).contains(&format!("\"iban\":\"{IBAN}\"")));
    let headers: Value = serde_json::from_str(part(&document, &format!("{name}headers.json"))).unwrap();
    assert!(headers["webhook-signature"].as_str().unwrap().starts_with("v1,"), "{headers}");
    let opening: Value = serde_json::from_str(part(&document, "opening.json")).unwrap();
    assert_eq!(
        opening["history"].as_array().unwrap().len(),
        usize::try_from(opening["version"].as_u64().unwrap()).unwrap()
    );
    let key = HistoryKey::new(&KEY);
    assert_eq!((findings(&bytes, None), findings(&bytes, Some(&key))), (vec![], vec![]));
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert!(!findings(&changed, None).is_empty(), "byte {at}");
    }
    let act = app.get("/v1/operator-actions?limit=1").await["items"][0].clone();
    assert_eq!((&act["action"], &act["detail"]["masked"]), (&json!("export"), &json!(false)));
    app.finish().await;
}

#[tokio::test]
async fn a_readers_evidence_is_masked_and_says_so() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let path = format!("/openings/{id}/evidence.json");
    for token in [READER, "caller-token"] {
        let visitor = Visitor::signed_in(&app, token).await;
        let bytes = visitor.get(&path).await.bytes().await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains("\"masked\":true") && text.contains("cover none of these bytes"), "{text}");
        for secret in [IBAN, "539007547034", "Acme", "ops@acme.example"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(findings(&bytes, Some(&HistoryKey::new(&KEY))), [] as [&str; 0]);
    }
    app.finish().await;
}

#[tokio::test]
async fn evidence_is_refused_to_other_sites_and_of_unknown_openings_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let path = format!("/openings/{id}/evidence.json");
    for site in ["cross-site", "same-site"] {
        let request = visitor.request(Method::GET, &path).header("sec-fetch-site", site);
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    let nowhere = "/openings/01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e/evidence.json";
    assert_eq!(visitor.get(nowhere).await.status(), 404);
    assert!(recorded(&app).await.iter().all(|(_, action, _)| action == "sign_in"));
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn the_command_verifies_an_openings_evidence() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, OPERATOR).await;
    let bytes = visitor.get(&format!("/openings/{id}/evidence.json")).await.bytes().await.unwrap();
    let folder = Folder::new();
    let file = folder.path().join("evidence.json");
    let verify = |bytes: &[u8], option: &[&str]| {
        std::fs::write(&file, bytes).unwrap();
        Program::new(&[&["evidence", "verify", file.to_str().unwrap()], option].concat())
    };
    let ended = verify(&bytes, &[]).run().await;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains(&format!("opening {id}")) && ended.stdout.contains("that takes HISTORY_KEY"),
        "{}",
        ended.stdout
    );
    let ended = verify(&bytes, &[]).env("HISTORY_KEY", STANDARD.encode(KEY)).run().await;
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("computed again with HISTORY_KEY"), "{}", ended.stdout);
    let ended = verify(&bytes, &[]).env("HISTORY_KEY", STANDARD.encode([8; 32])).run().await;
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let ended = verify(&bytes, &[]).env("HISTORY_KEY", "hush").run().await;
    assert_eq!((ended.code(), ended.wrong_settings()), (Some(2), vec!["HISTORY_KEY"]));
    let mut changed = bytes.to_vec();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    let ended = verify(&changed, &["--json"]).run().await;
    assert_eq!(ended.code(), Some(1));
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["ok"], &told["public_key"]), (&json!(false), &json!("enclosed")));
    app.finish().await;
}
