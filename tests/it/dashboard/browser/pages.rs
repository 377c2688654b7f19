//! Every page of the dashboard, in one table: each is looked at in every theme and width, and in every mode.

use account_opening::provider::signature::WebhookSecret;

use super::driver::Browser;
use super::opening::{end, search};
use super::reports::{Found, found};
use crate::support::TestApp;

/// The pages: a name, and the path with the ids of [`Story`]. A new page is a line here.
pub const PAGES: &[(&str, &str)] = &[
    ("today", "/"),
    ("openings", "/openings"),
    ("opening-waiting", "/openings/{waiting}"),
    ("opening-differs", "/openings/{differs}"),
    ("fact", "/openings/{differs}/facts/{fact}"),
    ("resolve", "/openings/{waiting}/resolve"),
    ("reveal", "/openings/{waiting}/reveal"),
    ("erase", "/openings/{differs}/erase"),
    ("search", "/search"),
    ("tickets", "/tickets"),
    ("cases", "/cases"),
    ("case", "/cases/{case}"),
    ("resolve-case", "/cases/{case}/resolve"),
    ("dead-letters", "/dead-letters"),
    ("dead-letter", "/dead-letters/{letter}"),
    ("redrive", "/dead-letters/{letter}/redrive"),
    ("discard", "/dead-letters/{letter}/discard"),
    ("refused", "/refused"),
    ("refused-webhook", "/refused/{refused}"),
    ("reverify", "/refused/{refused}/reverify"),
    ("unmatched", "/unmatched"),
    ("providers", "/providers"),
    ("force-breaker", "/providers/nexusbank/breakers/submit"),
    ("backfill", "/providers/nexusbank/backfill"),
    ("flags", "/flags"),
    ("set-flag", "/flags/set?market=BE&enabled=false"),
    ("acts", "/acts"),
    ("help", "/help"),
    ("reports", "/reports"),
    ("report", "/reports/{report}"),
    ("held", "/reports/{held}"),
    ("release", "/reports/{held}/release"),
    ("discard-report", "/reports/{held}/discard"),
    ("upload", "/reports/upload"),
    ("pull", "/reports/pull"),
    ("mismatches", "/mismatches"),
    ("mismatch", "/mismatches/{mismatch}"),
    ("ledger", "/ledger"),
    ("account", "/account"),
    ("not-found", "/nothing"),
];

/// Pages of acts, which exist only where something can be done.
pub const ACTS: &[&str] = &[
    "resolve",
    "reveal",
    "erase",
    "resolve-case",
    "redrive",
    "discard",
    "reverify",
    "force-breaker",
    "backfill",
    "set-flag",
    "release",
    "discard-report",
    "upload",
    "pull",
];

/// Pages that a browser reaches by a form alone.
pub const ANSWERS: &[&str] = &["found", "nothing-found", "revealed", "form-refused", "moved", "bulk", "bulk-started"];

/// Of two openings, which a search therefore lists.
const CUSTOMER: &str = "cus_with_two_openings";

/// The subjects of the pages.
pub struct Story {
    waiting: String,
    differs: String,
    fact: String,
    case: String,
    letter: String,
    refused: String,
    report: String,
    held: String,
    mismatch: String,
}

impl Story {
    /// An opening that waits, one about which the bank gave two answers, webhooks that were refused, unreadable and about nothing, and
    /// what reconciliation found.
    pub async fn tell(app: &TestApp) -> Self {
        let (waiting, reference) = app.open().customer(CUSTOMER).waiting().await;
        app.webhook().status(&reference, "IN_PROGRESS").acknowledged().await;
        app.settle().await;
        let (differs, reference) = app.open().market("NL").customer(CUSTOMER).waiting().await;
        for iban in ["BE78731000011186", "BE21731000022203"] {
            app.webhook().completed(&reference, iban).acknowledged().await;
            app.settle().await;
        }
        let unknown = WebhookSecret::parse("whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWtleQ==").unwrap();
        app.webhook().completed("aor_1", "BE68539007547034").signed_with(&unknown).answered().await;
        app.webhook().body("{\"type\": 1}").acknowledged().await;
        app.webhook().status("aor_that_is_unknown", "IN_PROGRESS").acknowledged().await;
        app.settle().await;
        let (case, letter) = (first(app, "/v1/cases").await, first(app, "/v1/dead-letters").await);
        let refused = first(app, "/v1/rejected-requests").await;
        let fact =
            "select id::text from inbox where opening_id = $1::uuid and source = 'webhook' order by id desc limit 1";
        let fact = sqlx::query_scalar(fact).bind(&differs).fetch_one(&app.pool).await.unwrap();
        let Found { report, held, mismatch } = found(app).await;
        Self { waiting, differs, fact, case, letter, refused, report, held, mismatch }
    }

    /// The path of a page.
    pub fn path(&self, path: &str) -> String {
        path.replace("{waiting}", &self.waiting)
            .replace("{differs}", &self.differs)
            .replace("{fact}", &self.fact)
            .replace("{case}", &self.case)
            .replace("{letter}", &self.letter)
            .replace("{refused}", &self.refused)
            .replace("{report}", &self.report)
            .replace("{held}", &self.held)
            .replace("{mismatch}", &self.mismatch)
    }

    /// Goes to a page of [`ANSWERS`] of the service at `base`.
    pub async fn reach(&self, browser: &Browser, base: &str, answer: &str) {
        let open = async |path: &str| browser.open(&format!("{base}{}", self.path(path))).await;
        match answer {
            "found" | "nothing-found" => {
                open("/search").await;
                search(browser, if answer == "found" { CUSTOMER } else { "cus_without_any" }).await;
                browser.element("main [role=\"status\"]").await;
            }
            "revealed" => {
                open("/openings/{waiting}/reveal").await;
                browser.write("#reason", "the customer is on the phone").await;
                browser.click("form[data-act=\"reveal_personal_data\"] button").await;
                browser.element("[data-revealed]").await;
            }
            "form-refused" => {
                open("/openings/{waiting}/resolve").await;
                browser.run("document.querySelector('form[data-act]').noValidate = true").await;
                browser.click("form[data-act=\"resolve\"] button").await;
                browser.element("[aria-invalid=\"true\"]").await;
            }
            "moved" => {
                open("/openings/{waiting}/resolve").await;
                browser.run("document.querySelector('[name=expected_version]').value = 1").await;
                end(browser).await;
                browser.element("main a.button").await;
            }
            _ => {
                open("/dead-letters").await;
                browser.click("[data-act=\"bulk\"] button").await;
                browser.element("form[data-act=\"bulk\"] #confirm").await;
                if answer == "bulk-started" {
                    let count = browser.run("return document.querySelector('[data-items]').dataset.items").await;
                    browser.write("#reason", "not ours").await;
                    browser.write("#confirm", count.as_str().unwrap()).await;
                    browser.click("form[data-act=\"bulk\"] button").await;
                    browser.element("#done-bulk:target").await;
                }
            }
        }
    }
}

async fn first(app: &TestApp, list: &str) -> String {
    app.items(list).await[0]["id"].as_str().unwrap().to_owned()
}
