//! Every act in every state: what its page announces is what then happens, and a page writes nothing. (P34)
//!
//! A row of a table is a state; each act is rehearsed and done on a thing of its own in that state.

mod bulk;
mod flags;
mod letters;
mod openings;
mod providers;
mod refused;
mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{OPERATOR, Visitor, rehearsal};
use crate::support::TestApp;

/// Where the rehearsal of each act is held against what the act then does. Empty: its page announces nothing, for the reason beside it.
const ACTS: [(&str, &str, &str); 25] = [
    ("backfill", "providers.rs", ""),
    ("bulk/mod", "bulk.rs", ""),
    ("bulk/prepare", "", "it writes the list that is the rehearsal"),
    ("bulk/stop", "bulk.rs", ""),
    ("decide_report", "reports.rs", ""),
    ("discard", "letters.rs", ""),
    ("discard_work", "", "it is an act of REST alone"),
    ("erase", "openings.rs", ""),
    ("export", "", "it changes nothing that it could announce"),
    ("export_evidence", "", "it changes nothing that it could announce"),
    ("export_opening", "", "it changes nothing that it could announce"),
    ("force_breaker", "providers.rs", ""),
    ("poll", "openings.rs", ""),
    ("pull_report", "reports.rs", ""),
    ("record_reading", "", "it changes nothing that it could announce"),
    ("redrive", "letters.rs", ""),
    ("resolve", "openings.rs", ""),
    ("resolve_case", "letters.rs", ""),
    ("reveal", "openings.rs", ""),
    ("reverify", "refused.rs", ""),
    ("reverify_all", "", "it is an act of REST alone"),
    ("set_flag", "flags.rs", ""),
    ("sign_in", "", "it needs no confirmation"),
    ("sign_out", "", "it needs no confirmation"),
    ("upload_report", "reports.rs", ""),
];
/// The modules that the acts share, and the start of an opening, which is a caller's.
const NO_ACTS: [&str; 8] = ["bulk/worker", "dead_letter", "error", "flags", "mod", "principal", "reason", "start"];

/// The files of a folder below `src/acts`, without their ending.
fn files(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/acts").join(folder);
    let names = fs::read_dir(path).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names.map(|it| format!("{folder}{}", it.trim_end_matches(".rs"))).filter(|it| it != "bulk").collect()
}

#[test]
fn every_act_is_rehearsed_here_or_has_a_reason_why_not() {
    let known: BTreeSet<String> = ACTS.iter().map(|it| it.0).chain(NO_ACTS).map(str::to_owned).collect();
    let all: BTreeSet<String> = files("").into_iter().chain(files("bulk/")).collect();
    assert_eq!(all, known);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dashboard/rehearsed");
    for (act, tested, why_not) in ACTS {
        assert!(tested.is_empty() != why_not.is_empty() && here.join(tested).exists(), "{act}");
    }
}

/// The announcement of a page.
#[derive(Debug)]
struct Announced {
    /// Why it cannot be done.
    refused: Option<String>,
    lines: Vec<String>,
}

impl Announced {
    /// The announcement of an act's page for a choice; empty: the page has none.
    fn on(page: &str, choice: &str) -> Self {
        let all = rehearsal(page);
        let part = match choice {
            "" => all,
            _ => all.split(&format!("<h3>{choice}</h3>")).nth(1).unwrap_or_else(|| panic!("no {choice}: {all}")),
        };
        let part = part.split("<h3>").next().unwrap();
        let refused = part.split("Not possible: ").nth(1).map(|it| it.split(".</p>").next().unwrap().to_owned());
        let lines = part.split("<li><bdi>").skip(1).map(|it| text(it.split("</bdi>").next().unwrap()));
        let announced = Self { refused, lines: lines.collect() };
        assert_ne!(
            announced.refused.is_some(),
            !announced.lines.is_empty(),
            "it can be done, or it says why not: {part}"
        );
        announced
    }

    fn says(&self, what: &str) -> bool {
        self.lines.iter().any(|it| it.contains(what))
    }

    /// The rest of the last line that begins with these words.
    fn last(&self, words: &str) -> Option<&str> {
        self.lines.iter().rev().find_map(|it| it.strip_prefix(words))
    }
}

/// A line without the elements of its times.
fn text(line: &str) -> String {
    line.split('<').map(|it| it.split_once('>').map_or(it, |(_, text)| text)).collect()
}

/// Rehearses an act and does it. Nothing is written before; and nothing at all, if the page said that it cannot be done.
async fn act(app: &TestApp, visitor: &Visitor, path: &str, name: &str, fields: &[(&str, &str)]) -> Announced {
    let what = format!("{name} at {path}");
    let before = app.rows().await;
    let page = visitor.page(path).await;
    let is_choice = |name: &str| ["outcome", "forced"].contains(&name);
    let choice = fields.iter().find(|(name, _)| is_choice(name)).map_or("", |(_, value)| *value);
    let announced = Announced::on(&page, choice);
    assert_eq!(app.rows().await, before, "{what}: a rehearsal writes nothing");
    let answer = visitor.act(&page, name, &[fields, &[("reason", "for the test")]].concat()).await;
    let expected = if announced.refused.is_some() { 409 } else { 303 };
    assert_eq!(answer.status(), expected, "{what}: {announced:?}: {}", answer.text().await.unwrap());
    if announced.refused.is_some() {
        assert_eq!(app.rows().await, before, "{what}: what is refused leaves nothing");
    }
    announced
}

/// The tables whose rows are others than before.
async fn changed(app: &TestApp, before: &BTreeMap<String, (i64, i64)>) -> Vec<String> {
    app.rows().await.into_iter().filter(|(table, rows)| before[table] != *rows).map(|it| it.0).collect()
}

/// Tries an act that its page does not offer now: it is refused, and leaves nothing.
async fn not_offered(app: &TestApp, visitor: &Visitor, path: &str, fields: &[(&str, &str)]) {
    let before = app.rows().await;
    let form = app.state.shell.ids.next().to_string();
    let answer = visitor.post(path, &[&[("form", form.as_str()), ("reason", "for the test")], fields].concat()).await;
    assert_eq!(answer.status(), 409, "{path}: {}", answer.text().await.unwrap());
    assert_eq!(app.rows().await, before, "{path}: what is refused leaves nothing");
}

/// A visitor with the role of an operator.
async fn operator(app: &TestApp) -> Visitor {
    Visitor::signed_in(app, OPERATOR).await
}
