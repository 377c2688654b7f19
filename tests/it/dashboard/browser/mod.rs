//! Pages in a real browser. Where Chromium is missing they are left out with a line that says so; in CI they fail.

mod accessible;
mod driver;
mod keyboard;
mod live;
mod opening;
pub mod pages;
mod reports;
mod work;

use std::path::{Path, PathBuf};

use self::driver::{Browser, browser};
use self::pages::{ANSWERS, PAGES, Story};
use super::{OPERATOR, recorded_acts};
use crate::support::{TOKEN, TestApp};

/// Signs in at the page that is shown.
pub async fn sign_in(browser: &Browser, token: &str) {
    browser.write("#token", token).await;
    browser.click("main button").await;
}

#[tokio::test]
async fn a_tickets_link_leads_by_the_sign_in_to_the_opening_and_one_click_asks_the_bank() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let link = format!("{}/openings/{id}", app.internal);
    browser.open(&link).await;
    sign_in(&browser, OPERATOR).await;
    assert_eq!(browser.text(r#"[data-state="awaiting_provider"]"#).await.trim(), "awaiting provider");
    assert_eq!(browser.url().await, link);
    browser.click(r#"[data-act="poll"]"#).await;
    browser.element("#done-poll:target").await;
    assert_eq!(recorded_acts(&app).await, ["sign_in", "poll"]);
    assert_eq!(browser.complaints().await, [] as [&str; 0]);
    browser.close().await;
    app.finish().await;
}

/// Writes pictures of the pages for people who look at them: `PICTURES=folder cargo test -- --ignored pictures`. README shows
/// `opening-differs-1440-light.png` of them as `docs/opening.png`.
#[tokio::test]
#[ignore = "for people: it writes pictures"]
async fn pictures_of_the_pages_are_written() {
    let Some(browser) = browser().await else { return };
    let folder = PathBuf::from(std::env::var("PICTURES").expect("PICTURES names a folder"));
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    browser.open(&format!("{}/login", app.internal)).await;
    drawn(&browser, &folder, "login").await;
    sign_in(&browser, TOKEN).await;
    browser.element("h1").await;
    for (name, path) in PAGES {
        browser.open(&format!("{}{}", app.internal, story.path(path))).await;
        drawn(&browser, &folder, name).await;
    }
    for name in ANSWERS {
        story.reach(&browser, &app.internal, name).await;
        drawn(&browser, &folder, name).await;
    }
    browser.close().await;
    app.settle().await;
    app.finish().await;
}

/// Writes pictures of the page that is shown.
async fn drawn(browser: &Browser, folder: &Path, name: &str) {
    for (width, theme) in [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")] {
        browser.show_as(width, theme).await;
        let wide = browser.run("return document.documentElement.scrollWidth").await;
        println!("{name} {width} {theme}: {wide} px wide, {:?}", browser.complaints().await);
        std::fs::write(folder.join(format!("{name}-{width}-{theme}.png")), browser.picture().await).unwrap();
    }
}
