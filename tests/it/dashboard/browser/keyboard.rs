//! The keyboard alone suffices: everything that can be clicked is reached by the tabulator, seen there, and worked by the keys.

use serde_json::{Value, json};

use super::driver::{Browser, browser};
use crate::dashboard::{OPERATOR, recorded_acts};
use crate::support::TestApp;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// More stops than a page has.
const MANY: usize = 200;

async fn is_focused(browser: &Browser, selector: &str) -> bool {
    let script = format!("return document.activeElement.matches({})", json!(selector));
    browser.run(&script).await == Value::Bool(true)
}

/// Goes on by the tabulator until the element has the focus, which must be seen there.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..MANY {
        if is_focused(browser, selector).await {
            let outline = "return getComputedStyle(document.activeElement).outlineStyle";
            assert_ne!(browser.run(outline).await, "none", "{selector}");
            return;
        }
        browser.press(TAB).await;
    }
    panic!("{selector} is not reached");
}

async fn keys(browser: &Browser, text: &str) {
    for key in text.chars() {
        browser.press(&key.to_string()).await;
    }
}

/// The elements that can be worked and were not reached by the tabulator.
async fn unreached(browser: &Browser) -> Value {
    let all = "a[href], button:not([disabled]), input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    browser
        .run(&format!(
            "window.reached = new Set();
             window.wanted = [...document.querySelectorAll({})].filter((it) => it.checkVisibility());
             document.activeElement.blur();",
            json!(all)
        ))
        .await;
    for _ in 0..MANY {
        browser.press(TAB).await;
        let script = "const is_new = !reached.has(document.activeElement);
                      reached.add(document.activeElement);
                      return is_new";
        if browser.run(script).await == Value::Bool(false) {
            break;
        }
    }
    browser.run("return wanted.filter((it) => !reached.has(it)).map((it) => it.outerHTML.slice(0, 100))").await
}

#[tokio::test]
async fn a_person_signs_in_finds_asks_and_ends_an_opening_by_the_keyboard_alone() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let (id, _) = app.open().customer("cus_by_keyboard").waiting().await;
    browser.open(&app.internal).await;
    tab_to(&browser, "#token").await;
    keys(&browser, OPERATOR).await;
    browser.press(ENTER).await;
    browser.element("#counts").await;
    tab_to(&browser, "form.search input").await;
    keys(&browser, "cus_by_keyboard").await;
    browser.press(ENTER).await;
    browser.element("#offers").await;
    assert_eq!(unreached(&browser).await, json!([]));

    tab_to(&browser, "[data-act=\"poll\"] button").await;
    browser.press(ENTER).await;
    browser.element("#done-poll:target").await;
    tab_to(&browser, "a[data-act=\"resolve\"]").await;
    browser.press(ENTER).await;
    browser.element("form[data-act=\"resolve\"]").await;
    assert_eq!(unreached(&browser).await, json!([]));
    for (field, text) in [("#outcome", "failed"), ("#reason", "gave up"), ("#evidence", "a letter")] {
        tab_to(&browser, field).await;
        keys(&browser, text).await;
    }
    tab_to(&browser, "form[data-act=\"resolve\"] button").await;
    browser.press(ENTER).await;
    browser.element("#done-resolve:target").await;
    assert_eq!(recorded_acts(&app).await, ["sign_in", "poll", "resolve"]);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "failed");
    browser.close().await;
    app.finish().await;
}
