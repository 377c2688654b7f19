//! The sample facts that the table's rows name.

use super::*;

/// A fact, the knowledge around it and the time of the decision.
pub(super) struct Sample {
    pub event: Event,
    pub now: Time,
}

/// The sample of a row of the table. Panics on an unknown name.
pub(super) fn sample(name: &str) -> Sample {
    let before = began() + MINUTE * 10;
    let deadline = began() + HOUR * 12;
    let (kind, what) = name.split_once(": ").unwrap_or((name, ""));
    let at = |now: Time, fact: Fact, knowledge: Knowledge| Sample { event: Event { knowledge, ..event(1, fact) }, now };
    let plain = |fact: Fact| at(before, fact, Knowledge::default());
    match kind {
        "profile created" => plain(Fact::ProfileCreated { profile: profile(&format!("prof_{}", same(what))) }),
        "card issued" => plain(Fact::CardIssued { card: card(&format!("card_{}", same(what))) }),
        "submission refused" => {
            plain(Fact::SubmissionRejected { code: "invalid_market".into(), message: "not served".into() })
        }
        "submission unknown" => plain(Fact::SubmissionUnknown { class: "timeout".into() }),
        "dead" => plain(Fact::CommandDead { topic: what.parse().unwrap(), cause: "refused".into() }),
        "accepted" | "reported" => {
            let (report, knowledge) = said(what);
            at(before, if kind == "accepted" { accepted(report) } else { reported(report) }, knowledge)
        }
        "polled" => poll(what, before),
        "polled at the deadline" => poll(what, deadline),
        "polled at the deadline, older unread" => {
            let mut sample = poll(what, deadline);
            sample.event.knowledge.older_unread = true;
            sample
        }
        "deadline passed" => at(deadline, Fact::DeadlinePassed { asked_at: deadline }, Knowledge::default()),
        "deadline passed, seen too early" => plain(Fact::DeadlinePassed { asked_at: before }),
        "poll requested" => plain(Fact::PollRequested),
        "resolved" => {
            let (resolution, knowledge) = decided(what);
            at(before, resolved(resolution), knowledge)
        }
        _ => panic!("no such fact: {name}"),
    }
}

/// An operator's decision and the knowledge around it.
fn decided(what: &str) -> (Resolution, Knowledge) {
    let holds_reference = Knowledge { reference_holder: Some(id(2)), ..Knowledge::default() };
    let holds_iban = Knowledge { iban_holder: Some(id(2)), ..Knowledge::default() };
    let resolution = match what {
        "failed" => Resolution::Failed,
        "rejected" => Resolution::Rejected,
        "completed" => found(IBAN, None),
        "completed with the tracking id" => found(IBAN, Some(REFERENCE)),
        "completed with another tracking id" => found(IBAN, Some(OTHER_REFERENCE)),
        "completed with another tracking id that another opening holds" => {
            return (found(IBAN, Some(OTHER_REFERENCE)), holds_reference);
        }
        "completed with an IBAN that another opening holds" => {
            return (found(OTHER_IBAN, Some(REFERENCE)), holds_iban);
        }
        "completed with a bad IBAN" => found(BAD_IBAN, Some(REFERENCE)),
        _ => panic!("no such decision: {what}"),
    };
    (resolution, Knowledge::default())
}

fn same(what: &str) -> u8 {
    match what {
        "the same" => 1,
        "another" => 2,
        _ => panic!("neither the same nor another: {what}"),
    }
}

fn poll(what: &str, now: Time) -> Sample {
    let (fact, knowledge) = if what == "no answer" {
        (unanswered(now), Knowledge::default())
    } else {
        let (report, knowledge) = said(what);
        (polled(now, report), knowledge)
    };
    Sample { event: Event { knowledge, ..event(1, fact) }, now }
}

/// A provider's report, and whether another opening holds its values.
fn said(what: &str) -> (Report, Knowledge) {
    let holder = Some(id(2));
    let knowledge = match what {
        "completed with an IBAN that another opening holds" => {
            Knowledge { iban_holder: holder, ..Knowledge::default() }
        }
        "other tracking id that another opening holds" => {
            Knowledge { reference_holder: holder, ..Knowledge::default() }
        }
        _ => Knowledge::default(),
    };
    if let Some(rest) = what.strip_prefix("no tracking id, ") {
        return (Report { reference: None, ..said(rest).0 }, knowledge);
    }
    let pending = || report(Verdict::Pending);
    let foreign = || Some(id(3).to_string());
    let other = || Some(reference(OTHER_REFERENCE));
    let report = match what {
        "started" => report(Verdict::Started),
        "pending" => pending(),
        "completed" => completed(IBAN, BIC),
        "succeeded" => Report { word: "SUCCEEDED".into(), ..completed(IBAN, BIC) },
        "completed with a reason" => Report { reason: Some("a leftover".into()), ..completed(IBAN, BIC) },
        "completed in printed form" => completed(PRINTED_IBAN, "nexubebbxxx"),
        "completed, thin" => report(Verdict::Completed),
        "completed without BIC" => Report { bic: None, ..completed(IBAN, BIC) },
        "completed with a bad IBAN" => completed(BAD_IBAN, BIC),
        "completed with a bad BIC" => completed(IBAN, "NEXU"),
        "completed with an IBAN that another opening holds" | "completed with another IBAN" => {
            completed(OTHER_IBAN, BIC)
        }
        "completed at another bank" => completed(IBAN, OTHER_BIC),
        "rejected" => report(Verdict::Rejected),
        "unknown" => report(Verdict::Unknown),
        "other tracking id" | "other tracking id that another opening holds" => {
            Report { reference: other(), ..pending() }
        }
        "foreign reference" => Report { our_reference: foreign(), ..pending() },
        "other tracking id and foreign reference" => {
            Report { reference: other(), our_reference: foreign(), ..pending() }
        }
        _ => panic!("no such report: {what}"),
    };
    (report, knowledge)
}
