//! Invariants of every decision, checked in every cell of the table and on every step of every order.

use super::*;

/// The invariants that a decision violates. Empty: none.
pub(super) fn broken(
    before: &Opening,
    event: &Event,
    decision: &Decision,
    now: Time,
) -> impl Iterator<Item = String> + use<> {
    let after = &decision.opening;
    let mut found = Vec::new();
    let mut rule = |holds: bool, why: &str| {
        if !holds {
            found.push(format!("{why}: {decision:?}"));
        }
    };
    rule(steps_are_a_walk(before, event, decision, now), "steps are legal, consecutive and name their fact (P7)");
    let fixed = |it: &Opening| (it.id, it.request.clone(), it.created_at, it.polls);
    rule(fixed(before) == fixed(after), "what was asked for never changes");
    rule(!before.state_name().is_terminal() || before == after, "a terminal state is never left or touched (P6)");
    rule(before.state.account().is_none_or(|held| after.state.account() == Some(held)), "an account is for ever");
    rule(before.state.profile().is_none_or(|held| after.state.profile() == Some(held)), "a profile is for ever");
    rule(
        before.state.reference().is_none_or(|held| after.state.reference() == Some(held)),
        "a tracking id is for ever",
    );
    rule(account_is_valid(before, event, after), "an IBAN is saved only when valid and free");
    rule(timer_is_right(after, now), "a timer for all that waits, none for what is over");
    let still =
        matches!(decision.outcome, Outcome::Parked | Outcome::Superseded | Outcome::Duplicate | Outcome::Unknown);
    let quiet = before == after && decision.effects.is_empty();
    let poll = matches!(event.fact, Fact::Polled { .. });
    let unknown = decision.outcome == Outcome::Unknown;
    rule(
        !still || quiet || (unknown && (poll || only_the_word_changed(before, decision))),
        "what means nothing changes nothing",
    );
    rule(!unknown || last_word_is_kept(before, event, after), "an unknown word is recorded (rule 9)");
    rule(
        before.escalated_at == after.escalated_at || entered(decision, StateName::Escalated),
        "escalated_at is set once",
    );
    let seen = |it: &Opening| (it.state.clone(), it.provider_status.clone(), it.version);
    rule(seen(before) == seen(after) || after.updated_at == now, "what a caller sees carries its time");
    rule(cases_are_right(event, decision), "a conflict opens its cases with their evidence, nothing else does");
    rule(commands(decision) == expected_commands(decision), "leaving cancels, entering sends");
    rule(emitted_is_right(decision), "each state entered is told, as it was");
    rule(tickets_are_right(event, decision), "one ticket for an escalation, one for a stuck step");
    rule(closed(decision) == expected_closed(decision), "leaving closes the ticket of the state left");
    rule(decide(before, event, &Policy::default(), now) == *decision, "the same input gives the same decision");
    found.into_iter()
}

fn only_the_word_changed(before: &Opening, decision: &Decision) -> bool {
    let word = decision.opening.provider_status.clone();
    let expected = Opening { provider_status: word, updated_at: decision.opening.updated_at, ..before.clone() };
    expected == decision.opening && decision.effects.is_empty()
}

/// F4: while no final answer exists.
fn last_word_is_kept(before: &Opening, event: &Event, after: &Opening) -> bool {
    let waits = before.state_name().status() == Status::InProgress;
    !waits || after.provider_status.as_deref() == event.fact.report().map(|it| it.word.as_str())
}

fn entered(decision: &Decision, state: StateName) -> bool {
    decision.steps.iter().any(|step| step.to == state)
}

fn steps_are_a_walk(before: &Opening, event: &Event, decision: &Decision, now: Time) -> bool {
    let (mut state, mut version) = (before.state_name(), before.version);
    for step in &decision.steps {
        let from = std::mem::replace(&mut state, step.to);
        version += 1;
        let named = step.event == event.fact.name() && step.source == event.source;
        let right = step.from == Some(from) && from.may_become().contains(&step.to) && step.version == version;
        if !right || !named || step.inbox_id != Some(event.inbox_id) || step.at != now {
            return false;
        }
    }
    decision.opening.state_name() == state && decision.opening.version == version
}

fn account_is_valid(before: &Opening, event: &Event, after: &Opening) -> bool {
    let named = match &event.fact {
        Fact::Resolved { resolution: Resolution::Completed { iban, bic, .. }, .. } => {
            Some((iban.as_str(), bic.as_str()))
        }
        fact => fact
            .report()
            .filter(|report| report.verdict == Verdict::Completed)
            .and_then(|report| report.iban.as_deref().zip(report.bic.as_deref())),
    };
    match (before.state.account(), after.state.account(), named) {
        (None, None, _) | (Some(_), _, _) => true,
        (None, Some(saved), Some((iban, bic))) => {
            let plain = iban.replace(' ', "").to_uppercase();
            plain == saved.iban.as_str()
                && Iban::parse(&plain).is_ok()
                && bic.eq_ignore_ascii_case(saved.bic.as_str())
                && event.knowledge.iban_holder.is_none()
        }
        (None, Some(_), None) => false,
    }
}

