//! Checks that the load was as planned: a service with little load has proved little.

use std::collections::HashSet;

use super::Run;
use super::measures::{Load, Rate, Shares};
use super::report::Report;
use super::seen::Seen;
use crate::record::Plan;

/// Minimum percent of a planned rate, else the run is invalid.
const MIN_PERCENT: f64 = 90.0;
/// Maximum relative deviation of a share.
const FAR: f64 = 0.4;
/// Microseconds in a second.
const SECOND: f64 = 1e6;

/// The planned shares in percent.
const PLANNED: Shares = Shares { duplicated: 20.0, reordered: 20.0, dropped: 10.0, forged: 2.0, hung_up: 5.0 };

/// Measures the load; at the end, judges it.
pub fn measure(run: &Run, report: &mut Report) {
    let seen = &run.seen;
    report.invalid.extend(seen.odd.iter().take(5).cloned());
    let strangers = seen.answers.iter().filter(|(number, _)| !seen.sends.contains_key(number)).count();
    if strangers > 0 {
        report.invalid.push(format!("the history has {strangers} answers to requests that were never sent"));
    }
    let (Some(plan), Some(began)) = (&seen.plan, seen.began) else {
        report.invalid.push("the history has no plan, or the load never began".to_owned());
        return;
    };
    if run.drained && seen.ended.is_none() {
        report.invalid.push("the history does not say that the load ended".to_owned());
        return;
    }
    report.load = measured(seen, plan, began);
    if run.drained {
        let acked = seen.acked_openings().next().is_some() && seen.acked_sends().any(|it| !it.forged);
        if !acked {
            report.invalid.push("no opening or no webhook was acknowledged".to_owned());
        }
        report.invalid.extend(too_little(&report.load));
    }
}

fn measured(seen: &Seen, plan: &Plan, began: i64) -> Load {
    let last = seen.sends.values().map(|it| it.at).chain(seen.opens.iter().map(|it| it.at)).max();
    let ended = seen.ended.or(last).unwrap_or(began);
    let during = |at: i64| (began..=ended).contains(&at);
    let window = number(usize::try_from(ended - began).unwrap_or(0)) / SECOND;
    // At the end: an interrupted or delayed load counts as behind its plan.
    let seconds = match seen.ended {
        Some(_) => number(usize::try_from(plan.seconds).unwrap_or(usize::MAX)).max(window),
        None => window,
    };
    let openings = seen.opens.iter().filter(|it| it.first && during(it.at)).count();
    let sends: Vec<_> = seen.sends.values().filter(|it| during(it.at)).collect();
    // At any time: a delayed message may leave after the last new one.
    let sent: HashSet<&str> = seen.sends.values().filter(|it| !it.forged).map(|it| it.webhook_id.as_str()).collect();
    let broken_off: HashSet<&str> =
        seen.sends.values().filter(|it| it.hang_up).map(|it| it.webhook_id.as_str()).collect();
    // A message that never left is no load, unless it was to be dropped.
    let is_out = |it: &&super::seen::Message| it.dropped || sent.contains(it.webhook_id.as_str());
    let messages: Vec<_> = seen.messages.iter().filter(|it| during(it.at)).filter(is_out).collect();
    let reads = seen.reads.values().flatten().filter(|it| during(it.at)).count();
    let unread = seen.unread.iter().filter(|it| during(it.at)).count();
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { 100.0 * number(part) / number(whole) };
    // Only of first copies: the number of repeats depends on the service, and the load never hangs up on repeats.
    let hung_up = messages.iter().filter(|it| broken_off.contains(it.webhook_id.as_str())).count()
        + seen.opens.iter().filter(|it| it.first && it.hang_up && during(it.at)).count();
    Load {
        openings: rate(plan.openings_per_second * seconds, openings),
        messages: rate(plan.messages_per_second * seconds, messages.len()),
        reads: rate(plan.reads_per_second * seconds, reads + unread),
        requests: count(sends.len()),
        unread: count(unread),
        shares: Shares {
            duplicated: share(messages.iter().filter(|it| it.copies > 0).count(), messages.len()),
            reordered: share(messages.iter().filter(|it| it.reordered).count(), messages.len()),
            dropped: share(messages.iter().filter(|it| it.dropped).count(), messages.len()),
            forged: share(sends.iter().filter(|it| it.forged).count(), messages.len()),
            hung_up: share(hung_up, messages.len() + openings),
        },
    }
}

fn rate(planned: f64, achieved: usize) -> Rate {
    let percent = if planned > 0.0 { 100.0 * number(achieved) / planned } else { 100.0 };
    Rate { planned, achieved: count(achieved), percent }
}

fn too_little(load: &Load) -> Vec<String> {
    let rates = [("openings", load.openings), ("messages", load.messages), ("reads", load.reads)];
    let behind = rates.into_iter().filter(|(_, rate)| rate.percent < MIN_PERCENT).map(|(what, rate)| {
        format!("{what}: {} of {:.0} planned are {:.1} %", rate.achieved, rate.planned, rate.percent)
    });
    let pairs = [
        ("duplicated", load.shares.duplicated, PLANNED.duplicated),
        ("reordered", load.shares.reordered, PLANNED.reordered),
        ("dropped", load.shares.dropped, PLANNED.dropped),
        ("forged", load.shares.forged, PLANNED.forged),
        ("hung up", load.shares.hung_up, PLANNED.hung_up),
    ];
    let off = pairs.into_iter().filter(|(_, share, planned)| (share - planned).abs() > FAR * planned);
    behind.chain(off.map(|(what, share, planned)| format!("{what}: {share:.1} %, planned {planned} %"))).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a share of a few million is not told from its neighbour")]
const fn number(count: usize) -> f64 {
    count as f64
}
