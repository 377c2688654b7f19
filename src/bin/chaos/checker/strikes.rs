//! Whether the faults struck: a run in which nothing went wrong has proved nothing.

use super::Run;
use super::measures::Strikes;
use super::report::Report;
use crate::record::Fault;

/// Counts the strikes of each kind; at the end, judges whether there were enough of which something shows.
pub fn count(run: &Run, report: &mut Report) {
    let planned = run.seen.plan.iter().flat_map(|plan| &plan.faults);
    for (fault, least) in planned {
        report.faults.entry(*fault).or_default().least = *least;
    }
    for (fault, evident) in &run.seen.faults {
        let struck = report.faults.entry(*fault).or_default();
        struck.struck += 1;
        struck.with_evidence += u64::from(*evident);
    }
    // The outside world writes down itself what it did to a call.
    for (fault, times) in &run.ledger.suffered {
        report.faults.entry(*fault).or_default().calls = *times;
    }
    if !run.drained {
        return;
    }
    let few = |(fault, it): (&Fault, &Strikes)| {
        let found = format!("{} of {} strikes show, {} are the least", it.with_evidence, it.struck, it.least);
        (it.with_evidence < it.least).then(|| format!("{fault:?}: {found}"))
    };
    // The outside world has a ledger of its own: a strike there that met no call was none.
    let outside = [Fault::ProviderError, Fault::ProviderHang, Fault::ProviderThrottle, Fault::ProviderGarbage];
    let idle = |it: &&Fault| report.faults.get(it).is_some_and(|it| it.least > 0 && it.calls == 0);
    let idle: Vec<String> = outside.iter().filter(idle).map(|it| format!("{it:?}: no call met it")).collect();
    report.invalid.extend(idle);
    let missing: Vec<String> = report.faults.iter().filter_map(few).collect();
    report.invalid.extend(missing);
}
