//! The stories, each with what must be true after each telling.

use std::collections::BTreeSet;

use account_opening::db::backfills::Cause;
use account_opening::domain::Topic;
use account_opening::driver::{Worker, tick};
use account_opening::inbox::InboxWorker;
use account_opening::outbox::Relay;
use account_opening::workers::backfill::{Backfill, request_for};
use account_opening::workers::poller::Poller;
use account_opening::workers::sweeper::Sweeper;
use account_opening::workers::webhook_marks;
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{IssueStatus, Verdict};

use super::{A_WHILE, Failure, Stage, at_the_tracker, everywhere};

impl Stage {
    /// Ticks once. The tick that meets the error may fail; then the driver begins anew, and so does the story.
    async fn tick(&self, worker: &impl Worker) {
        if let Err(error) = tick(worker).await {
            assert!(self.fault.has_struck(), "{}: {error}", worker.name());
        }
    }

    pub(super) async fn decide(&self) {
        self.tick(&InboxWorker::new(self.app.context.clone())).await;
    }

    pub(super) async fn relay(&self, topic: Topic) {
        self.tick(&Relay::of(self.app.context.clone(), topic)).await;
    }

    pub(super) async fn poll(&self) {
        self.tick(&Poller(self.app.context.clone())).await;
    }

    async fn sweep(&self) {
        self.tick(&Sweeper(self.app.context.clone())).await;
    }

    async fn mark(&self) {
        if let Err(error) = webhook_marks::exchange(&self.app.context).await {
            assert!(self.fault.has_struck(), "{error}");
        }
    }

    /// Pulls the bank's list, as after an outage, and decides what it brings.
    pub(super) async fn backfill(&self) {
        let mut connection = self.app.context.cell.pool.acquire().await.unwrap();
        if let Err(error) = request_for(&mut connection, &self.app.context, "nexusbank", Cause::Breaker, None).await {
            assert!(self.fault.has_struck(), "{error}");
        }
        self.tick(&Backfill(self.app.context.clone())).await;
        self.decide().await;
    }

    /// Starts an opening, as often as it takes.
    pub(super) async fn start(&self, telling: usize) -> String {
        for _ in 0..3 {
            let opening = self.app.open().market(self.market).key(&format!("key_{telling}"));
            let answer = opening.customer(&format!("cus_{telling}")).send().await;
            if answer.status() == 202 {
                return answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
            }
            assert!(self.fault.has_struck() && answer.status().is_server_error(), "{}", answer.status());
        }
        panic!("one error does not fail three requests");
    }

    /// The bank decides, unless it was never asked, or has decided; and tells us until we take it.
    pub(super) async fn bank_decides(&self, id: &str) {
        if let Ok(decided) = self.app.world.decide(id, &Verdict::complete()) {
            assert_eq!(decided.told().await, Some(200));
        }
    }

    /// A message about an unknown opening: it is parked and dies in the end.
    async fn stray(&self, telling: usize) {
        let data = json!({"account_opening_request_id": format!("aor_{telling}"), "status": "COMPLETED"});
        for _ in 0..3 {
            let status = self.app.webhook().id(&format!("stray_{telling}")).data(data.clone()).answered().await;
            if status == 200 {
                return;
            }
            assert!(self.fault.has_struck() && status == 503, "{status}");
        }
        panic!("one error does not fail three webhooks");
    }

    /// Everything that is left is done, with time passing.
    pub(super) async fn drain(&self, id: &str, end: &str) {
        for _ in 0..20 {
            self.app.settle().await;
            if self.app.opening(id).await["state"] == end && self.pending().await == 0 {
                return;
            }
            let foretold = self.app.foretold(id).await;
            self.app.pass(A_WHILE);
            self.app.settle().await;
            foretold.holds(&self.app).await;
            self.bank_decides_if(end == "completed", id).await;
        }
        panic!("{:?}: {id} does not become {end}: {:?}", self.fault.disarm(), self.app.history(id).await);
    }

