//! The strings that callers, subscribers and people rely on, the start, and the poll schedule.

use super::*;

fn words<T: std::fmt::Display + Copy>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn states_statuses_events_and_tickets_have_the_contracts_words() {
    let states =
        "creating_profile requesting_account awaiting_provider escalated issuing_card completed rejected failed";
    assert_eq!(words(StateName::ALL).join(" "), states);
    assert_eq!(words(Status::ALL).join(" "), "in_progress succeeded rejected failed");
    let outside: Vec<Status> = StateName::ALL.iter().map(|state| state.status()).collect();
    let expected = "in_progress in_progress in_progress in_progress succeeded succeeded rejected failed";
    assert_eq!(words(&outside).join(" "), expected);
    let events = "started awaiting_provider escalated succeeded completed rejected failed contradiction";
    let mut events: Vec<String> = events.split(' ').map(|word| format!("account_opening.{word}")).collect();
    events.extend(["report_finished", "case_opened"].map(|word| format!("reconciliation.{word}")));
    assert_eq!(words(EventType::ALL), events);
    let tickets = "AccountOpeningWebhookNotReceived AccountOpeningStepFailed";
    assert_eq!(words(TicketKind::ALL).join(" "), tickets);
    assert_eq!(words(Source::ALL).join(" "), "api webhook poll list sandbox report command timer operator");
    assert_eq!(words(CustomerType::ALL).join(" "), "company freelancer individual");
    assert_eq!(words(Flow::ALL).join(" "), "async sync");
}

#[test]
fn a_word_reads_back_as_itself_and_no_other_is_taken() {
    for state in StateName::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        assert_eq!(serde_json::from_value::<StateName>(state.as_str().into()).unwrap(), *state);
    }
    assert!("COMPLETED".parse::<StateName>().is_err());
    assert!("".parse::<StateName>().is_err());
}

/// P7: the table of steps of `docs/ARCHITECTURE.md`, written out a second time.
#[test]
fn p7_the_states_that_may_follow_are_those_of_the_table() {
    let table: Vec<String> = StateName::ALL.iter().map(|it| words(it.may_become()).join(" ")).collect();
    let expected = [
        "requesting_account failed",
        "awaiting_provider rejected failed",
        "escalated issuing_card rejected failed",
        "issuing_card rejected failed",
        "completed",
        "",
        "",
        "",
    ];
    assert_eq!(table, expected);
    for state in StateName::ALL {
        let over = ["completed", "rejected", "failed"].contains(&state.as_str());
        assert_eq!((state.is_terminal(), state.may_become().is_empty()), (over, over), "{state}");
    }
}

#[test]
fn a_start_is_one_step_one_command_one_event_and_a_deadline() {
    let policy = Policy { escalate_after: HOUR * 2, ..Policy::default() };
    let Decision { outcome, opening, steps, effects } = start(ours(), request(), &policy, began());
    assert_eq!((outcome, opening.state_name(), opening.version), (Outcome::Applied, StateName::CreatingProfile, 1));
    assert_eq!((opening.due_at, opening.deadline_at), (Some(began() + HOUR * 2), began() + HOUR * 2));
    assert_eq!((opening.created_at, opening.updated_at, opening.next_poll_at()), (began(), began(), None));
    assert_eq!((opening.id, &opening.request, opening.polls), (ours(), &request(), 0));
    assert!(matches!(&steps[..], [Step { version: 1, from: None, to: StateName::CreatingProfile, .. }]));
    assert_eq!(
        effects,
        [Effect::Send(Command(Topic::CreateProfile)), Effect::Emit(EventType::Started, Box::new(opening.clone())),]
    );
}

#[test]
fn the_last_entry_of_a_poll_schedule_repeats() {
    let schedule = |minutes: &[i64]| Policy {
        poll_schedule: minutes.iter().map(|it| TimeDelta::minutes(*it)).collect(),
        ..Policy::default()
    };
    let intervals = |policy: &Policy| (-1..5).map(|polls| policy.interval(polls).num_minutes()).collect::<Vec<_>>();
    assert_eq!(intervals(&schedule(&[1, 5, 30])), [1, 1, 5, 30, 30, 30]);
    assert_eq!(intervals(&Policy::default()), [30; 6]);
    assert_eq!(Policy::default().interval(i32::MAX), MINUTE * 30);
    assert_eq!(Policy::default().escalate_after, HOUR * 12);
}

#[test]
fn a_repeated_poll_comes_up_to_its_jitter_earlier_never_later_and_the_same_each_time() {
    let policy = Policy { poll_schedule: vec![MINUTE * 10, MINUTE * 100], poll_jitter: 20, ..Policy::default() };
    let of = |id: u128, polls: i32, before: i32| {
        let id = OpeningId(uuid::Uuid::from_u128(id));
        let polls = (polls, before);
        let waiting = opening(StateName::AwaitingProvider);
        policy.wait_of(&Opening { id, polls: polls.0, polls_before_wait: polls.1, ..waiting })
    };
    let mut drawn: Vec<TimeDelta> = Vec::new();
    for id in 0..1_000 {
        assert_eq!((of(id, 0, 0), of(id, 7, 7)), (MINUTE * 10, MINUTE * 10), "the first is not moved");
        let second = of(id, 1, 0);
        assert!((MINUTE * 80..=MINUTE * 100).contains(&second), "{second}");
        assert_eq!((second, second), (of(id, 1, 0), of(id, 8, 7)), "drawn from the poll's number in the wait");
        drawn.push(second);
    }
    drawn.sort_unstable();
    assert!(drawn[100] < MINUTE * 84 && drawn[900] > MINUTE * 96, "spread evenly: {} {}", drawn[100], drawn[900]);
    assert_ne!(of(1, 1, 0), of(1, 2, 0), "each poll has its own");
    let none = Policy { poll_jitter: 0, ..policy.clone() };
    assert_eq!(none.wait_of(&Opening { polls: 1, ..opening(StateName::AwaitingProvider) }), MINUTE * 100);
}
