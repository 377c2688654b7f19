//! Reports, mismatches and the ledger in a real browser.

use super::driver::{Browser, browser};
use super::sign_in;
use crate::dashboard::{OPERATOR, recorded_acts};
use crate::reconciliation::{Register, reconcile, upload};
use crate::support::TestApp;
use crate::support::process::Folder;

const IBAN: &str = "BE68539007547034";

/// The reports and a mismatch that reconciliation found, by id.
pub struct Found {
    pub report: String,
    pub held: String,
    pub mismatch: String,
}

/// A register that differs in one IBAN, one that is held, and charges whose settlement does not add up.
pub async fn found(app: &TestApp) -> Found {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, IBAN).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    let bad = "aor_2,,COMPLETED,BE00123,NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z";
    let register = Register::of_day("2026-01-01").row("aor_1,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,");
    let differs = reconcile(app, &register.about(&opening, "COMPLETED", "BE71096123456769").row(bad)).await;
    let wrong = (0..21).fold(Register::of_day("2025-12-31"), |register, n| {
        register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2025-12-31T08:00:00Z,"))
    });
    let held = reconcile(app, &wrong).await;
    upload(app, "provider=nexusbank&kind=charges", charges(&reference)).await;
    app.settle().await;
    let mismatch = app.items("/v1/mismatches?class=IBAN_MISMATCH").await[0]["id"].as_str().unwrap().to_owned();
    let id = |it: &serde_json::Value| it["id"].as_str().unwrap().to_owned();
    Found { report: id(&differs), held: id(&held), mismatch }
}

fn charges(reference: &str) -> String {
    let rest = ",EUR,,,,stl_1,2026-01-01T09:30:00Z,2026-01-02,Fee\n";
    format!(
        "HEADER,charges,nexusbank,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-02-01T03:00:00Z\n\
         line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,\
         original_currency,fx_rate,settlement_id,occurred_at,booked_on,description\n\
         chg_1,charge,application,1,{reference},,0.50,0.00{rest}\
         chg_2,charge,account_opened,1,{reference},,6.05,1.05{rest}\
         stl_1,settlement,,2,,,7.55,1.05{rest}TRAILER,3,EUR=6.55\n"
    )
}

async fn open(browser: &Browser, app: &TestApp, path: &str) {
    browser.open(&format!("{}{path}", app.internal)).await;
}

#[tokio::test]
async fn a_file_is_rehearsed_uploaded_and_discarded_with_a_browser() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::start().await;
    open(&browser, &app, "/reports/upload").await;
    sign_in(&browser, OPERATOR).await;
    let wrong = (0..21).fold(Register::of_day("2026-01-01"), |register, n| {
        register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"))
    });
    let folder = Folder::new();
    let file = folder.path().join("<b>january.csv");
    std::fs::write(&file, wrong.text()).unwrap();
    assert!(browser.text("[data-rehearsal]").await.contains("applies and books nothing"));
    browser.write("#reason", "the file of January").await;
    browser.write("#file", file.to_str().unwrap()).await;
    browser.click(r#"form[data-act="upload_report"] button"#).await;
    browser.element("#done-upload_report:target").await;
    app.settle().await;
    let page = browser.url().await;
    browser.open(page.split('#').next().unwrap()).await;
    assert_eq!(browser.text(r#"h1 [data-state="held"]"#).await.trim(), "held");
    assert!(browser.text("[data-why]").await.contains("21 of 21 rows differ"));
    assert!(browser.text("#head").await.contains("<b>january.csv"), "a name is text");
    browser.click(r#"[data-act="discard_report"]"#).await;
    browser.write("#reason", "the wrong file").await;
    browser.click(r#"form[data-act="discard_report"] button"#).await;
    browser.element("#done-discard_report:target").await;
    assert_eq!(browser.text(r#"h1 [data-state="discarded"]"#).await.trim(), "discarded");
    assert_eq!(recorded_acts(&app).await, ["sign_in", "upload_report", "discard_report"]);
    open(&browser, &app, "/reports").await;
    browser.element("[data-calendar], #calendar p").await;
    assert_eq!(browser.complaints().await, [] as [&str; 0]);
    browser.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_mismatch_leads_from_its_report_to_its_case_with_a_browser() {
    let Some(browser) = browser().await else { return };
    let app = TestApp::with().prices().start().await;
    let found = found(&app).await;
    open(&browser, &app, &format!("/reports/{}", found.report)).await;
    sign_in(&browser, OPERATOR).await;
    browser.click("#mismatches a[href*=IBAN_MISMATCH]").await;
    browser.click("#mismatches tbody a").await;
    assert!(browser.text(r#"tr[data-field="iban"][data-differs]"#).await.contains("BE71096123456769"));
    assert!(browser.text("li[data-raw]").await.contains("BE71096123456769"));
    browser.click(r#"[data-act="resolve_case"]"#).await;
    browser.write("#reason", "ours holds").await;
    browser.click(r#"form[data-act="resolve_case"] button"#).await;
    browser.element("#done-resolve_case:target").await;
    open(&browser, &app, &format!("/mismatches/{}", found.mismatch)).await;
    assert_eq!(browser.text(r#"h1 [data-state="resolved"]"#).await.trim(), "resolved");
    open(&browser, &app, "/ledger").await;
    assert!(browser.text(r#"[data-settlement] [data-node="lines"][data-differs]"#).await.contains("off by"));
    assert_eq!(browser.complaints().await, [] as [&str; 0]);
    browser.close().await;
    app.settle().await;
    app.finish().await;
}
