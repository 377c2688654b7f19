//! The wait and its deadline (P13, P14): a poller is simulated minute by minute, with the lease that a claim puts on the
//! timer.

use super::*;

const LEASE: TimeDelta = TimeDelta::seconds(40);

#[derive(Clone)]
struct Poller {
    opening: Opening,
    policy: Policy,
    now: Time,
    older_unread: bool,
    /// The times of the polls, in minutes since the wait began.
    polls: Vec<i64>,
    /// When tickets were opened, in minutes, and which.
    tickets: Vec<(i64, TicketKind)>,
    escalations: usize,
    closed: Vec<TicketKind>,
}

impl Poller {
    fn new(state: StateName) -> Self {
        Self {
            opening: opening(state),
            policy: Policy::default(),
            now: began(),
            older_unread: false,
            polls: Vec::new(),
            tickets: Vec::new(),
            escalations: 0,
            closed: Vec::new(),
        }
    }

    fn minute(&self) -> i64 {
        (self.now - began()).num_minutes()
    }

    fn apply(&mut self, fact: Fact) {
        let knowledge = Knowledge { older_unread: self.older_unread, ..Knowledge::default() };
        let event = Event { knowledge, ..event(1, fact) };
        let decision = decide(&self.opening, &event, &self.policy, self.now);
        let minute = self.minute();
        self.tickets.extend(tickets(&decision).map(|kind| (minute, kind)));
        for effect in &decision.effects {
            match effect {
                Effect::Emit(EventType::Escalated, _) => self.escalations += 1,
                Effect::CloseTicket { kind, .. } => self.closed.push(*kind),
                _ => {}
            }
        }
        self.opening = decision.opening;
    }

    /// Claims the timer when it is due: the claim is counted and moves the timer by the lease.
    fn claim(&mut self) -> bool {
        let due = self.opening.due_at.is_some_and(|due| due <= self.now);
        if due {
            self.opening.polls += 1;
            self.opening.due_at = Some(self.now + LEASE);
            self.polls.push(self.minute());
        }
        due
    }

    /// A tick: a due timer is a poll while the opening waits for the provider, else a deadline.
    fn tick(&mut self, poll: impl Fn(Time) -> Fact) {
        let waits = matches!(self.opening.state, State::AwaitingProvider(_) | State::Escalated(_));
        if self.claim() {
            self.apply(if waits { poll(self.now) } else { Fact::DeadlinePassed { asked_at: self.now } });
        }
    }

    /// Until so many minutes after the beginning, a tick a minute.
    fn run(&mut self, until: i64, poll: impl Fn(Time) -> Fact, mut meanwhile: impl FnMut(&mut Self)) {
        while self.minute() < until {
            self.now += MINUTE;
            meanwhile(self);
            self.tick(&poll);
        }
    }

    fn assert_escalated_once_at_twelve_hours(&self) {
        let half_hours: Vec<i64> = (1..=24).map(|n| n * 30).collect();
        assert_eq!(self.polls, half_hours, "a poll each half hour, the last at the deadline");
        assert_eq!(self.tickets, [(720, TicketKind::WebhookNotReceived)]);
        assert_eq!((self.opening.state_name(), self.escalations), (StateName::Escalated, 1));
        assert_eq!(self.opening.due_at, None, "polling has stopped");
        assert_eq!(self.opening.escalated_at, Some(began() + HOUR * 12));
    }
}

fn pending(now: Time) -> Fact {
    polled(now, report(Verdict::Pending))
}

/// Poll results that are not final: no answer, no news, an unknown status word, an unusable account.
const NO_END: [fn(Time) -> Fact; 6] = [
    unanswered,
    pending,
    |now| polled(now, report(Verdict::Started)),
    |now| polled(now, report(Verdict::Unknown)),
    |now| polled(now, completed(BAD_IBAN, BIC)),
    |now| polled(now, Report { reference: Some(reference(OTHER_REFERENCE)), ..report(Verdict::Completed) }),
];

#[test]
fn p14_polls_come_every_half_hour_and_people_are_told_once_at_twelve_hours() {
    for poll in NO_END {
        let mut poller = Poller::new(StateName::AwaitingProvider);
        poller.run(719, poll, |poller| assert!(poller.tickets.is_empty() && poller.escalations == 0));
        assert_eq!(poller.opening.state_name(), StateName::AwaitingProvider);
        poller.run(48 * 60, poll, |_| {});
        poller.assert_escalated_once_at_twelve_hours();
    }
}

