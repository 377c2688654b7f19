//! `start` and `decide`: what a request and each later fact mean.
//!
//! The rules are those of the map (`docs/ARCHITECTURE.md`): a provider's word moves an opening forward or not at all; the
//! first terminal answer that is applied wins; what a machine cannot decide becomes a case or a ticket. Every state meets
//! every fact in `tests/table.rs`.

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

/// When to look again after a last poll that met an older fact still unread. Short, since the deadline has passed; not
/// zero, since each look is a call to the provider.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

/// The longest wait before that look.
const LOOK_AGAIN_CAP: TimeDelta = TimeDelta::minutes(1);

/// A new opening under `id`, with its first command.
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
        version: 1,
        created_at: now,
        updated_at: now,
    };
    Draft::started(opening, now)
}

/// What `event` means for `opening`.
#[must_use]
pub fn decide(opening: &Opening, event: &Event, policy: &Policy, now: Time) -> Decision {
    let mut draft = Draft::new(opening, event, policy, now);
    if opening.state.erased_at().is_some() {
        // It has ended, and there is nothing left to compare anything with.
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
        // Ended before its profile was known, or known already.
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
        // A tracking id that we hold and a refusal of the same request cannot both be true.
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
        // No card is asked for before there is an account: whatever this answers, it waits for a person.
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

/// The deadline of a state that does not wait for the provider; the wait has its polls.
fn deadline_passed(draft: &mut Draft<'_>, asked_at: Time) {
    let state = draft.opening.state_name();
    let stuck =
        matches!(draft.opening.state, State::CreatingProfile | State::RequestingAccount { .. } | State::IssuingCard(_));
    if !stuck || asked_at < draft.opening.deadline_at {
        draft.outcome = Outcome::Superseded;
        return;
    }
    draft.ticket(TicketKind::StepFailed, format!("still {state} at its deadline"));
    // The ticket stands; the timer looks again later, in case it was closed by hand and nothing moved.
    draft.opening.due_at = Some(draft.now + draft.policy.escalate_after);
    draft.outcome = Outcome::Recorded;
}

fn poll_requested(draft: &mut Draft<'_>) {
    if matches!(draft.opening.state, State::AwaitingProvider(_) | State::Escalated(_)) {
        debug_assert_eq!(draft.event.source, Source::Operator);
        draft.poll_now();
        draft.outcome = Outcome::Recorded;
    } else {
        draft.outcome = Outcome::Superseded;
    }
}
