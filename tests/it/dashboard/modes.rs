//! `DASHBOARD`: read-only has every page and no act, off has nothing; without a person no page is shown.

use account_opening::config::RawSettings;

use super::browser::pages::{ACTS, PAGES, Story};
use super::{Visitor, location};
use crate::support::{TOKEN, TestApp, problem};

/// Acts that remain in the mode `read-only`.
const REMAIN: [&str; 2] = ["check_iban", "end_session"];

fn mode(mode: &'static str) -> impl FnOnce(&mut RawSettings) {
    move |raw| raw.dashboard.dashboard = mode.to_owned()
}

/// The acts that a page offers.
fn offered(page: &str) -> Vec<&str> {
    page.split("data-act=\"").skip(1).filter_map(|it| it.split('"').next()).collect()
}

#[tokio::test]
async fn read_only_shows_every_page_and_offers_and_takes_no_act() {
    let app = TestApp::with().settings(mode("read-only")).start().await;
    let story = Story::tell(&app).await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    for (name, path) in PAGES {
        let path = story.path(path);
        let answer = visitor.get(&path).await;
        let status = answer.status().as_u16();
        let expected = if ACTS.contains(name) {
            403
        } else if *name == "not-found" {
            404
        } else {
            200
        };
        assert_eq!(status, expected, "{path}");
        let page = answer.text().await.unwrap();
        assert!(offered(&page).iter().all(|it| REMAIN.contains(it)), "{path}: {:?}", offered(&page));
        if ACTS.contains(name) {
            let path = path.split('?').next().unwrap();
            assert_eq!(visitor.post(path, &[("reason", "x")]).await.status(), 403, "{path}");
        }
    }
    app.finish().await;
}

/// Each time of ours is an element of its own, with its zone, so that the switch turns it.
#[tokio::test]
async fn every_time_on_every_page_is_an_element() {
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    let visitor = Visitor::signed_in(&app, TOKEN).await;
    let mut times = 0;
    for (_, path) in PAGES.iter().filter(|it| it.0 != "not-found") {
        let page = visitor.page(&story.path(path)).await;
        let (mut parts, elements) = (page.split("<time datetime=\""), page.matches("<time ").count());
        let bare =
            parts.next().unwrap().to_owned() + &parts.map(|it| it.split_once("</time>").unwrap().1).collect::<String>();
        let is_bare = |it: &str| it.ends_with(|last: char| last.is_ascii_digit());
        let zones: Vec<&str> = bare.split(" UTC").collect();
        let left = zones[..zones.len() - 1]
            .iter()
            .find(|it| is_bare(it))
            .map(|it| it.chars().rev().take(60).collect::<String>());
        assert_eq!(left, None, "{path}: backwards, a time that is no element");
        times += elements;
    }
    assert!(times > 100, "{times}");
    app.finish().await;
}

#[tokio::test]
async fn off_answers_no_page_and_signed_out_every_page_leads_to_the_sign_in() {
    let off = TestApp::with().settings(mode("off")).start().await;
    for (_, path) in [("", "/login"), ("", "/live?watch=all")].iter().chain(PAGES) {
        problem(Visitor::new(&off).get(&path.replace(['{', '}'], "")).await, 401, "unauthenticated").await;
    }
    off.finish().await;
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    for (_, path) in PAGES {
        let answer = Visitor::new(&app).get(&story.path(path)).await;
        assert!(answer.status() == 303 && location(&answer).starts_with("/login?next="), "{path}");
    }
    app.finish().await;
}
