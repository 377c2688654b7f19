//! P19: requests were answered. A service that refuses valid requests or answers few of them is broken, however
//! consistent its database is.

use std::collections::BTreeMap;

use super::Run;
use super::report::{Kind, Report, Violation};

/// Minimum percent of answered requests per replica, else the run proves nothing: faults cause some failures, but not
/// more.
const MIN_PERCENT: f64 = 50.0;
/// Fewer requests are too few for a share.
const ENOUGH: u32 = 20;
/// A request that took too long to arrive.
const TOO_SLOW: u16 = 408;

/// Requests and good answers, by replica.
type Shares = BTreeMap<usize, (u32, u32)>;

/// Refusals of valid requests; at the end, also the share of answers.
pub fn check(run: &Run, report: &mut Report) {
    refused(run, report);
    if run.drained {
        for (what, shares) in [("webhooks", webhooks(run)), ("readings", readings(run))] {
            for (replica, (asked, well)) in shares {
                let share = 100.0 * f64::from(well) / f64::from(asked.max(1));
                if asked >= ENOUGH && share < MIN_PERCENT {
                    let why = format!(
                        "replica {replica} answered {share:.0} % of its {what}, {MIN_PERCENT:.0} are the least"
                    );
                    report.invalid.push(why);
                }
            }
        }
    }
}

fn refused(run: &Run, report: &mut Report) {
    let is_refusal = |status: u16| (400..500).contains(&status) && status != TOO_SLOW;
    let found = |status: u16| Violation::of("an honest request was refused", "2xx, or 503", status.to_string());
    for (number, status) in run.seen.answers.iter().filter(|(_, status)| is_refusal(*status)) {
        if let Some(sent) = run.seen.sends.get(number).filter(|it| !it.forged) {
            report.add(Kind::WrongAnswers, found(*status).webhook(&sent.webhook_id));
        }
    }
    for opened in run.seen.opened.iter().filter(|it| is_refusal(it.status)) {
        report.add(Kind::WrongAnswers, found(opened.status).key(&opened.key));
    }
    for unread in run.seen.unread.iter().filter(|it| is_refusal(it.status)) {
        report.add(Kind::WrongAnswers, found(unread.status));
    }
}

fn webhooks(run: &Run) -> Shares {
    let mut shares = Shares::new();
    let honest = |number: &u64| run.seen.sends.get(number).filter(|it| !it.forged && !it.hang_up);
    for (number, status) in &run.seen.answers {
        let Some(sent) = honest(number) else { continue };
        let (asked, well) = shares.entry(sent.replica).or_default();
        *asked += 1;
        *well += u32::from((200..300).contains(status));
    }
    shares
}

fn readings(run: &Run) -> Shares {
    let mut shares = Shares::new();
    for read in run.seen.reads.values().flatten() {
        let (asked, well) = shares.entry(read.replica).or_default();
        (*asked, *well) = (*asked + 1, *well + 1);
    }
    for unread in &run.seen.unread {
        shares.entry(unread.replica).or_default().0 += 1;
    }
    shares
}