    async fn bank_decides_if(&self, decides: bool, id: &str) {
        let state = self.app.opening(id).await["state"].clone();
        if decides && (state == "awaiting_provider" || state == "escalated") {
            self.bank_decides(id).await;
        }
    }

    /// All pending facts, effects and backfills, but for parked facts: these wait only for their time to be given up.
    async fn pending(&self) -> i64 {
        self.count(
            "select (select count(*) from inbox where status = 'pending' and outcome is distinct from 'parked')
                  + (select count(*) from outbox where status = 'pending')
                  + (select count(*) from backfills where status = 'pending')",
        )
        .await
    }

    /// From the start to the card, with a poll on the way, and a backfill and a sweep at the end.
    async fn a_life(&self, telling: usize) {
        self.fault.arm(telling);
        let id = self.start(telling).await;
        for topic in [Topic::CreateProfile, Topic::SubmitRequest] {
            self.relay(topic).await;
            self.decide().await;
        }
        self.app.pass(TimeDelta::minutes(30));
        self.poll().await;
        self.decide().await;
        self.bank_decides(&id).await;
        self.decide().await;
        self.relay(Topic::IssueCard).await;
        self.decide().await;
        self.relay(Topic::DeliverEvent).await;
        self.mark().await;
        self.backfill().await;
        self.stray(telling).await;
        self.decide().await;
        self.app.pass(TimeDelta::hours(2));
        self.sweep().await;
        let struck = self.fault.disarm();

        self.drain(&id, "completed").await;
        let steps: Vec<String> = self.app.history(&id).await;
        let states: Vec<&str> = steps.iter().map(|it| it.split(" (").next().unwrap()).collect();
        let expected = [
            "start -> creating_profile",
            "creating_profile -> requesting_account",
            "requesting_account -> awaiting_provider",
            "awaiting_provider -> issuing_card",
            "issuing_card -> completed",
        ];
        assert_eq!(states, expected, "{struck:?}");
        let ledger = self.app.world.opening(&id).unwrap();
        assert_eq!((ledger.profiles.len(), ledger.cards.len()), (1, 1), "P9: {struck:?}");
    }

    /// The bank never answers.
    async fn a_silence(&self, telling: usize) {
        self.fault.arm(telling);
        let id = self.start(telling).await;
        for topic in [Topic::CreateProfile, Topic::SubmitRequest] {
            self.relay(topic).await;
            self.decide().await;
        }
        self.app.pass(TimeDelta::hours(12));
        self.poll().await;
        self.decide().await;
        self.relay(Topic::DeliverEvent).await;
        let struck = self.fault.disarm();

        for _ in 0..3 {
            self.app.settle().await;
            self.app.pass(TimeDelta::hours(5));
        }
        self.drain(&id, "escalated").await;
        let tickets = self.app.items("/v1/tickets").await;
        // An opening that was held up before the wait has had another kind of ticket meanwhile.
        let about = |it: &&Value| it["opening_id"] == id.as_str() && it["kind"] == "AccountOpeningWebhookNotReceived";
        let tickets: Vec<_> = tickets.iter().filter(about).collect();
        assert_eq!(tickets.len(), 1, "P14: {struck:?}: {tickets:?}");
    }

    /// The bank answers after the deadline: a ticket is made at the tracker, and closed. Up to the deadline it is a silence.
    async fn a_late_answer(&self, telling: usize) {
        let id = self.start(telling).await;
        for topic in [Topic::CreateProfile, Topic::SubmitRequest] {
            self.relay(topic).await;
            self.decide().await;
        }
        self.app.pass(TimeDelta::hours(12));
        self.poll().await;
        self.decide().await;
        self.fault.arm(telling);
        self.relay(Topic::OpenTicket).await;
        self.bank_decides(&id).await;
        self.decide().await;
        self.relay(Topic::CloseTicket).await;
        let struck = self.fault.disarm();

        self.drain(&id, "completed").await;
        let tickets = self.app.items(&format!("/v1/tickets?opening_id={id}")).await;
        let issues: Vec<_> = self.app.world.issues().into_iter().filter(|it| it.summary.contains(&id)).collect();
        assert_eq!(issues.len(), tickets.len(), "P9: {struck:?}: {issues:?}");
        for issue in &issues {
            assert_eq!((issue.status, issue.comments.len()), (IssueStatus::Done, 1), "{struck:?}: {issue:?}");
            assert!(tickets.iter().any(|it| it["tracker_key"] == issue.key), "{struck:?}: {tickets:?}");
        }
    }

