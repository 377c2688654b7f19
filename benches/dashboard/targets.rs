//! The targets, beside the measured figures.

use crate::browsers::Cost;
use crate::pages::{Measured, Page};
use crate::report::{Results, aligned};
use crate::stats::{Figure, Spread};

/// The statements of a page that takes longer are shown, in milliseconds.
const SLOW: f64 = 50.0;
/// Of a hundred open browsers, on one replica.
const REQUESTS: f64 = 25.0;
const STATEMENTS: f64 = 1.0;
/// Acknowledged webhooks per second beside browsers, of those without.
const ACKNOWLEDGED: f64 = 0.97;

/// The row of a load without browsers.
pub fn alone(load: &str) -> String {
    format!("{load}, no browser")
}

/// The row of a load beside browsers.
pub fn beside(load: &str) -> String {
    format!("{load}, beside browsers")
}

fn judged(is_reached: bool) -> String {
    if is_reached { "reached" } else { "missed" }.to_owned()
}

pub fn of_pages(pages: &[(Page, Measured)]) -> String {
    let head = ["page", "statements", "at most", "", "median, ms", "p99, ms", "at most", ""];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (page, is) in pages {
        lines.push(vec![
            page.name.to_owned(),
            is.statements.to_string(),
            page.statements.to_string(),
            judged(is.statements <= page.statements),
            format!("{:.1}", is.median),
            format!("{:.1}", is.p99),
            page.p99.map_or_else(|| "-".to_owned(), |it| it.to_string()),
            page.p99.map(|it| judged(is.p99 <= it)).unwrap_or_default(),
        ]);
    }
    format!("{}{}", aligned(&lines), beyond(pages))
}

/// The statements of pages that run too many or take too long.
fn beyond(pages: &[(Page, Measured)]) -> String {
    let is_missed = |(page, is): &&(Page, Measured)| {
        is.statements > page.statements || page.p99.is_some_and(|it| is.p99 > it) || is.median > SLOW
    };
    let named = |(page, is): &(Page, Measured)| {
        let named = is.named.iter().map(|(name, calls, each)| format!("{calls} × {name} ({each:.1} ms)"));
        format!("{}: {}\n", page.name, named.collect::<Vec<_>>().join(", "))
    };
    pages.iter().filter(is_missed).map(named).collect()
}

pub fn of_browsers(quiet: &Cost, loaded: &[(&'static str, Cost)], results: &Results) -> String {
    let mut lines = vec![["figure", "target", "is", ""].map(str::to_owned).to_vec()];
    let mut line = |what: String, target: String, is: String, reached: Option<bool>| {
        lines.push(vec![what, target, is, reached.map(judged).unwrap_or_default()]);
    };
    let statements = quiet.statements.unwrap_or_default();
    let quiet_requests = "requests/s of the browsers while nothing changes".to_owned();
    line(quiet_requests, format!("≤ {REQUESTS}"), format!("{:.1}", quiet.requests), Some(quiet.requests <= REQUESTS));
    // The first and the last second are cut by the time that is counted.
    let is_one = statements < STATEMENTS + 0.05;
    line("statements/s of all of them".to_owned(), format!("≤ {STATEMENTS}"), format!("{statements:.2}"), Some(is_one));
    for load in ["200/s", "64 connections"] {
        let of_load = || loaded.iter().filter(|it| it.0 == load).map(|it| &it.1);
        let show = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let none = || "-".to_owned();
        line(format!("requests/s beside {load}"), none(), show(Spread::of(of_load().map(|it| it.requests))), None);
        line(format!("pages/s beside {load}"), none(), show(Spread::of(of_load().map(|it| it.pages))), None);
        let p99 = Spread::of(of_load().filter_map(|it| it.p99));
        line(format!("p99 of such a page beside {load}, ms"), none(), show(p99), None);
        let acknowledged = |row: &str| results.spread(row, Figure::Acknowledged).map(|it| it.median);
        let Some((alone, beside)) = acknowledged(&alone(load)).zip(acknowledged(&beside(load))) else { continue };
        let (what, is) = (format!("acknowledged/s at {load}, beside browsers ÷ without"), beside / alone);
        // At full load pages take their time from webhooks; the target is about a load that the machine carries.
        let is_target = load == "200/s";
        let target = if is_target { format!("≥ {ACKNOWLEDGED}") } else { none() };
        line(what, target, format!("{is:.3}"), is_target.then_some(is >= ACKNOWLEDGED));
    }
    aligned(&lines)
}
