//! The coming events of an opening, held against what then happens. (P34)
//!
//! The pages of the dashboard foretell by `domain::next`, from the same rows and breakers that are read here.

use account_opening::clock::Time;
use account_opening::db::{openings, overview};
use account_opening::domain::next::{Coming, ComingKind, next};
use account_opening::domain::{Opening, OpeningId, StateName};
use chrono::TimeDelta;

use super::TestApp;

/// Longer than any wait of an opening for itself.
const A_DAY: TimeDelta = TimeDelta::days(1);
/// More events than any opening has coming.
const MANY: usize = 100;

/// An opening with what is foretold of it, and what has happened so far.
#[derive(Clone, Debug)]
pub struct Foretold {
    at: Time,
    opening: Opening,
    pub coming: Vec<Coming>,
    /// How often each kind of call was made.
    claims: Vec<(String, i32)>,
    /// Openings of tickets.
    tickets: i64,
}

impl Foretold {
    /// Polls since the wait began. Before it, the timer is that of the deadline.
    fn polls(&self) -> i32 {
        let waits = matches!(self.state(), StateName::AwaitingProvider | StateName::Escalated);
        if waits { self.opening.polls - self.opening.polls_before_wait } else { 0 }
    }

    fn claims_of(&self, topic: &str) -> i32 {
        self.claims.iter().filter(|(it, _)| it == topic).map(|(_, claims)| *claims).sum()
    }

    fn state(&self) -> StateName {
        self.opening.state_name()
    }

    /// Whether people were told since `before`.
    fn told(&self, before: &Self) -> bool {
        self.tickets > before.tickets || self.state() == StateName::Escalated
    }

    /// The foretold events that did not happen, or happened before their time, now that the workers have done all that is due.
    /// An opening that has moved on meanwhile, by an answer, owes nothing of it.
    fn broken(&self, now: &Self) -> Vec<String> {
        if now.opening.version != self.opening.version {
            return Vec::new();
        }
        let is_broken = |it: &&Coming| {
            let is_due = it.at().is_some_and(|at| at <= now.at);
            match it {
                Coming::Poll { is_held: true, .. } => false,
                Coming::Poll { number, .. } if is_due => now.polls() < *number,
                Coming::Poll { number, .. } => now.polls() != *number - 1,
                Coming::Deadline { .. } => now.told(self) != is_due,
                Coming::Call(call) if call.is_held => false,
                Coming::Call(call) => {
                    let made = call.attempt - i32::from(!call.is_under_way);
                    let claims = now.claims_of(call.topic.as_str());
                    if is_due { claims <= made } else { claims != made }
                }
                Coming::Nothing(_) => {
                    (now.polls(), &now.claims, now.tickets) != (self.polls(), &self.claims, self.tickets)
                }
            }
        };
        self.coming.iter().filter(is_broken).map(|it| format!("{it:?}, foretold at {}: {now:?}", self.at)).collect()
    }

    /// Holds it against what has happened. Call it when the workers have done all that is due.
    pub async fn holds(&self, app: &TestApp) {
        let now = app.foretold(&self.opening.id.to_string()).await;
        let broken = self.broken(&now);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}

impl TestApp {
    /// An opening with its coming events now.
    pub async fn foretold(&self, id: &str) -> Foretold {
        let id = OpeningId(id.parse().unwrap());
        let mut connection = self.pool.acquire().await.unwrap();
        let opening = openings::get(&mut connection, id).await.unwrap().unwrap();
        let beside = overview::of(&mut connection, &opening).await.unwrap();
        let letters = beside.letters.iter().map(|it| it.kind.as_str());
        let work = self.context.outside.work_of(&opening, &beside.calls, letters, self.now());
        // Of the calls of its steps: events and tickets are told to others.
        let claims = "select topic, sum(claims)::int from outbox
                       where opening_id = $1 and topic in ('create_profile', 'submit_request', 'open_account', 'issue_card')
                       group by topic order by topic";
        let claims = sqlx::query_as(claims).bind(id.0).fetch_all(&mut *connection).await.unwrap();
        let tickets = "select coalesce(sum((revision + 1) / 2), 0)::bigint from tickets where opening_id = $1";
        let tickets = sqlx::query_scalar(tickets).bind(id.0).fetch_one(&mut *connection).await.unwrap();
        Foretold { at: self.now(), coming: next(&opening, &work), opening, claims, tickets }
    }

    /// Lets time pass to the next foretold event. Until then nothing happens, and then the event does. Returns its kind.
    pub async fn the_next_foretold_event_happens(&self, id: &str) -> ComingKind {
        self.settle().await;
        let before = self.foretold(id).await;
        let first = before.coming[0];
        let at = first.at().unwrap_or(self.now() + A_DAY);
        let moment = TimeDelta::microseconds(1);
        self.pass((at - moment - self.now()).max(TimeDelta::zero()));
        self.settle().await;
        let just_before = self.foretold(id).await;
        assert_eq!(just_before.opening.version, before.opening.version, "{before:?}, then {just_before:?}");
        before.holds(self).await;
        self.pass((at - self.now()).max(TimeDelta::zero()));
        self.settle().await;
        before.holds(self).await;
        first.kind()
    }

    /// The same until nothing more is foretold; the kinds of all events, equal ones in a row once.
    pub async fn all_foretold_events_happen(&self, id: &str) -> Vec<ComingKind> {
        let mut kinds = Vec::new();
        for _ in 0..MANY {
            let kind = self.the_next_foretold_event_happens(id).await;
            kinds.push(kind);
            if kind == ComingKind::Nothing {
                kinds.dedup();
                return kinds;
            }
        }
        panic!("more than {MANY} events: {:?}", self.foretold(id).await);
    }
}
