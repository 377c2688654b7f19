//! An opening in a real browser: found by a search, revealed, and ended; a form of a page that is out of date.

use super::driver::{Browser, browser};
use super::pages::Story;
use super::sign_in;
use crate::dashboard::{OPERATOR, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";

/// Types into the search box and sends it.
pub async fn search(browser: &Browser, text: &str) {
    browser.write("form.search input", text).await;
    browser.click("form.search button").await;
}

/// Fills the form that ends an opening as failed, and sends it.
pub async fn end(browser: &Browser) {
    browser.write("#outcome", "failed").await;
    browser.write("#reason", "the customer gave up").await;
    browser.write("#evidence", "their letter").await;
    browser.click(r#"form[data-act="resolve"] button"#).await;
}

#[tokio::test]
async fn an_opening_is_found_revealed_and_ended_with_a_browser_and_a_form_that_is_out_of_date_does_nothing() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let (id, reference) = app.open().customer("cus_on_the_phone").waiting().await;
    let (other, _) = app.open().waiting().await;
    browser.open(&app.internal).await;
    sign_in(&browser, OPERATOR).await;
    search(&browser, "cus_on_the_phone").await;
    let opening = format!("{}/openings/{id}", app.internal);
    assert!(browser.text("#head").await.contains("cus_on_the_phone"));
    assert_eq!(browser.url().await, opening);

    assert!(!browser.text("main").await.contains("Acme BV"), "names are masked");
    browser.click(r#"[data-act="reveal_personal_data"]"#).await;
    browser.write("#reason", "the customer is on the phone").await;
    browser.click(r#"form[data-act="reveal_personal_data"] button"#).await;
    browser.element("[data-revealed]").await;
    assert!(browser.text("main").await.contains("Acme BV"), "{}", browser.text("main").await);
    let revealed = browser.url().await;
    browser.open(&revealed).await;
    assert!(!browser.text("main").await.contains("Acme BV"), "a reload shows nothing");

    // The bank answers while the form is being filled.
    browser.open(&format!("{opening}/resolve")).await;
    assert!(browser.text("[data-rehearsal]").await.contains("moves the opening from awaiting provider to failed"));
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    end(&browser).await;
    browser.element("main h1").await;
    assert!(browser.text("main").await.contains("You saw version 3"), "{}", browser.text("main").await);
    assert_eq!(app.opening(&id).await["state"], "completed");
    search(&browser, IBAN).await;
    browser.element("#head").await;
    assert_eq!(browser.url().await, opening, "found by an IBAN that is in no address");

    browser.open(&format!("{}/openings/{other}/resolve", app.internal)).await;
    end(&browser).await;
    browser.element("#done-resolve:target").await;
    app.settle().await;
    assert_eq!(app.opening(&other).await["state"], "failed");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "reveal_personal_data", "resolve"]);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn head_sentences_next_comparison_and_acts_are_seen_without_scrolling() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    browser.open(&app.internal).await;
    sign_in(&browser, OPERATOR).await;
    browser.element("h1").await;
    browser.show_as(1280, "light").await;
    for path in ["/openings/{waiting}", "/openings/{differs}"] {
        browser.open(&format!("{}{}", app.internal, story.path(path))).await;
        for part in ["#head", "#say", "#next", "#comparison", "aside.acts > :last-child"] {
            let bottom = format!("return document.querySelector('{part}').getBoundingClientRect().bottom");
            let bottom = browser.run(&bottom).await.as_f64().unwrap();
            assert!(bottom <= 800.0, "{path}: {part} ends at {bottom}");
        }
    }
    browser.close().await;
    app.finish().await;
}
