//! Which pages are asked for, and what of each is to be reached.

use crate::numbers::{self, Kind};
use crate::seed::Seed;

/// A page may read the database so often beside its session.
const STATEMENTS: u64 = 4;
/// The first page.
const STATEMENTS_OF_TODAY: u64 = 12;
/// The p99 of the opening's page and of the first page of the list.
const MILLIS: f64 = 150.0;

pub struct Page {
    pub name: &'static str,
    pub path: String,
    pub statements: u64,
    /// At most so many milliseconds for 99 of 100 requests. None: nothing is to be reached.
    pub p99: Option<f64>,
}

/// The figures of a page.
pub struct Measured {
    pub statements: u64,
    /// The names of those, with how often a request runs each and how many milliseconds it takes.
    pub named: Vec<(String, u64, f64)>,
    pub median: f64,
    pub p99: f64,
    pub wrong: Vec<String>,
}

/// Every page, worst first where a list has filters that read more.
pub fn pages(seed: &Seed) -> Vec<Page> {
    let completed = numbers::id(Kind::Opening, seed.openings / 2);
    let shown = format!("/openings/{}", seed.shown);
    let page = |name, path: &str| Page { name, path: path.to_owned(), statements: STATEMENTS, p99: None };
    let quick = |name, path: &str| Page { p99: Some(MILLIS), ..page(name, path) };
    vec![
        Page { statements: STATEMENTS_OF_TODAY, ..page("today", "/") },
        quick("openings", "/openings"),
        page("openings, escalated", "/openings?state=escalated"),
        page("openings, completed in one market", "/openings?state=completed&market=NL"),
        page("openings of a customer", "/openings?customer_reference=cus_7"),
        quick("opening with many facts", &shown),
        quick("opening, completed", &format!("/openings/{completed}")),
        page("fact", &format!("{shown}/facts/{}", seed.fact)),
        page("resolve an opening", &format!("{shown}/resolve")),
        page("erase an opening", &format!("/openings/{completed}/erase")),
        page("reveal", &format!("{shown}/reveal")),
        page("tickets", "/tickets"),
        page("tickets, open", "/tickets?status=open"),
        page("cases", "/cases"),
        page("cases, open", "/cases?status=open"),
        page("cases of a rare kind", "/cases?kind=reference_held_elsewhere"),
        page("the oldest case", &format!("/cases/{}", seed.oldest_case)),
        page("case", &format!("/cases/{}", seed.case)),
        page("resolve a case", &format!("/cases/{}/resolve", seed.case)),
        page("dead letters", "/dead-letters"),
        page("dead letters of a cause", "/dead-letters?queue=inbox&cause=unreadable"),
        page("dead letter", &format!("/dead-letters/{}", seed.letter)),
        page("redrive", &format!("/dead-letters/{}/redrive", seed.letter)),
        page("refused", "/refused"),
        page("refused webhook", &format!("/refused/{}", seed.refused)),
        page("verify again", &format!("/refused/{}/reverify", seed.refused)),
        page("unmatched", "/unmatched"),
        page("providers", "/providers"),
        page("force a breaker", "/providers/nexusbank/breakers/submit"),
        page("read the list again", "/providers/nexusbank/backfill"),
        page("flags", "/flags"),
        page("set a flag", "/flags/set?market=BE&enabled=false"),
        page("reports", "/reports"),
        page("report", &format!("/reports/{}", seed.report)),
        page("report with one mismatch", &format!("/reports/{}", seed.quiet_report)),
        page("release a report", &format!("/reports/{}/release", seed.held)),
        page("upload a report", "/reports/upload"),
        page("pull a report", "/reports/pull"),
        page("mismatches", "/mismatches"),
        page("mismatches of a class", "/mismatches?class=AMOUNT_MISMATCH&state=case"),
        page("mismatches of a report", &format!("/mismatches?report={}", seed.report)),
        page("mismatches of a report with one", &format!("/mismatches?report={}", seed.quiet_report)),
        page("mismatches of a rare class", "/mismatches?class=BANK_MISMATCH"),
        page("the oldest mismatch", &format!("/mismatches/{}", seed.oldest_mismatch)),
        page("mismatch", &format!("/mismatches/{}", seed.mismatch)),
        page("ledger", "/ledger"),
        page("ledger of an opening", &format!("/ledger?opening_id={completed}")),
        page("ledger of an account", "/ledger?account=suspense"),
        page("acts", "/acts"),
        page("acts of a person", "/acts?who=person_7&action=resolve"),
        page("acts of a person who rarely acts", "/acts?who=rarely"),
        page("acts of a rare kind", "/acts?action=set_flag"),
        page("account", "/account"),
        page("help", "/help"),
    ]
}