/// Rule 3: an account that the provider owes is asked for again after a wait that doubles, up to a quarter of an hour, and its
/// opening escalates like any other. The provider has decided, so it is asked on, at most four times an hour.
#[test]
fn p14_p36_a_completion_without_its_account_is_looked_up_with_backoff_also_after_the_deadline() {
    let mut poller = Poller::new(StateName::AwaitingProvider);
    poller.run(719, |now| polled(now, report(Verdict::Completed)), |_| {});
    assert_eq!(poller.polls[..8], [30, 31, 32, 34, 38, 46, 61, 76]);
    assert!(poller.tickets.is_empty());
    poller.polls.clear();
    poller.run(48 * 60, |now| polled(now, report(Verdict::Completed)), |_| {});
    assert_eq!(poller.polls[..3], [720, 735, 750]);
    assert_eq!(poller.polls.len(), 145, "four an hour, for 36 hours");
    assert_eq!(poller.tickets, [(720, TicketKind::WebhookNotReceived)]);
    assert_eq!((poller.opening.state_name(), poller.escalations), (StateName::Escalated, 1));
    poller.run(48 * 60 + 15, |now| polled(now, completed(IBAN, BIC)), |_| {});
    assert_eq!((poller.opening.state_name(), poller.closed.len()), (StateName::IssuingCard, 1));
}

/// P36: the provider decides after the deadline and sends no account; the first look-ups bring nothing.
#[test]
fn p36_a_thin_completion_after_the_deadline_is_asked_for_until_its_account_comes_or_a_person_decides() {
    for nothing in [unanswered, pending, |now| polled(now, report(Verdict::Unknown))] {
        let mut poller = Poller::new(StateName::Escalated);
        poller.apply(reported(report(Verdict::Completed)));
        poller.run(60, nothing, |_| {});
        assert_eq!(poller.polls, [1, 2, 4, 8, 16, 31, 46], "as in the wait");
        assert_eq!((poller.tickets.len(), poller.escalations), (0, 0));
        let mut decided = poller.clone();
        poller.run(61, |now| polled(now, completed(IBAN, BIC)), |_| {});
        assert_eq!((poller.opening.state_name(), poller.closed.len()), (StateName::IssuingCard, 1));
        decided.apply(super::facts::sample("resolved: failed").event.fact);
        assert_eq!((decided.opening.state_name(), decided.opening.due_at), (StateName::Failed, None));
    }
}

#[test]
fn p14_a_webhook_that_says_nothing_new_postpones_nothing() {
    for every in [1, 20, 29, 30] {
        let mut poller = Poller::new(StateName::AwaitingProvider);
        poller.run(48 * 60, pending, |poller| {
            if poller.minute() % every == 0 {
                poller.apply(reported(report(Verdict::Pending)));
                poller.apply(reported(report(Verdict::Unknown)));
            }
        });
        poller.assert_escalated_once_at_twelve_hours();
    }
}

#[test]
fn p13_a_lost_webhook_is_found_by_the_next_poll() {
    for answered in [1, 31, 359, 719] {
        let mut poller = Poller::new(StateName::AwaitingProvider);
        let decided = began() + MINUTE * i32::try_from(answered).unwrap();
        let truth = |now: Time| if now < decided { pending(now) } else { polled(now, completed(IBAN, BIC)) };
        poller.run(answered + 30, truth, |_| {});
        assert_eq!((poller.opening.state_name(), poller.escalations), (StateName::IssuingCard, 0));
    }
}

#[test]
fn p14_an_answer_at_the_deadline_or_after_it_ends_the_wait_and_closes_the_ticket() {
    let answers = [(completed(IBAN, BIC), StateName::IssuingCard), (report(Verdict::Rejected), StateName::Rejected)];
    for (answer, end) in answers {
        let mut in_time = Poller::new(StateName::AwaitingProvider);
        in_time.run(719, pending, |_| {});
        in_time.run(720, |now| polled(now, answer.clone()), |_| {});
        assert_eq!((in_time.opening.state_name(), in_time.tickets.len(), in_time.escalations), (end, 0, 0));

        let mut late = Poller::new(StateName::AwaitingProvider);
        late.run(800, pending, |_| {});
        late.apply(reported(answer));
        assert_eq!((late.opening.state_name(), late.tickets.len(), late.escalations), (end, 1, 1));
        assert_eq!(late.closed, [TicketKind::WebhookNotReceived]);
    }
}

/// Rule 5: no opening is ever silently stuck, in any state.
#[test]
fn p14_a_step_that_is_stuck_at_its_deadline_is_in_front_of_a_person_and_stays_on_the_timer() {
    for state in [StateName::CreatingProfile, StateName::RequestingAccount, StateName::IssuingCard] {
        let mut poller = Poller::new(state);
        poller.run(719, pending, |poller| assert!(poller.tickets.is_empty()));
        poller.run(23 * 60, pending, |_| {});
        assert_eq!(poller.tickets, [(720, TicketKind::StepFailed)], "{state}");
        assert_eq!((poller.opening.state_name(), poller.escalations), (state, 0));
        // Requested again every 12 hours, as one kind: one ticket.
        poller.run(49 * 60, pending, |_| {});
        assert_eq!(poller.polls, [720, 1440, 2160, 2880], "{state}");
    }
}

