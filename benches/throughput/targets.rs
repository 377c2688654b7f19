//! The targets, on two cores that load, service and Postgres share. Ratios count, not seconds.

use crate::phase::Phase;
use crate::report::{Results, aligned};
use crate::stats::Figure;

/// A line of the table: what it is, what it is to be at least or at most, and what it is.
struct Target {
    what: &'static str,
    at_least: bool,
    /// None: nothing is to be reached.
    limit: Option<f64>,
    is: Option<f64>,
}

/// Where what it takes was measured.
pub fn table(results: &Results) -> String {
    let median = |phase: Phase, figure| results.spread(&phase.to_string(), figure).map(|it| it.median);
    let limits = [Phase::Limit(8), Phase::Limit(32)].map(|phase| median(phase, Figure::Acknowledged));
    let best = limits.into_iter().flatten().reduce(f64::max);
    let of_best = |phase, figure| Some(median(phase, figure)? / best?);
    let batched = |phase, figure| Some(median(phase, figure)? / median(Phase::Batched(8), Figure::Applied)?);
    let least = |what, limit, is| Target { what, at_least: true, limit: Some(limit), is };
    let most = |what, limit, is| Target { what, at_least: false, limit: Some(limit), is };
    let ours = Phase::Ours(64);
    let targets = [
        least("acknowledged/s at 64 connections ÷ best one-function pgbench", 1.2, of_best(ours, Figure::Acknowledged)),
        least("applied/s at 64 connections ÷ the same", 1.0, of_best(ours, Figure::Applied)),
        // How far it is to a limit that is told 64 webhooks at a time.
        Target {
            what: "applied/s at 64 connections ÷ batched pgbench",
            at_least: true,
            limit: None,
            is: batched(ours, Figure::Applied),
        },
        most("ack p99 at 64 connections, ms", 20.0, median(ours, Figure::P99)),
        most("ack p99 at 200 webhooks/s, ms", 10.0, median(Phase::Steady, Figure::P99)),
        // The same as a ratio, where one call and one commit of Postgres alone take that long.
        Target {
            what: "ack p99 at 200 webhooks/s ÷ pgbench's at 200 calls/s",
            at_least: false,
            limit: None,
            is: median(Phase::Steady, Figure::P99)
                .zip(median(Phase::LimitSteady, Figure::P99))
                .map(|(ours, limit)| ours / limit),
        },
        most("ack to applied p99 at 200 webhooks/s, ms", 50.0, median(Phase::Steady, Figure::ToApplied)),
        least("openings/s, start to card ÷ best one-function pgbench", 0.15, of_best(Phase::Openings, Figure::Applied)),
        most("peak memory at 256 connections, MB", 120.0, median(Phase::Ours(256), Figure::Memory)),
    ];
    let mut lines = vec![["figure", "target", "is", ""].map(str::to_owned).to_vec()];
    for Target { what, at_least, limit, is } in targets {
        let Some(is) = is else { continue };
        let Some(limit) = limit else {
            lines.push(vec![what.to_owned(), "-".to_owned(), format!("{is:.2}"), String::new()]);
            continue;
        };
        let reached = if at_least { is >= limit } else { is <= limit };
        let sign = if at_least { '≥' } else { '≤' };
        lines.push(vec![
            what.to_owned(),
            format!("{sign} {limit}"),
            format!("{is:.2}"),
            if reached { "reached" } else { "missed" }.to_owned(),
        ]);
    }
    if lines.len() == 1 { String::new() } else { aligned(&lines) }
}
