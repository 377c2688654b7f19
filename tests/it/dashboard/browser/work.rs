//! The pages of what people must look at: narrow and wide, light and dark. With `PICTURES=folder` it writes pictures for people.

use account_opening::provider::signature::WebhookSecret;
use world::{Fault, Plan};

use super::driver::{Browser, browser};
use super::{OPERATOR, sign_in};
use crate::support::TestApp;

const SHOWN: [(u32, &str); 4] = [(1440, "light"), (1440, "dark"), (390, "light"), (320, "dark")];

/// Something on every list.
async fn work(app: &TestApp) -> String {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, "BE68539007547034").acknowledged().await;
    app.settle().await;
    app.webhook().completed(&reference, "BE71096123456769").acknowledged().await;
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    app.open().key("stuck").plan(plan).start().await;
    for n in 0..3 {
        app.webhook()
            .body(format!("{{\"type\": {n}, \"note\": \"a very long text without any break {}\"}}", "x".repeat(300)))
            .acknowledged()
            .await;
    }
    let other = WebhookSecret::parse("whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWtleQ==").unwrap();
    app.webhook().completed("aor_1", "BE68539007547034").signed_with(&other).answered().await;
    app.webhook().status("aor_that_is_unknown", "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    id
}

async fn seen(browser: &Browser, name: &str) {
    for (width, theme) in SHOWN {
        browser.show_as(width, theme).await;
        let wide = browser.run("return document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{name} is {wide} px wide at {width}");
        if let Ok(folder) = std::env::var("PICTURES") {
            let file = std::path::Path::new(&folder).join(format!("{name}-{width}-{theme}.png"));
            std::fs::write(file, browser.picture().await).unwrap();
        }
    }
    browser.show_as(1280, "light").await;
    assert_eq!(browser.complaints().await, [] as [&str; 0], "{name}");
}

#[tokio::test]
async fn pages_of_work_fit_narrow_screens_and_a_bulk_run_is_started_by_hand() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let id = work(&app).await;
    browser.open(&format!("{}/tickets", app.internal)).await;
    sign_in(&browser, OPERATOR).await;
    browser.element("#tickets").await;
    let thing = |list: &'static str| format!("a[href^=\"/{list}/\"]");
    for (name, list) in [
        ("tickets", ""),
        ("cases", "cases"),
        ("dead-letters", "dead-letters"),
        ("refused", "refused"),
        ("unmatched", ""),
    ] {
        browser.open(&format!("{}/{name}", app.internal)).await;
        seen(&browser, name).await;
        if !list.is_empty() {
            browser.click(&thing(list)).await;
            browser.element("#head").await;
            seen(&browser, &format!("{name}-one")).await;
        }
    }
    browser.open(&format!("{}/openings/{id}", app.internal)).await;
    browser.click("a[href*=\"/facts/\"]").await;
    browser.element("#body-title").await;
    seen(&browser, "fact").await;

    browser.open(&format!("{}/dead-letters", app.internal)).await;
    browser.click("tr[data-cause=\"unreadable\"] [data-act=\"bulk\"]:last-of-type button").await;
    browser.element("[data-items=\"3\"]").await;
    seen(&browser, "bulk-prepared").await;
    browser.write("#reason", "not ours").await;
    browser.write("#confirm", "3").await;
    browser.click("form[data-act=\"bulk\"] button").await;
    browser.element("#done-bulk:target").await;
    seen(&browser, "bulk-started").await;
    app.settle().await;
    browser.open(&browser.url().await.replace("#done-bulk", "")).await;
    browser.element("[data-done=\"3\"]").await;
    seen(&browser, "bulk-finished").await;
    assert_eq!(app.items("/v1/dead-letters?cause=unreadable").await.len(), 0);
    browser.close().await;
    app.finish().await;
}
