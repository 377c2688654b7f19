//! A decision that would be made, in words.

use crate::domain::{Decision, Effect, Outcome};
use crate::http::dashboard::parts::words;

/// The changes that a decision makes, a line each.
#[must_use]
pub fn lines(decision: &Decision) -> Vec<String> {
    let steps = decision.steps.iter().map(|step| {
        let from = step.from.map(|it| words(it.as_str())).unwrap_or_default();
        format!("moves the opening from {from} to {}", words(step.to.as_str()))
    });
    let lines: Vec<String> = steps.chain(decision.effects.iter().map(effect)).collect();
    if lines.is_empty() { vec![nothing(decision.outcome)] } else { lines }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send(command) => format!("calls another system: {}", words(command.0.as_str())),
        Effect::Cancel(topic) => format!("cancels the call {}, if it was not sent yet", words(topic.as_str())),
        Effect::Emit(event, _) => format!("tells subscribers: {event}"),
        Effect::OpenTicket { kind, .. } => format!("opens a ticket: {kind}"),
        Effect::CloseTicket { kind, .. } => format!("closes its ticket {kind}, if it is open"),
        Effect::OpenCase(case) => format!("opens a case: {}", words(case.kind.as_str())),
    }
}

fn nothing(outcome: Outcome) -> String {
    format!("changes nothing: the decision counts as {}", words(outcome.as_str()))
}
