//! No page violates WCAG 2.2 A or AA as far as axe-core finds out (`axe.min.js`, MPL-2.0), in both themes and at three widths.

use serde_json::Value;

use super::driver::{Browser, browser};
use super::pages::{ANSWERS, PAGES, Story};
use super::sign_in;
use crate::support::{TOKEN, TestApp};

const AXE: &str = include_str!("axe.min.js");
/// All rules are run on all elements; of what passes no description is made, which is most of the work.
const RUN: &str = "const done = arguments[arguments.length - 1];
    axe.run({
        runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']},
        resultTypes: ['violations'],
    })
       .then((result) => done(result.violations.map((it) =>
           `${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)))
       .catch((error) => done([String(error)]))";

/// The violations that axe-core, which was loaded into the page, finds on it.
async fn violations(browser: &Browser) -> Vec<String> {
    let found = browser.run_to_its_end(RUN).await;
    found.as_array().unwrap().iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
}

/// Whether the page is wider than the window: only tables scroll sideways, each within its own region.
async fn is_too_wide(browser: &Browser) -> bool {
    browser.run("return document.documentElement.scrollWidth > innerWidth").await == Value::Bool(true)
}

/// The problems of the page that is shown, in each theme at each width.
async fn looked_at(browser: &Browser, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for theme in ["light", "dark"] {
        for width in [1440, 390, 320] {
            browser.show_as(width, theme).await;
            wrong.extend(violations(browser).await.into_iter().map(|it| format!("{name} {theme} {width}: {it}")));
            if is_too_wide(browser).await {
                wrong.push(format!("{name} {theme} {width}: the page scrolls sideways"));
            }
        }
    }
    wrong
}

#[tokio::test]
async fn no_page_violates_wcag_in_any_theme_at_any_width() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let story = Story::tell(&app).await;
    let mut wrong = Vec::new();
    let axe = browser.add_script(AXE).await;
    browser.open(&format!("{}/login", app.internal)).await;
    wrong.extend(looked_at(&browser, "login").await);
    sign_in(&browser, TOKEN).await;
    browser.element("h1").await;
    for (name, path) in PAGES {
        browser.open(&format!("{}{}", app.internal, story.path(path))).await;
        wrong.extend(looked_at(&browser, name).await);
    }
    for name in ANSWERS {
        story.reach(&browser, &app.internal, name).await;
        wrong.extend(looked_at(&browser, name).await);
    }
    browser.remove_script(&axe).await;
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
    browser.close().await;
    app.settle().await;
    app.finish().await;
}

/// The check can fail: a page with a mistake has a violation.
#[tokio::test]
async fn a_button_without_a_name_is_a_violation() {
    let Some(browser) = browser().await else { return };
    browser
        .open("data:text/html,<!doctype html><html lang=en><title>t</title><main><h1>t</h1><button></button></main>")
        .await;
    browser.run(AXE).await;
    let found = violations(&browser).await;
    assert!(found.len() == 1 && found[0].starts_with("button-name"), "{found:?}");
    browser.close().await;
}
