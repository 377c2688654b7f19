//! Coming events: what happens to an opening by itself, and when. A coming event named here is the one that then happens (P34).

use super::effect::Topic;
use super::opening::{Opening, State};
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The kind of a coming event.
    ComingKind {
        /// The provider is asked.
        Poll = "poll",
        /// People are told.
        Deadline = "deadline",
        /// Another system is called.
        Call = "call",
        /// Nothing happens by itself.
        Nothing = "nothing",
    }
);

/// A call that waits in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingCall {
    /// The kind of call.
    pub topic: Topic,
    /// The number of the attempt that is under way, else of the next one, from 1.
    pub attempt: i32,
    /// When it is due; when it is repeated, if the attempt under way brings nothing.
    pub due_at: Time,
    /// A worker makes it now.
    pub is_under_way: bool,
    /// Its breaker refuses calls now.
    pub is_held: bool,
}

/// The work of an opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The calls of its state that wait.
    pub calls: Vec<WaitingCall>,
    /// A call of its state was given up: its dead letter waits for an operator.
    pub is_given_up: bool,
    /// The breaker of the provider's polls refuses calls now.
    pub are_polls_held: bool,
}

/// Why nothing happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// The opening has ended.
    Ended,
    /// The deadline passed and polling stopped; a late answer still counts.
    Escalated,
    /// The call of its state was given up.
    GivenUp,
}

/// A coming event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// The provider is asked.
    Poll {
        /// When it is due.
        at: Time,
        /// The number of the poll since the wait began, from 1.
        number: i32,
        /// Without a final answer to it, people are told.
        is_last: bool,
        /// Its breaker refuses calls now.
        is_held: bool,
    },
    /// People are told, unless the opening has moved on by then.
    Deadline {
        /// When it passes.
        at: Time,
    },
    /// Another system is called.
    Call(WaitingCall),
    /// Nothing happens by itself.
    Nothing(Still),
}

impl Coming {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ComingKind {
        match self {
            Self::Poll { .. } => ComingKind::Poll,
            Self::Deadline { .. } => ComingKind::Deadline,
            Self::Call(_) => ComingKind::Call,
            Self::Nothing(_) => ComingKind::Nothing,
        }
    }

    /// When it happens. None: never.
    #[must_use]
    pub const fn at(&self) -> Option<Time> {
        match self {
            Self::Poll { at, .. } | Self::Deadline { at } => Some(*at),
            Self::Call(call) => Some(call.due_at),
            Self::Nothing(_) => None,
        }
    }
}

/// The coming events of an opening, soonest first.
#[must_use]
pub fn next(opening: &Opening, work: &Work) -> Vec<Coming> {
    let mut coming = match opening.state {
        State::AwaitingProvider(_) => waiting(opening, work),
        State::Escalated(_) => poll(opening, work).into_iter().collect(),
        State::CreatingProfile | State::RequestingAccount { .. } | State::IssuingCard(_) => working(opening, work),
        State::Completed(..) | State::Rejected(_) | State::Failed(_) | State::Erased(_) => {
            vec![Coming::Nothing(Still::Ended)]
        }
    };
    if coming.is_empty() {
        coming.push(Coming::Nothing(Still::Escalated));
    }
    coming.sort_by_key(Coming::at);
    coming
}

fn waiting(opening: &Opening, work: &Work) -> Vec<Coming> {
    poll(opening, work).into_iter().chain([Coming::Deadline { at: opening.deadline_at }]).collect()
}

fn poll(opening: &Opening, work: &Work) -> Option<Coming> {
    let number = opening.polls.saturating_sub(opening.polls_before_wait).saturating_add(1);
    let is_last = |at| matches!(opening.state, State::AwaitingProvider(_)) && at >= opening.deadline_at;
    opening.due_at.map(|at| Coming::Poll { at, number, is_last: is_last(at), is_held: work.are_polls_held })
}

/// A step of the service's own. Its ticket is opened once: by its deadline, or when its call is given up.
fn working(opening: &Opening, work: &Work) -> Vec<Coming> {
    let calls: Vec<Coming> = work.calls.iter().copied().map(Coming::Call).collect();
    if calls.is_empty() && work.is_given_up {
        return vec![Coming::Nothing(Still::GivenUp)];
    }
    let was_told = opening.due_at.is_none_or(|due| due > opening.deadline_at);
    let deadline = (!was_told).then_some(Coming::Deadline { at: opening.deadline_at });
    calls.into_iter().chain(deadline).collect()
}
