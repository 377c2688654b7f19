//! A simulated inbox: decides facts as they come, and parked facts again after each transition.

use std::collections::BTreeSet;

use super::*;

pub(super) struct Inbox {
    pub opening: Opening,
    now: Time,
    received: usize,
    pub parked: Vec<Event>,
    /// The distinct causes of the opened cases.
    pub causes: BTreeSet<(CaseKind, String)>,
    /// Effects that must happen at most once: commands, events, tickets.
    effects: Vec<String>,
    /// The fact that decided the opening, and the terminal answers settled before it.
    pub decided_by: Option<Fact>,
    pub settled_before: usize,
}

impl Inbox {
    fn new(state: StateName) -> Self {
        Self {
            opening: opening(state),
            now: began(),
            received: 0,
            parked: Vec::new(),
            causes: BTreeSet::new(),
            effects: Vec::new(),
            decided_by: None,
            settled_before: 0,
        }
    }

    pub fn after(state: StateName, facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut inbox = Self::new(state);
        facts.into_iter().for_each(|fact| inbox.receive(fact));
        inbox
    }

    fn receive(&mut self, fact: Fact) {
        self.now += MINUTE;
        self.received += 1;
        let mut moved = self.settle(event(self.received, fact));
        while moved {
            let parked = std::mem::take(&mut self.parked);
            moved = false;
            for event in parked {
                moved |= self.settle(event);
            }
        }
    }

    /// Whether the fact moved the opening.
    fn settle(&mut self, event: Event) -> bool {
        let decision = decide(&self.opening, &event, &Policy::default(), self.now);
        let broken: Vec<String> = invariants::broken(&self.opening, &event, &decision, self.now).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        if decision.outcome == Outcome::Parked {
            self.parked.push(event);
            return false;
        }
        self.causes.extend(cases(&decision).map(|case| (case.kind, case.cause.clone())));
        self.effects.extend(decision.effects.iter().filter_map(once));
        let ends = |step: &Step| matches!(step.to, StateName::IssuingCard | StateName::Rejected);
        if decision.steps.iter().any(ends) {
            assert!(self.decided_by.is_none(), "decided twice");
            self.decided_by = Some(event.fact);
        } else if self.decided_by.is_none() && answer(&event.fact).is_some() {
            self.settled_before += 1;
        }
        self.opening = decision.opening;
        !decision.steps.is_empty()
    }

    pub fn assert_nothing_happened_twice(&self) {
        let distinct: BTreeSet<&String> = self.effects.iter().collect();
        assert_eq!(distinct.len(), self.effects.len(), "{:?}", self.effects);
    }

    /// The final answer: an IBAN, or the refusal.
    pub fn end(&self) -> String {
        let iban = self.opening.state.account().map(|account| account.iban.as_str());
        format!("{} {}", self.opening.state_name(), iban.unwrap_or("-"))
    }
}

/// The name of an effect that must happen at most once per opening.
fn once(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Send(Command(topic)) => Some(topic.to_string()),
        Effect::Emit(event, _) => Some(event.to_string()),
        Effect::OpenTicket { kind, .. } => Some(kind.to_string()),
        Effect::Cancel(_) | Effect::CloseTicket { .. } | Effect::OpenCase(_) => None,
    }
}

/// The terminal state that a fact leads to, if it can be applied.
pub(super) fn answer(fact: &Fact) -> Option<String> {
    if matches!(fact, Fact::SubmissionRejected { .. }) {
        return Some("rejected -".to_owned());
    }
    let report = fact.report()?;
    match (report.verdict, &report.iban, &report.bic) {
        (Verdict::Rejected, ..) => Some("rejected -".to_owned()),
        (Verdict::Completed, Some(iban), Some(_)) => {
            let iban = Iban::parse(iban).ok()?;
            Some(format!("completed {}", iban.as_str()))
        }
        _ => None,
    }
}
