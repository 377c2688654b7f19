//! Live updates over HTTP: what is asked, what is answered, and what it costs.

use account_opening::driver::tick;
use account_opening::workers::sweeper::Sweeper;
use chrono::TimeDelta;
use reqwest::Method;

use super::browser::pages::Story;
use super::{READER, Visitor, location};
use crate::support::{TOKEN, TestApp};

const IBAN: &str = "BE68539007547034";

fn attribute(page: &str, name: &str) -> String {
    page.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Asks as the page's script does; whether it has changed.
async fn has_changed(visitor: &Visitor, watch: &str, seen: &str) -> bool {
    let answer = visitor.get(&format!("/live?watch={watch}&seen={seen}")).await;
    match answer.status().as_u16() {
        200 => {
            assert_eq!(answer.text().await.unwrap(), "changed");
            true
        }
        status => {
            assert_eq!(status, 204);
            false
        }
    }
}

#[tokio::test]
async fn a_page_learns_of_each_change_of_what_it_shows_and_of_no_other() {
    let app = TestApp::start().await;
    let (id, reference) = app.open().waiting().await;
    let (_, other) = app.open().market("NL").waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    let path = format!("/openings/{id}");
    let watch = attribute(&visitor.page(&path).await, "data-watch");
    assert_eq!(watch, format!("opening:{id}"));
    assert!(!has_changed(&visitor, &watch, "").await, "nothing was read yet");
    app.state.live.look(&app.context).await.unwrap();
    assert!(has_changed(&visitor, &watch, "").await, "the page was read before its mark was known");
    let seen = attribute(&visitor.page(&path).await, "data-seen");
    assert!(!has_changed(&visitor, &watch, &seen).await);
    app.webhook().completed(&other, IBAN).acknowledged().await;
    app.settle().await;
    assert!(!has_changed(&visitor, &watch, &seen).await, "another opening moved");
    app.webhook().status(&reference, "IN_PROGRESS").acknowledged().await;
    app.state.live.look(&app.context).await.unwrap();
    assert!(has_changed(&visitor, &watch, &seen).await, "a message came");
    let seen = attribute(&visitor.page(&path).await, "data-seen");
    assert!(!has_changed(&visitor, &watch, &seen).await);
    app.settle().await;
    assert!(has_changed(&visitor, &watch, &seen).await, "it was decided");
    app.finish().await;
}

#[tokio::test]
async fn the_first_page_learns_of_all_that_people_must_see() {
    let app = TestApp::start().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    has_changed(&visitor, "all", "").await;
    let mut seen = String::new();
    let changed = async |seen: &mut String| {
        app.state.live.look(&app.context).await.unwrap();
        let has = has_changed(&visitor, "all", seen).await;
        *seen = attribute(&visitor.page("/").await, "data-seen");
        has
    };
    assert!(changed(&mut seen).await && !changed(&mut seen).await);
    let id = app.open().start().await;
    assert!(changed(&mut seen).await, "an opening started");
    app.settle().await;
    assert!(changed(&mut seen).await && !changed(&mut seen).await);
    let body = serde_json::json!({"forced": "open", "reason": "x"});
    for forced in [body, serde_json::json!({"forced": null, "reason": "x"})] {
        app.request(Method::PUT, "/v1/breakers/cards/issue").json(&forced).send().await.unwrap();
        assert!(changed(&mut seen).await, "{forced}");
    }
    assert!(app.opening(&id).await["state"].is_string());
    app.finish().await;
}

#[tokio::test]
async fn asking_takes_a_session_that_it_does_not_prolong() {
    let app = TestApp::start().await;
    assert_eq!(Visitor::new(&app).get("/live?watch=all&seen=").await.status(), 401);
    let visitor = Visitor::signed_in(&app, READER).await;
    for wrong in ["/live", "/live?watch=x&seen=", "/live?watch=opening:1"] {
        assert_eq!(visitor.get(wrong).await.status(), 422, "{wrong}");
    }
    for _ in 0..4 {
        app.pass(TimeDelta::minutes(7));
        assert!(!has_changed(&visitor, "all", "").await);
        let page = visitor.request(Method::GET, "/openings").header("x-live", "1").send().await.unwrap();
        assert_eq!(page.status(), 200);
    }
    app.pass(TimeDelta::minutes(3));
    assert_eq!(visitor.get("/live?watch=all&seen=").await.status(), 401, "30 minutes without a visit");
    assert!(location(&visitor.get("/openings").await).starts_with("/login"));
    let visitor = Visitor::signed_in(&app, READER).await;
    assert!(!has_changed(&visitor, "all", "").await);
    assert_eq!(visitor.post("/logout", &[]).await.status(), 303);
    app.state.live.look(&app.context).await.unwrap();
    assert_eq!(visitor.get("/live?watch=all&seen=").await.status(), 401, "signed out");
    app.finish().await;
}

#[tokio::test]
async fn pages_that_no_browser_shows_are_not_read() {
    let app = TestApp::start().await;
    assert_eq!(app.state.live.look(&app.context).await.unwrap(), 0, "there are no watchers");
    let visitor = Visitor::signed_in(&app, READER).await;
    for _ in 0..20 {
        has_changed(&visitor, "all", "").await;
    }
    assert_eq!(app.state.live.look(&app.context).await.unwrap(), 1, "twenty browsers watch one thing");
    assert_eq!(app.state.live.look(&app.context).await.unwrap(), 0, "nothing changed");
    app.open().start().await;
    app.pass(TimeDelta::seconds(16));
    assert_eq!(app.state.live.look(&app.context).await.unwrap(), 0, "the browsers have gone");
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn while_nothing_changes_time_and_the_workers_change_no_mark() {
    let app = TestApp::start().await;
    Story::tell(&app).await;
    app.open().waiting().await;
    // The sweeper has not been round since: it adds counts up and gives events their positions while browsers look.
    let id = app.open().market("FR").start().await;
    while app.round().await {}
    let visitor = Visitor::signed_in(&app, READER).await;
    let watches = ["all".to_owned(), "acts".to_owned(), format!("opening:{id}")];
    for watch in &watches {
        has_changed(&visitor, watch, "").await;
    }
    assert_eq!(app.state.live.look(&app.context).await.unwrap(), 3, "their first marks");
    for second in 1..=60 {
        app.pass(TimeDelta::seconds(1));
        app.try_round().await;
        if second % 10 == 0 {
            tick(&Sweeper(app.context.clone())).await.unwrap();
        }
        assert_eq!(app.state.live.look(&app.context).await.unwrap(), 0, "after {second} s");
        for watch in &watches {
            has_changed(&visitor, watch, "").await;
        }
    }
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn a_sign_in_an_export_and_a_sign_out_are_news_for_the_list_of_acts_alone() {
    let app = TestApp::start().await;
    app.open().waiting().await;
    let visitor = Visitor::signed_in(&app, READER).await;
    for path in ["/acts", "/account"] {
        assert_eq!(attribute(&visitor.page(path).await, "data-watch"), "acts", "{path}");
    }
    let changed = async || {
        app.state.live.look(&app.context).await.unwrap();
        let seen =
            (attribute(&visitor.page("/").await, "data-seen"), attribute(&visitor.page("/acts").await, "data-seen"));
        has_changed(&visitor, "all", "").await;
        has_changed(&visitor, "acts", "").await;
        seen
    };
    changed().await;
    let (mut all, mut acts) = changed().await;
    let other = Visitor::signed_in(&app, TOKEN).await;
    for what in ["signed in", "exported", "refused", "signed out"] {
        match what {
            "exported" => assert_eq!(other.get("/openings.csv").await.status(), 200),
            "refused" => assert_eq!(Visitor::new(&app).sign_in("wrong", "").await.status(), 401),
            "signed out" => assert_eq!(other.post("/logout", &[]).await.status(), 303),
            _ => {}
        }
        let seen = changed().await;
        assert_eq!(seen.0, all, "{what}");
        assert_ne!(seen.1, acts, "{what}");
        (all, acts) = seen;
    }
    app.open().start().await;
    let seen = changed().await;
    assert!(seen.0 != all && seen.1 != acts, "an opening is news for both");
    app.settle().await;
    app.finish().await;
}