/// No opening is silently stuck: every unfinished opening has a timer, except an escalated one, which has a ticket.
fn timer_is_right(after: &Opening, now: Time) -> bool {
    match after.state_name() {
        StateName::AwaitingProvider => {
            after.due_at.is_some_and(|due| due <= after.deadline_at || due <= now + MINUTE)
                && after.due_at == after.next_poll_at()
        }
        StateName::CreatingProfile | StateName::RequestingAccount | StateName::IssuingCard => {
            after.due_at.is_some() && after.next_poll_at().is_none()
        }
        // A requested poll, a poll in flight, or the look-up of an account that the provider owes.
        StateName::Escalated => {
            let wait = if after.account_due_since.is_some() { MINUTE * 15 } else { MINUTE };
            after.escalated_at.is_some() && after.due_at.is_none_or(|due| due <= now + wait)
        }
        StateName::Completed | StateName::Rejected | StateName::Failed => after.due_at.is_none(),
    }
}

fn cases_are_right(event: &Event, decision: &Decision) -> bool {
    let opened = cases(decision).count();
    let evident = cases(decision).all(|case| case.evidence == event.inbox_id && !case.cause.is_empty());
    evident && (opened > 0) == (decision.outcome == Outcome::Conflict) && opened <= 1
}

/// The command of a state, written out a second time: independent of the code under test.
fn topic(state: StateName, flow: Flow) -> Option<Topic> {
    match state {
        StateName::CreatingProfile => Some(Topic::CreateProfile),
        StateName::RequestingAccount if flow == Flow::Sync => Some(Topic::OpenAccount),
        StateName::RequestingAccount => Some(Topic::SubmitRequest),
        StateName::IssuingCard => Some(Topic::IssueCard),
        _ => None,
    }
}

/// The cancelled (true) and sent (false) commands.
fn commands(decision: &Decision) -> Vec<(bool, Topic)> {
    let of = |effect: &Effect| match effect {
        Effect::Cancel(topic) => Some((true, *topic)),
        Effect::Send(Command(topic)) => Some((false, *topic)),
        _ => None,
    };
    decision.effects.iter().filter_map(of).collect()
}

fn expected_commands(decision: &Decision) -> Vec<(bool, Topic)> {
    let flow = decision.opening.request.flow;
    let of = |(left, state): (bool, StateName)| topic(state, flow).map(|topic| (left, topic));
    decision.steps.iter().flat_map(|step| [(true, step.from.unwrap()), (false, step.to)]).filter_map(of).collect()
}

fn emitted_is_right(decision: &Decision) -> bool {
    let emitted = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Emit(event, opening) => Some((event.as_str(), opening.state_name(), opening.version)),
        _ => None,
    });
    let expected = decision.steps.iter().filter_map(|step| {
        let word = match step.to {
            StateName::RequestingAccount => return None,
            StateName::CreatingProfile => "account_opening.started",
            StateName::AwaitingProvider => "account_opening.awaiting_provider",
            StateName::Escalated => "account_opening.escalated",
            StateName::IssuingCard => "account_opening.succeeded",
            StateName::Completed => "account_opening.completed",
            StateName::Rejected => "account_opening.rejected",
            StateName::Failed => "account_opening.failed",
        };
        Some((word, step.to, step.version))
    });
    let word_is_last = decision.effects.iter().all(|effect| match effect {
        Effect::Emit(_, opening) => opening.provider_status == decision.opening.provider_status,
        _ => true,
    });
    emitted.eq(expected) && word_is_last
}

fn tickets_are_right(event: &Event, decision: &Decision) -> bool {
    let escalations = usize::from(entered(decision, StateName::Escalated));
    let of = |kind| tickets(decision).filter(|it| *it == kind).count();
    let may_be_stuck = matches!(event.fact, Fact::CommandDead { .. } | Fact::DeadlinePassed { .. });
    let stuck = usize::from(may_be_stuck && decision.outcome == Outcome::Recorded);
    of(TicketKind::WebhookNotReceived) == escalations && of(TicketKind::StepFailed) == stuck
}

fn closed(decision: &Decision) -> Vec<TicketKind> {
    let of = |effect: &Effect| match effect {
        Effect::CloseTicket { kind, .. } => Some(*kind),
        _ => None,
    };
    decision.effects.iter().filter_map(of).collect()
}

fn expected_closed(decision: &Decision) -> Vec<TicketKind> {
    let of = |step: &Step| match step.from.unwrap() {
        StateName::Escalated => Some(TicketKind::WebhookNotReceived),
        from => topic(from, Flow::Async).map(|_| TicketKind::StepFailed),
    };
    decision.steps.iter().filter_map(of).collect()
}
