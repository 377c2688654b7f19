//! P1, P2: everything acknowledged exists, and everything that exists was sent, requested or made.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::Run;
use super::dump::Fact;
use super::measures::Count;
use super::report::{Kind, Report, Violation};

/// Longer event ids are stored as a hash.
const LONGEST: usize = 200;

/// Acknowledgements against the database, and the database against what was sent.
pub fn check(run: &Run, report: &mut Report) {
    count(run, report);
    believed_forgeries(run, report);
    unexpected_facts(run, report);
    if run.drained {
        unexpected_openings(run, report);
    }
    if run.restored {
        return;
    }
    lost_openings(run, report);
    lost_webhooks(run, report);
    if run.drained {
        effects_for_nobody(run, report);
    }
}

fn count(run: &Run, report: &mut Report) {
    let seen = &run.seen;
    let some = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let keys: BTreeSet<&str> = seen.acked_openings().map(|it| it.key.as_str()).collect();
    let bodies: BTreeSet<(&str, &str)> =
        seen.acked_sends().filter(|it| !it.forged).map(|it| (it.webhook_id.as_str(), it.sha256.as_str())).collect();
    report.acked = Count { openings: some(keys.len()), webhooks: some(bodies.len()) };
    let is_open = |status: u16| status == 0 || status >= 500;
    report.unknown = Count {
        openings: some(seen.opened.iter().filter(|it| is_open(it.status)).count())
            + some(seen.opens.len().saturating_sub(seen.opened.len())),
        webhooks: some(seen.answers.iter().filter(|(_, status)| is_open(*status)).count())
            + some(seen.sends.len().saturating_sub(seen.answers.len())),
    };
    let is_refused = |status: u16| (400..500).contains(&status);
    let refused = seen
        .answers
        .iter()
        .filter(|(number, status)| is_refused(*status) && seen.sends.get(number).is_some_and(|it| !it.forged));
    report.refused = Count {
        openings: some(seen.opened.iter().filter(|it| is_refused(it.status)).count()),
        webhooks: some(refused.count()),
    };
}

fn lost_openings(run: &Run, report: &mut Report) {
    let held: HashSet<&str> = run.dump.keys.iter().map(|it| it.key.as_str()).collect();
    let acked: BTreeSet<(&str, Option<&str>)> =
        run.seen.acked_openings().map(|it| (it.key.as_str(), it.id.as_deref())).collect();
    for (key, id) in acked {
        let lost = |what: &str, expected: &str| {
            let violation = Violation::of(what, expected, "nothing").key(key);
            id.map_or(violation.clone(), |id| violation.opening(id))
        };
        match id {
            None => report.add(Kind::Lost, lost("an opening was acknowledged without an id", "the opening's id")),
            Some(id) if !run.dump.anchors.contains_key(id) => {
                report.add(Kind::Lost, lost("an acknowledged opening is not there", "its anchor"));
            }
            Some(_) if !held.contains(key) => {
                report.add(Kind::Lost, lost("the key of an acknowledged opening is not there", "its idempotency key"));
            }
            Some(_) => {}
        }
    }
}

/// For a burst duplicate the first copy's row counts: any row with the same body is enough.
fn lost_webhooks(run: &Run, report: &mut Report) {
    let held: HashSet<&str> = webhooks(run).map(|it| it.body_sha256.as_str()).collect();
    let acked: BTreeSet<(&str, &str)> =
        run.seen.acked_sends().filter(|it| !it.forged).map(|it| (it.webhook_id.as_str(), it.sha256.as_str())).collect();
    let messages = run.seen.by_body();
    for (id, sha256) in acked.into_iter().filter(|(_, sha256)| !held.contains(sha256)) {
        let what = "an acknowledged webhook is not in the inbox";
        let violation = Violation::of(what, format!("a row with body {sha256}"), "none").webhook(id);
        let about = messages.get(&(id, sha256)).map(|it| it.reference.as_str());
        report.add(Kind::Lost, about.map_or(violation.clone(), |opening| violation.opening(opening)));
    }
}

