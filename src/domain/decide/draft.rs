//! A decision under construction. `enter` adds the effects that leaving and entering a state always have.

use serde_json::{Value, json};

use crate::clock::Time;
use crate::domain::effect::{Case, CaseKind, Command, Decision, Effect, EventType, Outcome, Step, TicketKind, Topic};
use crate::domain::event::{Event, Source};
use crate::domain::opening::{Opening, State, StateName};
use crate::domain::policy::Policy;
use crate::domain::request::Flow;

pub(super) struct Draft<'a> {
    pub opening: Opening,
    pub event: &'a Event,
    pub policy: &'a Policy,
    pub now: Time,
    pub outcome: Outcome,
    steps: Vec<Step>,
    effects: Vec<Effect>,
}

impl<'a> Draft<'a> {
    pub fn new(opening: &Opening, event: &'a Event, policy: &'a Policy, now: Time) -> Self {
        let opening = opening.clone();
        Self { opening, event, policy, now, outcome: Outcome::Recorded, steps: Vec::new(), effects: Vec::new() }
    }

    /// The decision that creates an opening.
    pub fn started(opening: Opening, now: Time) -> Decision {
        let step = Step {
            version: opening.version,
            from: None,
            to: opening.state_name(),
            event: "started",
            source: Source::Api,
            inbox_id: None,
            at: now,
            detail: None,
        };
        let effects = entered(&opening);
        Decision { outcome: Outcome::Applied, opening, steps: vec![step], effects }
    }

    pub fn finish(self) -> Decision {
        Decision { outcome: self.outcome, opening: self.opening, steps: self.steps, effects: self.effects }
    }

    /// Makes one transition: the effects of leaving and of entering a state, the deadline and the timer.
    pub fn enter(&mut self, state: State, detail: Option<String>) {
        let from = self.opening.state_name();
        let to = state.name();
        debug_assert!(from.may_become().contains(&to), "{from} -> {to}");
        self.opening.state = state;
        self.opening.account_due_since = None;
        self.opening.version += 1;
        self.touch();
        self.set_timer(to);
        self.steps.push(Step {
            version: self.opening.version,
            from: Some(from),
            to,
            event: self.event.fact.name(),
            source: self.event.source,
            inbox_id: Some(self.event.inbox_id),
            at: self.now,
            detail,
        });
        self.effects.extend(left(from, to, self.opening.request.flow));
        self.effects.extend(entered(&self.opening));
        self.outcome = Outcome::Applied;
    }

    fn set_timer(&mut self, to: StateName) {
        match to {
            StateName::AwaitingProvider => {
                self.opening.polls_before_wait = self.opening.polls;
                self.opening.deadline_at = self.now + self.policy.escalate_after;
                self.opening.due_at = Some(self.next_interval());
            }
            StateName::IssuingCard => {
                self.opening.deadline_at = self.now + self.policy.escalate_after;
                self.opening.due_at = Some(self.opening.deadline_at);
            }
            StateName::CreatingProfile | StateName::RequestingAccount => {
                self.opening.due_at = Some(self.opening.deadline_at);
            }
            StateName::Escalated => {
                self.opening.escalated_at = Some(self.now);
                self.opening.due_at = None;
            }
            StateName::Completed | StateName::Rejected | StateName::Failed => self.opening.due_at = None,
        }
    }

    /// One interval from now, capped at the deadline.
    pub fn next_interval(&self) -> Time {
        (self.now + self.policy.wait_of(&self.opening)).min(self.opening.deadline_at)
    }

    /// Marks a change that callers can see.
    pub fn touch(&mut self) {
        self.opening.updated_at = self.now;
    }

    /// Records the provider's status word beside our state; an empty word is ignored.
    pub fn record_status(&mut self, word: &str) {
        if !word.is_empty() && self.opening.provider_status.as_deref() != Some(word) {
            self.opening.provider_status = Some(word.to_owned());
            self.touch();
        }
    }

    pub fn poll_now(&mut self) {
        self.opening.due_at = Some(self.opening.due_at.map_or(self.now, |due| due.min(self.now)));
    }

    pub fn ticket(&mut self, kind: TicketKind, summary: String) {
        self.effects.push(Effect::OpenTicket { kind, summary });
    }

    /// Opens a case for a disagreement. The state does not change.
    pub fn conflict(&mut self, kind: CaseKind, cause: String, ours: Value, theirs: Value) {
        let evidence = self.event.inbox_id;
        self.effects.push(Effect::OpenCase(Case { kind, cause, ours, theirs, evidence }));
        self.outcome = Outcome::Conflict;
    }

    /// Our side of a disagreement, for the case.
    pub fn ours(&self) -> Value {
        let state = &self.opening.state;
        json!({
            "state": state.name(),
            "provider_reference": state.reference(),
            "iban": state.account().map(|it| &it.iban),
            "bic": state.account().map(|it| &it.bic),
            "reason": state.reason(),
        })
    }
}

/// Effects of leaving a state: cancels its unsent command and closes its ticket.
fn left(from: StateName, to: StateName, flow: Flow) -> impl Iterator<Item = Effect> {
    let topic = Topic::of(from, flow);
    let kind = match from {
        StateName::Escalated => Some(TicketKind::WebhookNotReceived),
        _ => topic.map(|_| TicketKind::StepFailed),
    };
    let reason = format!("{from} became {to}");
    let close = kind.map(|kind| Effect::CloseTicket { kind, reason });
    topic.map(Effect::Cancel).into_iter().chain(close)
}

/// Effects of entering a state: its command, its event and, for an escalation, its ticket.
fn entered(opening: &Opening) -> Vec<Effect> {
    let state = opening.state_name();
    let command = Topic::of(state, opening.request.flow);
    let mut effects: Vec<Effect> = command.map(|topic| Effect::Send(Command(topic))).into_iter().collect();
    effects.extend(EventType::of(state).map(|event| Effect::Emit(event, Box::new(opening.clone()))));
    if state == StateName::Escalated {
        let said = opening.provider_status.as_ref().map_or_else(String::new, |word| format!("; its last word: {word}"));
        let summary = format!("no answer from {} by the deadline{said}", opening.request.provider);
        effects.push(Effect::OpenTicket { kind: TicketKind::WebhookNotReceived, summary });
    }
    effects
}
