//! `start` and `decide`: the decisions about a request and about each later fact.
//!
//! The rules are those of `docs/ARCHITECTURE.md`. A provider's answer moves an opening forward or not at all. The first
//! terminal answer that is applied wins. A contradiction becomes a case, a stuck step becomes a ticket.
//! `tests/table.rs` tests every fact in every state.

mod draft;
mod report;
mod resolve;

use chrono::TimeDelta;
use serde_json::json;

use self::draft::Draft;
use super::effect::{CaseKind, Decision, Outcome, TicketKind, Topic};
use super::event::{Event, Fact, PollOutcome, Source};
use super::ids::{CardId, OpeningId, ProfileId};
use super::opening::{Ending, Opening, State};
use super::policy::Policy;
use super::request::Request;
use crate::clock::Time;

/// The wait before the poller asks again if an older fact was still unread at the last poll. Short, because the
/// deadline has passed; not zero, because each poll is a call to the provider.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

/// The longest wait before that repeated poll.
const LOOK_AGAIN_CAP: TimeDelta = TimeDelta::minutes(1);

/// Creates an opening under `id`, with its first command.
#[must_use]
pub fn start(id: OpeningId, request: Request, policy: &Policy, now: Time) -> Decision {
    let deadline_at = now + policy.escalate_after;
    let opening = Opening {
        id,
        request,
        state: State::CreatingProfile,
        provider_status: None,
        deadline_at,
        escalated_at: None,
        due_at: Some(deadline_at),
        polls: 0,
        polls_before_wait: 0,
        account_due_since: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    Draft::started(opening, now)
}

/// Decides what `event` changes about `opening`.
#[must_use]
pub fn decide(opening: &Opening, event: &Event, policy: &Policy, now: Time) -> Decision {
    let mut draft = Draft::new(opening, event, policy, now);
    if opening.state.erased_at().is_some() {
        // An erased opening has no values left to compare with the fact.
        draft.outcome = Outcome::Superseded;
        return draft.finish();
    }
    match &event.fact {
        Fact::ProfileCreated { profile } => profile_created(&mut draft, profile),
        Fact::SubmissionAccepted { report } => draft.submission_accepted(report),
        Fact::SubmissionRejected { code, message } => submission_rejected(&mut draft, code, message),
        Fact::SubmissionUnknown { .. } => submission_unknown(&mut draft),
        Fact::CardIssued { card } => card_issued(&mut draft, card),
        Fact::CommandDead { topic, cause } => command_dead(&mut draft, *topic, cause),
        Fact::Reported { report } => draft.reported(report, None),
        Fact::Polled { asked_at, outcome: PollOutcome::Answered(report) } => draft.reported(report, Some(*asked_at)),
        Fact::Polled { asked_at, outcome: PollOutcome::Failed { .. } } => draft.poll_without_answer(*asked_at),
        Fact::DeadlinePassed { asked_at } => deadline_passed(&mut draft, *asked_at),
        Fact::PollRequested => poll_requested(&mut draft),
        Fact::Resolved { act, resolution, reason, .. } => draft.resolved(*act, resolution, reason),
    }
    draft.finish()
}

fn profile_created(draft: &mut Draft<'_>, profile: &ProfileId) {
    match draft.opening.state.profile().cloned() {
        None if matches!(draft.opening.state, State::CreatingProfile) => {
            draft.enter(State::RequestingAccount { profile: profile.clone(), unknown_since: None }, None);
        }
        Some(held) if held != *profile => draft.conflict(
            CaseKind::SecondProfile,
            profile.to_string(),
            json!({"profile_id": held}),
            json!({"profile_id": profile}),
        ),
        // The opening ended before its profile was known, or the profile is known already.
        None | Some(_) => draft.outcome = Outcome::Superseded,
    }
}

fn submission_rejected(draft: &mut Draft<'_>, code: &str, message: &str) {
    match &draft.opening.state {
        State::RequestingAccount { profile, .. } => {
            let ending =
                Ending { profile: Some(profile.clone()), reference: None, reason: format!("{code}: {message}") };
            draft.enter(State::Rejected(ending), Some(format!("submission refused: {code}")));
        }
        State::Rejected(_) => draft.outcome = Outcome::Duplicate,
        State::Failed(_) => {
            draft.contradicted("rejected", json!({"status": "rejected", "code": code, "message": message}));
        }
        State::Erased(_) => draft.outcome = Outcome::Superseded,
        State::CreatingProfile => draft.outcome = Outcome::Parked,
        // The provider cannot both have accepted the request (we hold its tracking id) and have refused it.
        State::AwaitingProvider(_) | State::Escalated(_) | State::IssuingCard(_) | State::Completed(..) => {
            let theirs = json!({"status": "rejected", "code": code, "message": message});
            draft.conflict(CaseKind::ConflictingAnswer, "submission refused".to_owned(), draft.ours(), theirs);
        }
    }
}

fn submission_unknown(draft: &mut Draft<'_>) {
    let now = draft.now;
    match &mut draft.opening.state {
        State::RequestingAccount { unknown_since, .. } => {
            if unknown_since.is_none() {
                *unknown_since = Some(now);
                draft.touch();
            }
            draft.outcome = Outcome::Recorded;
        }
        _ => draft.outcome = Outcome::Superseded,
    }
}

fn card_issued(draft: &mut Draft<'_>, card: &CardId) {
    match &draft.opening.state {
        State::IssuingCard(account) => {
            let state = State::Completed(account.clone(), card.clone());
            draft.enter(state, None);
        }
        State::Completed(_, held) if held == card => draft.outcome = Outcome::Superseded,
        State::Completed(_, held) => {
            let (ours, theirs) = (json!({"card_id": held}), json!({"card_id": card}));
            draft.conflict(CaseKind::SecondCard, card.to_string(), ours, theirs);
        }
        // A card is requested only after the account exists, so this answer belongs to no known command: parked.
        _ => draft.outcome = Outcome::Parked,
    }
}

fn command_dead(draft: &mut Draft<'_>, topic: Topic, cause: &str) {
    if topic.state() == Some(draft.opening.state_name()) {
        draft.ticket(TicketKind::StepFailed, format!("{topic} was given up: {cause}"));
        draft.outcome = Outcome::Recorded;
    } else {
        draft.outcome = Outcome::Superseded;
    }
}

/// The deadline of a state that does not wait for the provider. The wait state escalates through its last poll instead.
fn deadline_passed(draft: &mut Draft<'_>, asked_at: Time) {
    let state = draft.opening.state_name();
    let stuck =
        matches!(draft.opening.state, State::CreatingProfile | State::RequestingAccount { .. } | State::IssuingCard(_));
    if !stuck || asked_at < draft.opening.deadline_at {
        draft.outcome = Outcome::Superseded;
        return;
    }
    draft.ticket(TicketKind::StepFailed, format!("still {state} at its deadline"));
    // The ticket exists. The timer stays set in case a person closes the ticket while the opening is still stuck.
    draft.opening.due_at = Some(draft.now + draft.policy.escalate_after);
    draft.outcome = Outcome::Recorded;
}

fn poll_requested(draft: &mut Draft<'_>) {
    if matches!(draft.opening.state, State::AwaitingProvider(_) | State::Escalated(_)) {
        debug_assert!(matches!(draft.event.source, Source::Operator | Source::Report));
        draft.poll_now();
        draft.outcome = Outcome::Recorded;
    } else {
        draft.outcome = Outcome::Superseded;
    }
}
