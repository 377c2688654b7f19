//! The counts as lines, worst first: those that need a person stand before those that need none.

use super::read::{Since, Today};
use crate::clock::Time;
use crate::db::gauges::MAX_COUNTED;
use crate::http::dashboard::Layout;
use crate::http::dashboard::parts::{Moment, capped, words};

/// The counts of the page, in the order of their weight: name, label, and page.
const LINES: [(&str, &str, &str); 10] = [
    ("escalated", "Openings that were not answered in time", "/openings?state=escalated"),
    ("tickets", "Open tickets", "/tickets?status=open"),
    ("cases", "Open cases", "/cases?status=open"),
    ("dead_letters", "Dead letters", "/dead-letters"),
    ("unmatched", "Facts that matched no opening in time", "/unmatched"),
    ("refused", "Webhooks refused in 24 hours", "/refused"),
    ("breakers", "Breakers that are not closed", "/providers"),
    ("silent_markets", "Markets without a webhook for an hour", "/providers"),
    ("reports", "Reports that are held or missing", "/reports"),
    ("mismatches", "Mismatches that a person decides", "/mismatches?state=case"),
];

pub struct Line {
    pub name: &'static str,
    pub label: &'static str,
    pub href: String,
    pub count: i64,
    pub shown: String,
    pub oldest: Option<Moment>,
    pub parts: Vec<Part>,
}

/// A cause or a class of what is counted.
pub struct Part {
    pub label: String,
    /// Empty: the line's page shows it.
    pub href: String,
    /// Empty: the part is one.
    pub shown: String,
    pub since: Option<Moment>,
}

/// A count and what it is made of.
#[derive(Default)]
struct Sum {
    count: i64,
    oldest: Option<Time>,
    parts: Vec<Part>,
}

#[must_use]
pub fn lines(today: &Today, layout: &Layout) -> Vec<Line> {
    let line = |(name, label, path): &(&'static str, &'static str, &str)| {
        let sum = sum(name, today, layout);
        let (count, oldest) = (sum.count, sum.oldest.map(Moment::from));
        Line { name, label, href: layout.url(path), count, shown: capped(count), oldest, parts: sum.parts }
    };
    let mut lines: Vec<Line> = LINES.iter().map(line).collect();
    lines.sort_by_key(|it| it.count == 0);
    lines
}

fn sum(name: &str, today: &Today, layout: &Layout) -> Sum {
    match name {
        "dead_letters" => dead_letters(today, layout),
        "mismatches" => mismatches(today, layout),
        "breakers" => of_names(&today.breakers),
        "silent_markets" => of_names(&today.silent_markets),
        "reports" => {
            let (held, missing) = (counted(name, today), of_names(&today.missing_reports));
            let oldest = [held.oldest, missing.oldest].into_iter().flatten().min();
            Sum { count: held.count + missing.count, oldest, parts: missing.parts }
        }
        _ => counted(name, today),
    }
}

fn counted(name: &str, today: &Today) -> Sum {
    let counted = today.counts.iter().find(|it| it.name == name);
    counted.map_or_else(Sum::default, |it| Sum { count: it.count, oldest: it.oldest, parts: Vec::new() })
}

fn of_names(names: &[Since]) -> Sum {
    let part = |it: &Since| Part {
        label: it.name.clone(),
        href: String::new(),
        shown: String::new(),
        since: it.since.map(Moment::from),
    };
    Sum {
        count: i64::try_from(names.len()).unwrap_or(MAX_COUNTED),
        oldest: names.iter().filter_map(|it| it.since).min(),
        parts: names.iter().map(part).collect(),
    }
}

fn dead_letters(today: &Today, layout: &Layout) -> Sum {
    let letters = &today.dead_letters;
    let part = |it: &crate::db::today::DeadLetters| Part {
        label: format!("{}, {}", words(&it.cause), it.queue),
        href: layout.url(&format!("/dead-letters?queue={}&cause={}", it.queue, it.cause)),
        shown: capped(it.count),
        since: Some(it.oldest.into()),
    };
    Sum {
        count: letters.iter().map(|it| it.count).sum(),
        oldest: letters.iter().map(|it| it.oldest).min(),
        parts: letters.iter().map(part).collect(),
    }
}

fn mismatches(today: &Today, layout: &Layout) -> Sum {
    let open = &today.mismatches;
    let part = |it: &crate::db::gauges::OpenMismatches| Part {
        label: it.class.clone(),
        href: layout.url(&format!("/mismatches?state=case&class={}", it.class)),
        shown: capped(it.count),
        since: Some(it.oldest.into()),
    };
    Sum {
        count: open.iter().map(|it| it.count).sum(),
        oldest: open.iter().map(|it| it.oldest).min(),
        parts: open.iter().map(part).collect(),
    }
}
