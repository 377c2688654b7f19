//! The work of a bank's own adapter: the submission that loses its answer, the search for it, the poll, the event, and the
//! account that follows. An error strikes at every step in turn, for each bank.
//!
//! The stories of `stories.rs` and `restored.rs` are NexusBank's alone, since the rest of a life reaches no code of an adapter: the
//! profile, the ticket, the events, the sweeps and the deadline are the same work on the same rows for all. So is the kind of the error:
//! an adapter sees only whether its call was made, and that is the same for a lost connection and for an error of our own.

use account_opening::domain::Topic;
use chrono::TimeDelta;
use world::{Endpoint, Fault, Plan, Webhooks};

use super::{A_WHILE, Failure, Stage};
use crate::conformance::banks::{Described, adyen, airwallex, solaris};

impl Stage {
    /// The bank takes the submission and answers with an error; the search finds it. A poll finds it undecided. The bank's event
    /// completes it, or makes the look-up due that does.
    async fn at_the_bank(&self, it: &Described, telling: usize) {
        let webhooks = Webhooks { thin: it.is_thin, ..Webhooks::default() };
        let plan = Plan { submit: vec![Fault::ErrorAfter { status: 500 }], webhooks, ..Plan::by_hand() };
        self.app.world.set_plan(format!("cus_{telling}"), plan);
        let id = self.start(telling).await;
        self.relay(Topic::CreateProfile).await;
        self.decide().await;
        self.fault.arm(telling);
        for _ in 0..2 {
            self.relay(Topic::SubmitRequest).await;
            self.decide().await;
            self.app.pass(TimeDelta::seconds(2));
        }
        self.app.pass(TimeDelta::minutes(30));
        self.poll().await;
        self.decide().await;
        self.bank_decides(&id).await;
        self.decide().await;
        if it.is_thin {
            self.poll().await;
            self.decide().await;
        }
        self.relay(Topic::IssueCard).await;
        self.decide().await;
        let struck = self.fault.disarm();

        if !it.is_keyed && self.app.world.opening(&id).unwrap().calls(Endpoint::Submit) == 0 {
            return self.is_left_to_a_person(&id).await;
        }
        self.drain(&id, "completed").await;
        let made = self.app.world.opening(&id).unwrap();
        let effects = (made.profiles.len(), made.requests.len(), made.cards.len());
        assert_eq!(effects, (1, 1, 1), "P9, P36: {}: {struck:?}", it.name());
    }

    /// A claim that may have called is lost, and the bank's list shows nothing. A bank that takes a repeat as a second request is not
    /// asked again: a dead letter and a ticket say so.
    async fn is_left_to_a_person(&self, id: &str) {
        for _ in 0..20 {
            self.app.settle().await;
            self.app.pass(A_WHILE);
        }
        let opening = self.app.opening(id).await;
        assert_eq!(opening["state"], "requesting_account", "{opening}");
        assert_eq!(self.app.world.opening(id).unwrap().calls(Endpoint::Submit), 0, "P36");
        let tickets = self.app.items(&format!("/v1/tickets?opening_id={id}")).await;
        assert_eq!((tickets.len(), &tickets[0]["kind"]), (1, &"AccountOpeningStepFailed".into()), "{tickets:?}");
    }
}

async fn with_every_step_at_a_bank_failing(it: &Described) {
    let stage = Stage::at(it, Failure::Permanent).await;
    let tellings = stage.tell(async |stage, telling| stage.at_the_bank(it, telling).await).await;
    let reached: std::collections::BTreeSet<&str> = stage.fault.seen().iter().map(|it| it.worker).collect();
    assert_eq!(reached, ["inbox", "ingest", "issue_card", "submit_request", "timers"].into());
    assert_eq!(stage.count("select count(*) from cases").await, 0, "{tellings} tellings");
    // After the claim, and before the call.
    let left = if it.is_keyed { 0 } else { 2 };
    assert_eq!(stage.count("select count(*) from account_openings where state <> 'completed'").await, left);
    assert_eq!(stage.count("select count(*) from outbox where status = 'dead'").await, left);
    stage.app.finish().await;
}

/// P3, P6, P9, P10, P36: one account for each opening, and no customer is told no.
#[tokio::test]
async fn an_error_at_any_step_at_solaris_makes_no_second_account() {
    Box::pin(with_every_step_at_a_bank_failing(&solaris())).await;
}

#[tokio::test]
async fn an_error_at_any_step_at_airwallex_makes_no_second_account() {
    Box::pin(with_every_step_at_a_bank_failing(&airwallex())).await;
}

#[tokio::test]
async fn an_error_at_any_step_at_adyen_makes_no_second_account() {
    Box::pin(with_every_step_at_a_bank_failing(&adyen())).await;
}
