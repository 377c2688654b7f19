//! Every state meets every fact (P6, P7): the literal table is `table.md`, written from the rules of `docs/ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Sample, sample};
use super::*;

const TABLE: &str = include_str!("table.md");

/// The number of fact kinds; [`kind`] numbers them.
const KINDS: usize = 12;

/// A new variant of `Fact` does not compile until it is numbered here, and does not pass until a row names it.
fn kind(fact: &Fact) -> usize {
    match fact {
        Fact::ProfileCreated { .. } => 0,
        Fact::SubmissionAccepted { .. } => 1,
        Fact::SubmissionRejected { .. } => 2,
        Fact::SubmissionUnknown { .. } => 3,
        Fact::CardIssued { .. } => 4,
        Fact::CommandDead { .. } => 5,
        Fact::Reported { .. } => 6,
        Fact::Polled { outcome: PollOutcome::Answered(_), .. } => 7,
        Fact::Polled { outcome: PollOutcome::Failed { .. }, .. } => 8,
        Fact::DeadlinePassed { .. } => 9,
        Fact::PollRequested => 10,
        Fact::Resolved { .. } => 11,
    }
}

/// The rows: a fact's name and its meaning in each state.
fn rows() -> Vec<(&'static str, BTreeMap<StateName, &'static str>)> {
    let mut states: Vec<StateName> = Vec::new();
    let mut rows = Vec::new();
    for line in TABLE.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0] == "fact" {
            states = cells[1..].iter().map(|cell| cell.parse().unwrap()).collect();
        } else {
            assert_eq!(cells.len(), states.len() + 1, "{line}");
            rows.push((cells[0], states.iter().copied().zip(cells[1..].iter().copied()).collect()));
        }
    }
    rows
}

/// The opening that a row's fact meets. A polled or timed fact was claimed before, so its timer is at the lease's end.
fn met(state: StateName, sample: &Sample, flow: Flow) -> Opening {
    let mut opening = opening(state);
    opening.request.flow = flow;
    let claimed = matches!(sample.event.fact, Fact::Polled { .. } | Fact::DeadlinePassed { .. });
    if claimed && !state.is_terminal() {
        opening.due_at = Some(sample.now + TimeDelta::seconds(40));
    }
    opening
}

/// A decision in the table's vocabulary.
fn cell(before: &Opening, decision: &Decision, now: Time) -> String {
    let mut words: Vec<String> = match decision.outcome {
        Outcome::Applied => Vec::new(),
        Outcome::Conflict => cases(decision).map(|case| format!("conflict:{}", case.kind)).collect(),
        outcome => vec![outcome.to_string()],
    };
    words.extend(decision.steps.iter().map(|step| format!("→ {}", step.to)));
    let mut cell = words.join(" ");
    if tickets(decision).any(|kind| kind == TicketKind::StepFailed) {
        cell += ", ticket";
    }
    if decision.opening.due_at != usual_due(before, decision, now) {
        cell += ", due ";
        cell += &decision.opening.due_at.map_or_else(|| "none".to_owned(), |due| away(due - now));
    }
    cell
}