#[test]
fn p14_an_older_unread_fact_defers_the_escalation_until_it_is_read_without_a_tight_loop() {
    let mut poller = Poller::new(StateName::AwaitingProvider);
    poller.run(719, pending, |_| {});
    poller.polls.clear();
    poller.older_unread = true;
    // In seconds, for twenty minutes: as long as an unreadable fact is retried.
    for _ in 0..20 * 60 {
        poller.now += TimeDelta::seconds(1);
        poller.tick(pending);
    }
    assert_eq!((poller.escalations, poller.tickets.len()), (0, 0));
    assert!((15..40).contains(&poller.polls.len()), "{:?}", poller.polls);
    poller.older_unread = false;
    poller.run(poller.minute() + 2, pending, |_| {});
    assert_eq!((poller.opening.state_name(), poller.escalations, poller.tickets.len()), (StateName::Escalated, 1, 1));

    let mut read = Poller::new(StateName::AwaitingProvider);
    read.run(719, pending, |_| {});
    read.older_unread = true;
    read.run(720, pending, |_| {});
    read.apply(reported(completed(IBAN, BIC)));
    assert_eq!((read.opening.state_name(), read.escalations), (StateName::IssuingCard, 0));
}

#[test]
fn p14_a_poll_asked_before_the_deadline_and_answered_after_it_is_not_the_last() {
    let mut poller = Poller::new(StateName::AwaitingProvider);
    poller.run(719, pending, |_| {});
    let asked_at = poller.now;
    poller.now += MINUTE * 5;
    poller.apply(pending(asked_at));
    assert_eq!(poller.escalations, 0);
    poller.tick(pending);
    assert_eq!((poller.escalations, poller.opening.due_at), (1, None));
}

#[test]
fn p14_after_an_outage_past_the_deadline_the_first_poll_decides() {
    for (answer, end) in [(pending as fn(Time) -> Fact, StateName::Escalated), (NO_END[0], StateName::Escalated)] {
        let mut poller = Poller::new(StateName::AwaitingProvider);
        poller.now += HOUR * 30;
        poller.tick(answer);
        assert_eq!((poller.opening.state_name(), poller.polls.len(), poller.tickets.len()), (end, 1, 1));
    }
}

#[test]
fn a_poll_schedule_is_followed_and_the_deadline_is_its_last_entry() {
    let mut poller = Poller::new(StateName::AwaitingProvider);
    let schedule = [1, 5, 30].map(TimeDelta::minutes).to_vec();
    poller.policy = Policy { poll_schedule: schedule, escalate_after: TimeDelta::minutes(100), ..Policy::default() };
    poller.opening = opening(StateName::RequestingAccount);
    poller.apply(accepted(report(Verdict::Started)));
    assert_eq!(poller.opening.deadline_at, began() + MINUTE * 100, "the wait has its own deadline");
    poller.run(300, pending, |_| {});
    assert_eq!(poller.polls, [1, 6, 36, 66, 96, 100]);
    assert_eq!(poller.tickets, [(100, TicketKind::WebhookNotReceived)]);
}

/// Rule 3: a thin webhook or an operator requests a poll now. The answer of a poll already in flight must not cancel
/// that request: it may be older than the webhook's news.
#[test]
fn p8_a_poll_that_is_wanted_while_another_is_under_way_is_still_made() {
    for state in [StateName::AwaitingProvider, StateName::Escalated] {
        for wanted in [reported(report(Verdict::Completed)), Fact::PollRequested] {
            let mut poller = Poller::new(state);
            poller.opening.due_at = Some(began());
            assert!(poller.claim());
            let asked_at = poller.now;
            poller.now += TimeDelta::seconds(1);
            poller.apply(wanted);
            poller.now += TimeDelta::seconds(1);
            poller.apply(pending(asked_at));
            poller.tick(|now| polled(now, completed(IBAN, BIC)));
            assert_eq!(poller.opening.state_name(), StateName::IssuingCard, "{state}");
        }
    }
    // Also if that poll was the last one: it escalates, and its answer still counts.
    let mut poller = Poller::new(StateName::AwaitingProvider);
    poller.run(719, pending, |_| {});
    poller.now += MINUTE;
    assert!(poller.claim());
    let asked_at = poller.now;
    poller.now += TimeDelta::seconds(1);
    poller.apply(reported(report(Verdict::Completed)));
    poller.apply(unanswered(asked_at));
    assert_eq!((poller.opening.state_name(), poller.escalations), (StateName::Escalated, 1));
    poller.tick(|now| polled(now, completed(IBAN, BIC)));
    assert_eq!((poller.opening.state_name(), poller.closed.len()), (StateName::IssuingCard, 1));
}

#[test]
fn an_escalated_opening_is_polled_once_when_asked_and_not_again() {
    for poll in NO_END {
        let mut poller = Poller::new(StateName::Escalated);
        poller.run(60, poll, |_| {});
        poller.apply(Fact::PollRequested);
        poller.run(600, poll, |_| {});
        assert_eq!((poller.polls.as_slice(), poller.opening.due_at), ([61].as_slice(), None));
        assert_eq!((poller.tickets.len(), poller.escalations), (0, 0));
    }
}
