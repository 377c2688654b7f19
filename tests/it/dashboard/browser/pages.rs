//! Every page of the dashboard, in one table: each is looked at in every theme and width, and in every mode.

use super::reports::{Found, found};
use crate::support::TestApp;

/// The pages: a name, and the path with the ids of [`Story`]. A new page is a line here.
pub const PAGES: &[(&str, &str)] = &[
    ("today", "/"),
    ("openings", "/openings"),
    ("opening-waiting", "/openings/{waiting}"),
    ("opening-differs", "/openings/{differs}"),
    ("resolve", "/openings/{waiting}/resolve"),
    ("reveal", "/openings/{waiting}/reveal"),
    ("erase", "/openings/{differs}/erase"),
    ("search", "/search"),
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
    ("upload", "/reports/upload"),
    ("pull", "/reports/pull"),
    ("mismatches", "/mismatches"),
    ("mismatch", "/mismatches/{mismatch}"),
    ("ledger", "/ledger"),
    ("account", "/account"),
    ("not-found", "/nothing"),
];

/// Pages of acts, which exist only where something can be done.
pub const ACTS: &[&str] =
    &["resolve", "reveal", "erase", "force-breaker", "backfill", "set-flag", "release", "upload", "pull"];

/// What the pages are about.
pub struct Story {
    waiting: String,
    differs: String,
    report: String,
    held: String,
    mismatch: String,
}

impl Story {
    /// An opening that waits, one about which the bank gave two answers, and what reconciliation found.
    pub async fn tell(app: &TestApp) -> Self {
        let (waiting, reference) = app.open().waiting().await;
        app.webhook().status(&reference, "IN_PROGRESS").acknowledged().await;
        app.settle().await;
        let (differs, reference) = app.open().market("NL").waiting().await;
        for iban in ["BE68539007547034", "BE71096123456769"] {
            app.webhook().completed(&reference, iban).acknowledged().await;
            app.settle().await;
        }
        let Found { report, held, mismatch } = found(app).await;
        Self { waiting, differs, report, held, mismatch }
    }

    /// The path of a page.
    pub fn path(&self, path: &str) -> String {
        path.replace("{waiting}", &self.waiting)
            .replace("{differs}", &self.differs)
            .replace("{report}", &self.report)
            .replace("{held}", &self.held)
            .replace("{mismatch}", &self.mismatch)
    }
}
