//! How much work may be claimed: as much as the gates before its calls let through. What is not claimed stays due, costs no
//! attempt, and is found when they do.

use super::{Gate, Key};
use crate::db::timers::Room;
use crate::domain::Topic;
use crate::services::Tracker;
use crate::workers::Context;

/// The gates before the calls of a topic, each for a part of its work. None: nothing bounds them.
#[must_use]
pub fn gates(context: &Context, topic: Topic) -> Vec<Gate> {
    let providers = |operation| context.providers.names().map(|name| context.gates.gate(name, operation)).collect();
    match topic {
        Topic::CreateProfile => vec![context.profiles.gate().clone()],
        Topic::SubmitRequest => providers("submit"),
        Topic::OpenAccount => providers("open"),
        Topic::IssueCard => vec![context.cards.gate().clone()],
        Topic::DeliverEvent => context.subscribers.gates(),
        Topic::OpenTicket | Topic::CloseTicket => context.tracker.iter().flat_map(Tracker::gates).cloned().collect(),
    }
}

/// The topics whose calls, or some of them, pass this gate.
pub fn topics(context: &Context, (system, operation): &Key) -> impl Iterator<Item = Topic> {
    let passes = move |topic: &Topic| {
        gates(context, *topic).iter().any(|gate| gate.system() == system && gate.operation() == *operation)
    };
    Topic::ALL.iter().copied().filter(passes)
}

/// The subscribers whose gate has no room now. A row for one that is none any more is for nobody's gate, and never shut.
#[must_use]
pub fn shut(context: &Context, topic: Topic) -> Vec<String> {
    if topic != Topic::DeliverEvent {
        return Vec::new();
    }
    let shut = context.subscribers.gates().into_iter().filter(|gate| gate.capacity() == 0);
    shut.flat_map(|gate| context.subscribers.behind(gate.system())).collect()
}

/// How many rows of a topic may be claimed now, at most `most`. A ticket's work passes all of its gates. Of other topics each
/// row passes one: a row that is for one that has too little room may be among them, and is held.
#[must_use]
pub fn for_topic(context: &Context, topic: Topic, most: usize) -> usize {
    let gates = gates(context, topic);
    let rooms = gates.iter().map(Gate::room);
    let room = if topic.is_for_tracker() { rooms.min() } else { rooms.reduce(usize::saturating_add) };
    room.unwrap_or(most).min(most)
}

/// How many openings of each provider may be asked about now, at most `most` of each.
#[must_use]
pub fn for_polls(context: &Context, most: usize) -> Vec<Room> {
    let room = |provider| Room { provider, most: context.gates.gate(provider, "lookup").capacity().min(most) };
    context.providers.names().map(room).collect()
}
