//! Tests of the business logic against the written rules, with samples and builders. `table.rs`: every state and fact;
//! `order.rs`: every order; `deadline.rs`: the twelve hours; `chain.rs`: the hash chain; `ids.rs`: the ids of effects;
//! `fee.rs`: what a step owes; `next.rs`: what comes next; `compare.rs`: ours beside theirs; `purity.rs`: no I/O;
//! `words.rs`: the public strings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod chain;
mod compare;
mod deadline;
mod facts;
mod fee;
mod flag;
mod ids;
mod inbox;
mod invariants;
mod next;
mod order;
mod purity;
mod resolve;
mod table;
mod verify;
mod words;

use chrono::TimeDelta;
use uuid::Uuid;

use super::bank::{Bic, Iban};
use super::*;
use crate::clock::Time;

/// A valid Belgian IBAN: the account that openings get.
const IBAN: &str = "BE68539007547034";
/// The same IBAN in printed form.
const PRINTED_IBAN: &str = "be68 5390 0754 7034";
/// Another valid one (providers.md, consequence 8).
const OTHER_IBAN: &str = "NL20ADYB2017000035";
/// A vendor's sample that fails its checksum (providers.md, consequence 8).
const BAD_IBAN: &str = "NL11ADYB00000000";
const BIC: &str = "NEXUBEBB";
const OTHER_BIC: &str = "DEUTDEFF";
const REFERENCE: &str = "aor_1";
const OTHER_REFERENCE: &str = "aor_2";

const HOUR: TimeDelta = TimeDelta::hours(1);
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// The beginning of a sample's wait.
fn began() -> Time {
    Time::from_timestamp(1_767_225_600, 0).unwrap()
}

fn id(n: u128) -> OpeningId {
    OpeningId(Uuid::from_u128(n))
}

fn ours() -> OpeningId {
    id(1)
}

fn profile(name: &str) -> ProfileId {
    ProfileId::new(name).unwrap()
}

fn card(name: &str) -> CardId {
    CardId::new(name).unwrap()
}

fn reference(name: &str) -> ProviderRef {
    ProviderRef::new(name).unwrap()
}

fn request() -> Request {
    Request {
        market: "BE".into(),
        customer_type: CustomerType::Company,
        currency: "EUR".into(),
        flow: Flow::Async,
        provider: "somebank".into(),
        customer_reference: "cus_1".into(),
    }
}

fn wait() -> Wait {
    Wait { profile: profile("prof_1"), reference: reference(REFERENCE) }
}

fn account() -> Account {
    Account { wait: wait(), iban: Iban::parse(IBAN).unwrap(), bic: Bic::parse(BIC).unwrap() }
}

/// An opening in a state, as it is when that state was entered at [`began`] under the default policy.
fn opening(state: StateName) -> Opening {
    let ending = |reason: &str| Ending {
        profile: Some(profile("prof_1")),
        reference: Some(reference(REFERENCE)),
        reason: reason.into(),
    };
    let deadline = began() + HOUR * 12;
    let (state, version, due_at) = match state {
        StateName::CreatingProfile => (State::CreatingProfile, 1, Some(deadline)),
        StateName::RequestingAccount => {
            (State::RequestingAccount { profile: profile("prof_1"), unknown_since: None }, 2, Some(deadline))
        }
        StateName::AwaitingProvider => (State::AwaitingProvider(wait()), 3, Some(began() + MINUTE * 30)),
        StateName::Escalated => (State::Escalated(wait()), 4, None),
        StateName::IssuingCard => (State::IssuingCard(account()), 4, Some(deadline)),
        StateName::Completed => (State::Completed(account(), card("card_1")), 5, None),
        StateName::Rejected => (State::Rejected(ending("risk")), 4, None),
        StateName::Failed => (State::Failed(ending("an operator gave up")), 4, None),
    };
    let escalated_at = matches!(state, State::Escalated(_)).then_some(deadline);
    Opening {
        id: ours(),
        request: request(),
        state,
        provider_status: None,
        deadline_at: deadline,
        escalated_at,
        due_at,
        polls: 0,
        polls_before_wait: 0,
        account_due_since: None,
        version,
        created_at: began(),
        updated_at: began(),
    }
}

/// A report about our opening, by tracking id and reference, that carries no account.
fn report(verdict: Verdict) -> Report {
    let word = match verdict {
        Verdict::Started => "INITIATED",
        Verdict::Pending => "IN_PROGRESS",
        Verdict::Completed => "COMPLETED",
        Verdict::Rejected => "REJECTED",
        Verdict::Unknown => "PAUSED",
    };
    Report {
        reference: Some(reference(REFERENCE)),
        our_reference: Some(ours().to_string()),
        verdict,
        word: word.into(),
        iban: None,
        bic: None,
        reason: (verdict == Verdict::Rejected).then(|| "risk".to_owned()),
    }
}

/// A completion that names an account.
fn completed(iban: &str, bic: &str) -> Report {
    Report { iban: Some(iban.into()), bic: Some(bic.into()), ..report(Verdict::Completed) }
}

fn reported(report: Report) -> Fact {
    Fact::Reported { report }
}

fn accepted(report: Report) -> Fact {
    Fact::SubmissionAccepted { report }
}

fn polled(asked_at: Time, report: Report) -> Fact {
    Fact::Polled { asked_at, outcome: PollOutcome::Answered(report) }
}

fn unanswered(asked_at: Time) -> Fact {
    Fact::Polled { asked_at, outcome: PollOutcome::Failed { class: "timeout".into() } }
}

/// An operator's decision.
fn resolved(resolution: Resolution) -> Fact {
    let (reason, evidence) = ("seen at the bank".to_owned(), "their letter".to_owned());
    Fact::Resolved { act: ActId(Uuid::from_u128(77)), resolution, reason, evidence }
}

/// An account that an operator names, with its tracking id where they know it.
fn found(iban: &str, reference_said: Option<&str>) -> Resolution {
    let provider_reference = reference_said.map(reference);
    Resolution::Completed { iban: iban.into(), bic: BIC.into(), provider_reference }
}

/// The fact number `n` of the inbox, from where such a fact comes, with nothing else known.
fn event(n: usize, fact: Fact) -> Event {
    let source = match &fact {
        Fact::Reported { .. } => Source::Webhook,
        Fact::Polled { .. } => Source::Poll,
        Fact::DeadlinePassed { .. } => Source::Timer,
        Fact::PollRequested | Fact::Resolved { .. } => Source::Operator,
        _ => Source::Command,
    };
    let inbox_id = InboxId(Uuid::from_u128(1000 + n as u128));
    Event { inbox_id, source, fact, knowledge: Knowledge::default() }
}

/// The cases that a decision opens.
fn cases(decision: &Decision) -> impl Iterator<Item = &Case> {
    decision.effects.iter().filter_map(|effect| match effect {
        Effect::OpenCase(case) => Some(case),
        _ => None,
    })
}

/// The tickets that a decision opens.
fn tickets(decision: &Decision) -> impl Iterator<Item = TicketKind> {
    decision.effects.iter().filter_map(|effect| match effect {
        Effect::OpenTicket { kind, .. } => Some(*kind),
        _ => None,
    })
}