fn away(wait: TimeDelta) -> String {
    match wait.num_seconds() {
        0 => "now".to_owned(),
        seconds if seconds % 3600 == 0 => format!("+{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("+{}m", seconds / 60),
        seconds => format!("+{seconds}s"),
    }
}

/// The timer that the entered state sets; unchanged if no state is entered.
fn usual_due(before: &Opening, decision: &Decision, now: Time) -> Option<Time> {
    match decision.steps.last().map(|step| step.to) {
        None => before.due_at,
        Some(StateName::CreatingProfile | StateName::RequestingAccount) => Some(before.deadline_at),
        Some(StateName::AwaitingProvider) => Some(now + MINUTE * 30),
        Some(StateName::IssuingCard) => Some(now + HOUR * 12),
        Some(StateName::Escalated | StateName::Completed | StateName::Rejected | StateName::Failed) => None,
    }
}

#[test]
fn p6_p7_every_state_meets_every_fact_as_the_table_says() {
    let mut wrong = Vec::new();
    for ((name, cells), flow) in rows().iter().flat_map(|row| Flow::ALL.iter().map(move |flow| (row, *flow))) {
        let sample = sample(name);
        for (state, expected) in cells {
            let before = met(*state, &sample, flow);
            let decision = decide(&before, &sample.event, &Policy::default(), sample.now);
            let found = cell(&before, &decision, sample.now);
            if found != *expected {
                wrong.push(format!("{name} | {state} | {flow}: expected `{expected}`, found `{found}`"));
            }
            let broken = invariants::broken(&before, &sample.event, &decision, sample.now);
            wrong.extend(broken.map(|why| format!("{name} | {state} | {flow}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{} cells\n{}", wrong.len(), wrong.join("\n"));
}

/// The legacy flow: the same states, with one different command.
#[test]
fn a_synchronous_opening_is_asked_for_with_the_call_that_blocks_and_leaves_it_with_its_answer() {
    let mut started = opening(StateName::CreatingProfile);
    started.request.flow = Flow::Sync;
    let sample = sample("profile created: the same");
    let asked = decide(&started, &sample.event, &Policy::default(), sample.now);
    let sent = |decision: &Decision| -> Vec<Topic> {
        let command = |effect: &Effect| match effect {
            Effect::Send(Command(topic)) => Some(*topic),
            _ => None,
        };
        decision.effects.iter().filter_map(command).collect()
    };
    assert_eq!(sent(&asked), [Topic::OpenAccount]);
    let answer = super::facts::sample("accepted: completed");
    let open = decide(&asked.opening, &answer.event, &Policy::default(), answer.now);
    assert_eq!(open.opening.state_name(), StateName::IssuingCard);
    assert_eq!(sent(&open), [Topic::IssueCard]);
    assert!(open.effects.contains(&Effect::Cancel(Topic::OpenAccount)));
    let no = super::facts::sample("accepted: no tracking id, rejected");
    let rejected = decide(&asked.opening, &no.event, &Policy::default(), no.now);
    assert_eq!(rejected.opening.state_name(), StateName::Rejected);
    assert!(rejected.effects.contains(&Effect::Cancel(Topic::OpenAccount)));
}

#[test]
fn the_table_names_every_state_and_every_kind_of_fact_once() {
    let rows = rows();
    let names: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), rows.len(), "a row stands twice");
    let mut seen = [false; KINDS];
    let mut verdicts = BTreeSet::new();
    let mut topics = BTreeSet::new();
    for (name, cells) in &rows {
        let states: Vec<StateName> = cells.keys().copied().collect();
        assert_eq!(states, StateName::ALL, "{name}");
        let fact = sample(name).event.fact;
        seen[kind(&fact)] = true;
        verdicts.extend(fact.report().map(|report| (kind(&fact), report.verdict)));
        if let Fact::CommandDead { topic, .. } = fact {
            topics.insert(topic);
        }
    }
    assert_eq!(seen, [true; KINDS], "a kind of fact stands in no row");
    assert_eq!(verdicts.len(), 3 * Verdict::ALL.len(), "a verdict is missing in accepted, reported or polled");
    assert!(topics.iter().eq(Topic::ALL), "a topic is missing: {topics:?}");
}

/// Rule 2: a webhook, a list row, a report row and a sandbox message with equal content mean the same.
#[test]
fn a_providers_answer_means_the_same_by_webhook_and_by_poll() {
    for (name, _) in rows().iter().filter(|(name, _)| name.starts_with("reported: ")) {
        for state in StateName::ALL {
            let sample = sample(name);
            let before = met(*state, &sample, Flow::Async);
            let by = |source| {
                let event = Event { source, ..sample.event.clone() };
                let mut decision = decide(&before, &event, &Policy::default(), sample.now);
                decision.steps.iter_mut().for_each(|step| step.source = Source::Webhook);
                decision
            };
            for source in [Source::List, Source::Report, Source::Sandbox, Source::Operator] {
                assert_eq!(by(source), by(Source::Webhook), "{name} | {state} | {source}");
            }
        }
    }
}