fn believed_forgeries(run: &Run, report: &mut Report) {
    for forged in run.seen.acked_sends().filter(|it| it.forged) {
        let violation = Violation::of("a forgery was acknowledged", "401", "2xx").webhook(&forged.webhook_id);
        report.add(Kind::Unexpected, violation);
    }
}

fn unexpected_facts(run: &Run, report: &mut Report) {
    let mut sent: HashSet<(String, &str)> = HashSet::new();
    let (mut honest, mut forged) = (HashSet::new(), HashSet::new());
    for it in run.seen.sends.values() {
        if it.forged {
            forged.insert(it.sha256.as_str());
        } else {
            honest.insert(it.sha256.as_str());
            sent.insert((stored_id(&it.webhook_id), &it.sha256));
        }
    }
    for fact in &run.dump.inbox {
        let digest = fact.body_digest.strip_prefix("\\x").unwrap_or(&fact.body_digest);
        if digest != fact.body_sha256 {
            let what = format!("the body of {} is not the one that its digest was made of", fact.event_id);
            report.add(Kind::Unexpected, located(Violation::of(what, digest, &*fact.body_sha256), fact));
        }
    }
    for fact in webhooks(run) {
        let body = fact.body_sha256.as_str();
        if forged.contains(body) && !honest.contains(body) {
            let violation = Violation::of("a forgery is in the inbox", "nothing", format!("body {body}"));
            report.add(Kind::Unexpected, located(violation, fact));
        } else if run.drained && !sent.contains(&(sender_id(fact).to_owned(), body)) {
            let what = "the inbox holds what was never sent under this id";
            let violation = Violation::of(what, "a body that was sent, byte for byte", format!("body {body}"));
            report.add(Kind::Unexpected, located(violation, fact));
        }
    }
}

fn unexpected_openings(run: &Run, report: &mut Report) {
    let asked = run.seen.keys();
    for anchor in run.dump.anchors.values().filter(|it| !asked.contains(it.customer_reference.as_str())) {
        let what = "nobody asked for this opening";
        let violation = Violation::of(what, "a customer who asked", &*anchor.customer_reference).opening(&anchor.id);
        report.add(Kind::Unexpected, violation);
    }
}

/// An effect is requested after the commit that wants it, so its opening must exist.
fn effects_for_nobody(run: &Run, report: &mut Report) {
    for reference in run.ledger.pages.keys().filter(|it| !run.dump.anchors.contains_key(*it)) {
        let what = "the outside world made something for an opening that is not there";
        report.add(Kind::Unexpected, Violation::of(what, "an anchor", "none").opening(reference));
    }
}

fn located(violation: Violation, fact: &Fact) -> Violation {
    let violation = violation.webhook(&fact.event_id);
    match &fact.opening_id {
        Some(opening) => violation.opening(opening),
        None => violation,
    }
}

fn webhooks(run: &Run) -> impl Iterator<Item = &Fact> {
    run.dump.inbox.iter().filter(|it| run.is_webhook(it))
}

/// The webhook id of a row; a conflict has the body's hash appended.
pub fn sender_id(fact: &Fact) -> &str {
    let conflict = fact.event_id.strip_suffix(&fact.body_sha256).and_then(|it| it.strip_suffix('!'));
    conflict.unwrap_or(&fact.event_id)
}

/// The stored form of an id: hashed if it contains our own marks or is too long for the index.
pub fn stored_id(webhook_id: &str) -> String {
    let plain = webhook_id.len() <= LONGEST && !webhook_id.contains(['!', '#']) && !webhook_id.starts_with("sha256:");
    if plain { webhook_id.to_owned() } else { format!("sha256:{}", hex::encode(Sha256::digest(webhook_id.as_bytes()))) }
}

/// The opening of each stored body, according to the load.
pub fn references(run: &Run) -> HashMap<(String, &str), &str> {
    let messages = run.seen.messages.iter();
    messages.map(|it| ((stored_id(&it.webhook_id), it.sha256.as_str()), it.reference.as_str())).collect()
}
