//! Live updates in a browser: a change appears by itself, and what a person works with stays.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::driver::{Browser, browser};
use super::sign_in;
use crate::dashboard::{OPERATOR, recorded_acts};
use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
/// A change is shown within so long.
const SOON: Duration = Duration::from_secs(7);

/// Reads what browsers watch once a second, as the service does, until the guard is dropped.
fn watching(app: &TestApp) -> tokio_util::sync::DropGuard {
    let (live, context, stop) = (app.state.live.clone(), app.context.clone(), CancellationToken::new());
    let ended = stop.clone();
    tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        while ended.run_until_cancelled(second.tick()).await.is_some() {
            live.look(&context).await.unwrap();
        }
    });
    stop.drop_guard()
}

/// Waits until a script is true on the page, and says how long that took. The page itself looks: each look from here would pass through
/// the driver, 200 times a second. The driver ends a script after 30 s with an error.
async fn until(browser: &Browser, script: &str) -> Duration {
    let began = Instant::now();
    let look = format!(
        "const done = arguments[arguments.length - 1];
         const look = () => ({script}) ? done(true) : setTimeout(look, 20);
         look();"
    );
    assert_eq!(browser.run_to_its_end(&look).await, Value::Bool(true), "{script}");
    began.elapsed()
}

#[tokio::test]
async fn a_change_appears_by_itself_while_what_is_being_typed_stays() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let _watching = watching(&app);
    let (id, reference) = app.open().waiting().await;
    browser.open(&format!("{}/openings/{id}", app.internal)).await;
    sign_in(&browser, OPERATOR).await;
    browser.write("#iban", "BE68 5390").await;
    // The page has its mark once it was looked at again.
    until(&browser, "document.querySelector('main').dataset.seen !== ''").await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let took = until(&browser, "document.querySelector('#head [data-state]').dataset.state === 'completed'").await;
    assert!(took < SOON, "{took:?}");
    let typed = browser.run("return document.querySelector('#iban').value").await;
    let focus = browser.run("return document.activeElement.id").await;
    assert_eq!((typed.as_str(), focus.as_str()), (Some("BE68 5390"), Some("iban")));
    // The acts follow, so that no button of the version before is left.
    assert_eq!(
        browser.run("return document.querySelector('#offers [data-act=poll]').disabled").await,
        Value::Bool(true)
    );
    assert_eq!(browser.complaints().await, [] as [&str; 0]);
    assert_eq!(recorded_acts(&app).await, ["sign_in"]);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_region_that_is_selected_or_held_open_stays_until_it_is_let_go() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let _watching = watching(&app);
    let (id, reference) = app.open().waiting().await;
    browser.open(&format!("{}/openings/{id}", app.internal)).await;
    sign_in(&browser, OPERATOR).await;
    until(&browser, "document.querySelector('main').dataset.seen !== ''").await;
    browser.run("getSelection().selectAllChildren(document.querySelector('#timeline h2'))").await;
    let before = browser.run("return document.querySelectorAll('#timeline [data-timeline-id]').length").await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    until(&browser, "document.querySelector('#head [data-state]').dataset.state === 'completed'").await;
    assert_eq!(browser.run("return document.querySelectorAll('#timeline [data-timeline-id]').length").await, before);
    browser.run("getSelection().removeAllRanges()").await;
    let more = format!("document.querySelectorAll('#timeline [data-timeline-id]').length > {before}");
    assert!(until(&browser, &more).await < SOON);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn one_switch_turns_all_times_to_the_browsers_zone_also_those_that_come_later() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let _watching = watching(&app);
    browser.devtools("Emulation.setTimezoneOverride", &serde_json::json!({"timezoneId": "Europe/Berlin"})).await;
    browser.open(&format!("{}/acts", app.internal)).await;
    sign_in(&browser, OPERATOR).await;
    assert!(browser.text("#acts time").await.ends_with("00:00:00 UTC"));
    browser.click("button[data-zone]").await;
    assert!(browser.text("#acts time").await.contains("01:00:00"), "{}", browser.text("#acts time").await);
    until(&browser, "document.querySelector('main').dataset.seen !== ''").await;
    super::super::Visitor::signed_in(&app, OPERATOR).await;
    let took = until(&browser, "document.querySelectorAll('#acts tbody tr').length === 2").await;
    assert!(took < SOON, "{took:?}");
    let all = browser
        .run("return [...document.querySelectorAll('#acts time')].every((it) => it.textContent.includes('01:00:00'))");
    assert_eq!(all.await, Value::Bool(true));
    browser.click("button[data-zone]").await;
    assert!(browser.text("#acts time").await.ends_with("UTC"));
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn without_a_script_every_page_shows_the_same() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    browser.devtools("Emulation.setScriptExecutionDisabled", &serde_json::json!({"value": true})).await;
    browser.open(&format!("{}/openings/{id}", app.internal)).await;
    sign_in(&browser, OPERATOR).await;
    browser.element(r#"[data-state="awaiting_provider"]"#).await;
    browser.element("#timeline time[datetime]").await;
    browser.click(r#"[data-act="poll"]"#).await;
    browser.element("#done-poll:target").await;
    assert_eq!(recorded_acts(&app).await, ["sign_in", "poll"]);
    browser.close().await;
    app.settle().await;
    app.finish().await;
}
