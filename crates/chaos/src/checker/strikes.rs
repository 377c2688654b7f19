//! Whether the faults happened: a run without faults has proved nothing.

use super::Run;
use super::measures::Strikes;
use super::report::Report;
use crate::record::Fault;

/// Counts the strikes of each kind; at the end, checks that enough have evidence.
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
    // The outside world records its own faults of calls.
    for (fault, times) in run.ledger.suffered.iter().map(|(fault, times)| (*fault, *times)).chain(in_the_data(run)) {
        report.faults.entry(fault).or_default().calls = times;
    }
    if !run.drained {
        return;
    }
    let dealt: Vec<Fault> = in_the_data(run).map(|(fault, _)| fault).collect();
    let few = |(fault, it): (&Fault, &Strikes)| {
        let found = format!("{} of {} strikes show, {} are the least", it.with_evidence, it.struck, it.least);
        (it.with_evidence < it.least && !dealt.contains(fault)).then(|| format!("{fault:?}: {found}"))
    };
    // The outside world has its own ledger: a strike there without a call does not count.
    let outside = [
        Fault::ProviderError,
        Fault::ProviderHang,
        Fault::ProviderThrottle,
        Fault::ProviderGarbage,
        Fault::ProviderGateway,
        Fault::ProviderGzip,
    ];
    let idle = |it: &&Fault| report.faults.get(it).is_some_and(|it| it.least > 0 && it.calls == 0);
    let idle: Vec<String> =
        outside.iter().chain(&dealt).filter(idle).map(|it| format!("{it:?}: no call met it")).collect();
    report.invalid.extend(idle);
    let missing: Vec<String> = report.faults.iter().filter_map(few).collect();
    report.invalid.extend(missing);
}

/// The longest id that providers document.
const LONGEST_ID: usize = 255;
/// Stands for a lone surrogate.
const REPLACEMENT: char = '\u{fffd}';
/// A status word outside the contract.
const UNKNOWN_WORD: &str = "ON_HOLD";

/// Faults contained in the outside world's data, with their number.
fn in_the_data(run: &Run) -> impl Iterator<Item = (Fault, u64)> {
    let pages = || run.ledger.pages.values();
    let effects = pages().flat_map(|it| it.profiles.iter().chain(&it.requests).chain(&it.cards));
    let reasons = pages().flat_map(|it| &it.decisions).filter_map(|it| it.reason.as_deref());
    let words = run.seen.messages.iter().filter(|it| !it.dropped && it.status == UNKNOWN_WORD);
    let sends = run.seen.sends.values().filter(|it| it.folded);
    [
        (Fault::LongId, effects.filter(|it| it.id.len() == LONGEST_ID).count()),
        (Fault::CutCharacter, reasons.filter(|it| it.contains(REPLACEMENT)).count()),
        (Fault::UnknownWord, words.count()),
        (Fault::FoldedSignature, sends.count()),
    ]
    .into_iter()
    .map(|(fault, count)| (fault, u64::try_from(count).unwrap_or(u64::MAX)))
}
