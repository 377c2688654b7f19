//! The state machine as the design defines it: allowed steps, and what entering a state writes.

pub struct State {
    pub name: &'static str,
    /// The allowed next states. None: terminal.
    pub next: &'static [&'static str],
    /// The command that entering it writes.
    pub command: Option<&'static str>,
    /// The event that entering it writes.
    pub event: Option<&'static str>,
    /// Whether the bank's answer is known in it.
    pub decided: bool,
}

/// The first state of every opening.
pub const FIRST: &str = "creating_profile";
/// An event caused by a case instead of a step.
pub const CONTRADICTION: &str = "account_opening.contradiction";
/// The event of an escalation.
pub const ESCALATION: &str = "account_opening.escalated";
/// The ticket of an escalation.
pub const NO_WEBHOOK: &str = "AccountOpeningWebhookNotReceived";
/// The ticket of a stuck step.
pub const STEP_FAILED: &str = "AccountOpeningStepFailed";
/// The topic of a delivery to a subscriber.
pub const DELIVERY: &str = "deliver_event";
pub const STATES: [State; 8] = [
    State {
        name: "creating_profile",
        next: &["requesting_account", "failed"],
        command: Some("create_profile"),
        event: Some("account_opening.started"),
        decided: false,
    },
    State {
        name: "requesting_account",
        next: &["awaiting_provider", "rejected", "failed"],
        command: Some("submit_request"),
        event: None,
        decided: false,
    },
    State {
        name: "awaiting_provider",
        next: &["escalated", "issuing_card", "rejected", "failed"],
        command: None,
        event: Some("account_opening.awaiting_provider"),
        decided: false,
    },
    State {
        name: "escalated",
        next: &["issuing_card", "rejected", "failed"],
        command: None,
        event: Some("account_opening.escalated"),
        decided: false,
    },
    State {
        name: "issuing_card",
        next: &["completed"],
        command: Some("issue_card"),
        event: Some("account_opening.succeeded"),
        decided: true,
    },
    State { name: "completed", next: &[], command: None, event: Some("account_opening.completed"), decided: true },
    State { name: "rejected", next: &[], command: None, event: Some("account_opening.rejected"), decided: true },
    State { name: "failed", next: &[], command: None, event: Some("account_opening.failed"), decided: false },
];

/// The state of that name.
pub fn state(name: &str) -> Option<&'static State> {
    STATES.iter().find(|state| state.name == name)
}

/// Whether a state is never left.
pub fn is_terminal(name: &str) -> bool {
    state(name).is_some_and(|state| state.next.is_empty())
}

/// Whether one state may follow another; none: the start.
pub fn is_legal(from: Option<&str>, to: &str) -> bool {
    match from {
        None => to == FIRST,
        Some(from) => state(from).is_some_and(|state| state.next.contains(&to)),
    }
}
