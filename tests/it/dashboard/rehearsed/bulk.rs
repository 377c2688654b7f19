//! Acts on all dead letters of a list.

use serde_json::json;

use super::letters::{attempts, letter_in};
use super::{Visitor, not_offered, operator};
use crate::dashboard::{location, rehearsal};
use crate::support::TestApp;

const MOVED_ON: &str = "its opening has moved on: the command is obsolete";
const CHANGED: &str = "it has changed since the list was frozen";

/// Freezes the list of all dead letters: the path of its page.
async fn prepared(app: &TestApp, visitor: &Visitor, act: &str) -> String {
    let form = app.state.shell.ids.next().to_string();
    let answer = visitor.post("/bulk", &[("form", form.as_str()), ("act", act)]).await;
    assert_eq!(answer.status(), 303);
    location(&answer).to_owned()
}

/// The announcement of a list: how many letters it has, and how many it leaves alone, each with the reason.
async fn announced(app: &TestApp, visitor: &Visitor, path: &str) -> (String, usize, Vec<String>) {
    let before = app.rows().await;
    let page = visitor.page(path).await;
    assert_eq!(app.rows().await, before, "a rehearsal writes nothing");
    let all = rehearsal(&page);
    let left = all.split("<li><bdi>leaves ").skip(1).map(|it| it.split("</bdi>").next().unwrap().to_owned());
    (page.clone(), all.matches("data-item=").count(), left.collect())
}

/// Letters of each kind, of which two change after the list was frozen: the path of the list, and the letters.
async fn list(app: &TestApp, visitor: &Visitor, act: &str, number: usize) -> (String, Vec<(&'static str, String)>) {
    let mut letters = Vec::new();
    for (at, state) in ["unreadable", "call", "obsolete", "unreadable", "unreadable"].into_iter().enumerate() {
        letters.push((state, letter_in(app, state, number + at).await));
    }
    let path = prepared(app, visitor, act).await;
    // The worker tries one letter again, which dies again; an operator discards the other.
    for (letter, verb) in [(3, "redrive"), (4, "discard")] {
        letters[letter].0 = "changed";
        let verb = format!("/v1/dead-letters/{}/{verb}", letters[letter].1);
        assert_eq!(app.post(&verb, &json!({"reason": "before"})).await.0, 202);
        app.settle().await;
    }
    (path, letters)
}

/// The outcome of an item, by the page of the list after its end.
fn outcome<'a>(page: &'a str, letter: &str) -> &'a str {
    page.split(&format!("data-item=\"{letter}\"")).nth(1).unwrap().split("</tr>").next().unwrap()
}

#[tokio::test]
async fn a_bulk_run_in_every_state_does_what_was_announced() {
    let app = TestApp::start().await;
    let visitor = operator(&app).await;
    for (number, act) in ["discard", "redrive"].into_iter().enumerate() {
        let (path, letters) = list(&app, &visitor, act, 20 * number).await;
        let (page, count, left) = announced(&app, &visitor, &path).await;
        let mut expected = vec![format!("2 of them alone: {CHANGED}")];
        if act == "redrive" {
            expected.push(format!("1 of them alone: {MOVED_ON}"));
        }
        assert_eq!((count, left), (letters.len(), expected), "{act}");
        not_offered(&app, &visitor, &format!("{path}/stop"), &[]).await;
        let mut before = Vec::new();
        for (_, letter) in &letters {
            before.push(attempts(&app, letter).await);
        }
        let fields = [("reason", "for the test"), ("confirm", &count.to_string())];
        assert_eq!(visitor.act(&page, "bulk", &fields).await.status(), 303);
        app.settle().await;
        let done = visitor.page(&path).await;
        for ((state, letter), before) in letters.iter().zip(before) {
            let is_left = *state == "changed" || (act == "redrive" && *state == "obsolete");
            let (said, after) = (outcome(&done, letter), attempts(&app, letter).await);
            assert_eq!(said.contains("refused") || said.contains("already"), is_left, "{act} {state}: {said}");
            assert_eq!(after == before, is_left, "{act} {state}: {after:?}");
            assert!(is_left || after.0 == act, "{act} {state}: {after:?}");
        }
        // A run that has ended can neither be started nor stopped, and announces nothing.
        assert!(announced(&app, &visitor, &path).await.2.is_empty() && !done.contains("data-act="));
        for verb in ["start", "stop"] {
            not_offered(&app, &visitor, &format!("{path}/{verb}"), &[("confirm", &count.to_string())]).await;
        }
        cleared(&app).await;
    }
    // No letter is dead now.
    let path = prepared(&app, &visitor, "redrive").await;
    let (page, count, left) = announced(&app, &visitor, &path).await;
    assert!(
        (count, left.len()) == (0, 0) && !page.contains("data-act=") && page.contains("The list is empty"),
        "{page}"
    );
    not_offered(&app, &visitor, &format!("{path}/start"), &[("confirm", "0")]).await;
    app.finish().await;
}

#[tokio::test]
async fn a_run_under_way_is_stopped_as_was_announced() {
    let app = TestApp::start().await;
    let visitor = operator(&app).await;
    letter_in(&app, "unreadable", 1).await;
    let path = prepared(&app, &visitor, "discard").await;
    let fields = [("reason", "for the test"), ("confirm", "1")];
    assert_eq!(visitor.act(&visitor.page(&path).await, "bulk", &fields).await.status(), 303);
    let page = visitor.page(&path).await;
    assert_eq!(visitor.act(&page, "stop_bulk", &[]).await.status(), 303);
    app.settle().await;
    let page = visitor.page(&path).await;
    assert!(page.contains(r#"data-done="0""#) && page.contains("the rest of its list is left alone"), "{page}");
    assert_eq!(app.items("/v1/dead-letters").await.len(), 1);
    not_offered(&app, &visitor, &format!("{path}/start"), &[("confirm", "1")]).await;
    app.finish().await;
}

/// Discards the letters that are still dead.
async fn cleared(app: &TestApp) {
    for letter in app.items("/v1/dead-letters").await {
        let path = format!("/v1/dead-letters/{}/discard", letter["id"].as_str().unwrap());
        assert_eq!(app.post(&path, &json!({"reason": "after"})).await.0, 202);
    }
    app.settle().await;
}
