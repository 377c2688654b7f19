//! Every opening has the outside world's decision about it, and of no other.

use std::collections::{BTreeMap, HashMap};

use super::dump::Anchor;
use super::durability::{references, sender_id};
use super::ledger::{Decision, Effect, Page};
use super::report::{Kind, Report, Violation};
use super::{Run, or_none};

/// The text for a missing reason.
const NO_REASON: &str = "the provider gave no reason";

/// Each anchor against its page of the ledger and against the other anchors.
pub fn check(run: &Run, report: &mut Report) {
    let owners = owners(run);
    let nothing = Page::default();
    for anchor in run.dump.anchors.values() {
        let page = run.ledger.pages.get(&anchor.id).unwrap_or(&nothing);
        let wrong = effects(anchor, page).into_iter().chain(answer(anchor, page, &owners));
        for violation in wrong {
            report.add(Kind::WrongAnswers, violation.opening(&anchor.id));
        }
    }
    held_twice(run, "IBAN", |it| it.iban.as_deref(), report);
    held_twice(run, "tracking id", |it| it.provider_ref.as_deref(), report);
    other_customers(run, report);
    other_openings(run, report);
}

/// The opening of each IBAN.
fn owners(run: &Run) -> HashMap<String, &str> {
    let all =
        run.ledger.pages.iter().flat_map(|(reference, page)| page.decisions.iter().map(move |it| (reference, it)));
    all.filter_map(|(reference, it)| Some((plain(it.iban.as_deref()?), reference.as_str()))).collect()
}

/// Normalised, since the bank may print it in groups or in lower case.
fn plain(text: &str) -> String {
    text.chars().filter(|it| !it.is_whitespace()).map(|it| it.to_ascii_uppercase()).collect()
}

fn effects(anchor: &Anchor, page: &Page) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let held = [
        ("profile", &anchor.profile_id, &page.profiles),
        ("tracking id", &anchor.provider_ref, &page.requests),
        ("card", &anchor.card_id, &page.cards),
    ];
    for (what, id, made) in held {
        let Some(id) = id else { continue };
        let Some(effect) = made.iter().find(|it| it.id == *id) else {
            let all: Vec<&str> = made.iter().map(|it| it.id.as_str()).collect();
            let expected = if all.is_empty() { "none was made".to_owned() } else { all.join(", ") };
            wrong.push(Violation::of(format!("the {what} is not the one made for it"), expected, &**id));
            continue;
        };
        wrong.extend(made_for(anchor, what, effect));
    }
    wrong
}

/// The request of an effect must match the opening.
fn made_for(anchor: &Anchor, what: &str, effect: &Effect) -> Vec<Violation> {
    let pairs = [("profile", &effect.profile_id, &anchor.profile_id), ("IBAN", &effect.iban, &anchor.iban)];
    let differ = pairs.into_iter().filter(|(_, made, held)| made.is_some() && held.is_some() && made != held);
    differ
        .map(|(with, made, held)| {
            let said = format!("the {what} was asked for with another {with} than the opening's");
            Violation::of(said, or_none(held.as_deref()), or_none(made.as_deref()))
        })
        .collect()
}

fn answer(anchor: &Anchor, page: &Page, owners: &HashMap<String, &str>) -> Vec<Violation> {
    let about = |it: &&Decision| anchor.provider_ref.as_ref().is_none_or(|id| *id == it.tracking_id);
    let decision = page.decisions.iter().find(about);
    match anchor.state.as_str() {
        "issuing_card" | "completed" => account(anchor, decision, owners),
        "rejected" => refusal(anchor, decision),
        "failed" => vec![Violation::of("it was ended by hand", "the bank's answer", "failed")],
        _ => Vec::new(),
    }
}

fn account(anchor: &Anchor, decision: Option<&Decision>, owners: &HashMap<String, &str>) -> Vec<Violation> {
    let Some(decision) = decision.filter(|it| it.status == "COMPLETED") else {
        let said = decision.map_or("nothing", |it| it.status.as_str());
        return vec![Violation::of("it has an account that the bank did not open", said, &*anchor.state)];
    };
    let mut wrong = Vec::new();
    let (bank, held) = (decision.iban.as_deref().map(plain), anchor.iban.as_deref().map(plain));
    if bank != held {
        let owner = held.as_ref().and_then(|iban| owners.get(iban)).filter(|owner| **owner != anchor.id);
        let found = match owner {
            Some(owner) => format!("{}, which is {owner}'s", or_none(held.as_deref())),
            None => or_none(held.as_deref()).to_owned(),
        };
        wrong.push(Violation::of("the IBAN is not the one that the bank decided", or_none(bank.as_deref()), found));
    }
    let (bank, held) = (decision.bic.as_deref().map(plain), anchor.bic.as_deref().map(plain));
    if bank != held {
        let what = "the BIC is not the one that the bank decided";
        wrong.push(Violation::of(what, or_none(bank.as_deref()), or_none(held.as_deref())));
    }
    wrong
}

fn refusal(anchor: &Anchor, decision: Option<&Decision>) -> Vec<Violation> {
    let Some(decision) = decision.filter(|it| it.status == "REJECTED") else {
        let said = decision.map_or("nothing", |it| it.status.as_str());
        return vec![Violation::of("it is rejected and the bank did not reject it", said, "rejected")];
    };
    let (said, held) = (decision.reason.as_deref().unwrap_or(NO_REASON), or_none(anchor.reason.as_deref()));
    if said == held { Vec::new() } else { vec![Violation::of("the reason is not the bank's", said, held)] }
}

fn held_twice(run: &Run, what: &str, of: impl Fn(&Anchor) -> Option<&str>, report: &mut Report) {
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for anchor in run.dump.anchors.values() {
        if let Some(value) = of(anchor) {
            holders.entry(value).or_default().push(&anchor.id);
        }
    }
    for (value, ids) in holders.into_iter().filter(|(_, ids)| ids.len() > 1) {
        let violation = Violation::of(format!("two openings hold the {what} {value}"), "one", ids.join(", "));
        report.add(Kind::WrongAnswers, violation.opening(ids.first().copied().unwrap_or_default()));
    }
}

/// An opening returned to a caller belongs to that caller.
fn other_customers(run: &Run, report: &mut Report) {
    for answer in run.seen.acked_openings() {
        let anchor = answer.id.as_ref().and_then(|id| run.dump.anchors.get(id));
        if let Some(anchor) = anchor.filter(|it| it.customer_reference != answer.key) {
            let what = format!("replica {} answered with another customer's opening", answer.replica);
            let violation = Violation::of(what, &*answer.key, &*anchor.customer_reference);
            report.add(Kind::WrongAnswers, violation.opening(&anchor.id).key(&answer.key));
        }
    }
}

/// A settled webhook was settled on the opening that it names.
fn other_openings(run: &Run, report: &mut Report) {
    let about = references(run);
    let settled = run.dump.inbox.iter().filter(|it| run.is_webhook(it) && it.settled_at.is_some());
    for fact in settled {
        let said = about.get(&(sender_id(fact).to_owned(), fact.body_sha256.as_str())).copied();
        let (Some(said), Some(on)) = (said, fact.opening_id.as_deref()) else { continue };
        if said != on {
            let violation = Violation::of("a webhook was taken to be about another opening", said, on);
            report.add(Kind::WrongAnswers, violation.opening(on).webhook(&fact.event_id));
        }
    }
}