    /// P11: every event was delivered, under its own id, and each thing happened once.
    async fn everything_was_told(&self) {
        let written: Vec<String> =
            sqlx::query_scalar("select id::text from events order by 1").fetch_all(&self.app.pool).await.unwrap();
        let mut told: Vec<String> =
            self.subscriber.deliveries().iter().map(|it| it.header("webhook-id").to_owned()).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, written);
        let twice = "select count(*) - count(distinct (opening_id, type)) from events";
        assert_eq!(self.count(twice).await, 0, "an event was written twice");
        assert_eq!(self.count("select count(*) from cases").await, 0);
        assert_eq!(self.count("select count(*) from outbox where status = 'dead'").await, 0);
    }
}

async fn a_life_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    let tellings = stage.tell(async |stage, telling| stage.a_life(telling).await).await;
    assert_eq!(stage.fault.seen(), everywhere());
    stage.everything_was_told().await;

    // One of each, for each telling.
    let tellings = i64::try_from(tellings).unwrap();
    assert_eq!(stage.count("select count(*) from account_openings").await, tellings);
    assert_eq!(stage.count("select count(*) from inbox where source = 'webhook'").await, 2 * tellings);
    assert_eq!(stage.count("select count(*) from inbox where status = 'dead'").await, tellings, "the strays");
    assert_eq!(stage.count("select count(*) from backfills where status <> 'done' or new_facts > items").await, 0);
    assert_eq!(stage.count("select count(*) from tickets").await, 0);
    assert!(stage.count("select count(*) from outbox_archive").await > 0, "the sweeps archived");
    stage.app.finish().await;
}

/// P1, P3, P6, P9, P10, P11, P18, P21: the database goes away at each step in turn.
#[tokio::test]
async fn a_connection_lost_at_any_step_of_an_opening_breaks_no_promise() {
    Box::pin(a_life_with_every_step_failing(Failure::ConnectionLost)).await;
}

/// The same for an error that nothing is tried again for at once.
#[tokio::test]
async fn an_error_of_our_own_at_any_step_of_an_opening_breaks_no_promise() {
    Box::pin(a_life_with_every_step_failing(Failure::Permanent)).await;
}

/// P14: one escalation and one ticket, wherever the deadline's work failed.
async fn a_silence_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    stage.tell(async |stage, telling| stage.a_silence(telling).await).await;
    stage.everything_was_told().await;
    stage.app.finish().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_towards_the_deadline_leaves_one_escalation_and_one_ticket() {
    Box::pin(a_silence_with_every_step_failing(Failure::ConnectionLost)).await;
}

#[tokio::test]
async fn an_error_of_our_own_at_any_step_towards_the_deadline_leaves_one_escalation_and_one_ticket() {
    Box::pin(a_silence_with_every_step_failing(Failure::Permanent)).await;
}

/// P9, P14: one ticket at the tracker, closed by the late answer, wherever its work failed.
async fn a_late_answer_with_every_step_failing(failure: Failure) {
    let stage = Stage::new(failure).await;
    stage.tell(async |stage, telling| stage.a_late_answer(telling).await).await;
    let seen = stage.fault.seen();
    assert_eq!(seen.difference(&everywhere()).copied().collect::<BTreeSet<_>>(), at_the_tracker());
    stage.everything_was_told().await;
    stage.app.finish().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_of_a_ticket_leaves_one_at_the_tracker_and_it_is_closed() {
    Box::pin(a_late_answer_with_every_step_failing(Failure::ConnectionLost)).await;
}

#[tokio::test]
async fn an_error_of_our_own_at_any_step_of_a_ticket_leaves_one_at_the_tracker_and_it_is_closed() {
    Box::pin(a_late_answer_with_every_step_failing(Failure::Permanent)).await;
}
