//! An error at every step in turn: before and after each claim, call, settlement and commit of every kind of work. After
//! each of them every promise holds in the end. (P1, P3, P6, P9 to P11, P14, P18, P21)
//!
//! A story is told again and again, for an opening of its own each time. It arms the fault where its own part begins: the k-th
//! step from there fails in its k-th telling, until one is told to its end without having had so many steps. After each the
//! workers run on until all is done. Steps that a story shares with another fail in one of them.

mod bank;
mod banks;
mod bulk;
mod charges;
mod fault;
mod restored;
mod stories;

use std::collections::BTreeSet;

use account_opening::driver::tick;
use account_opening::faults::{Place, Step, When};
use account_opening::http::{internal, public};
use account_opening::inbox::{Bounds, Ingest};
use chrono::TimeDelta;
use serde_json::Value;

use self::fault::{Failure, Fault};
use crate::conformance::banks::{Described, nexusbank};
use crate::support::{Subscriber, TestApp, listen};

const SECRET: &str = "whsec_c3Vic2NyaWJlci1vbmUtc2VjcmV0";
/// More tellings than any story has steps.
const MANY: usize = 500;
/// Beyond the longest lease and the longest pause before a repeat of these services.
const A_WHILE: TimeDelta = TimeDelta::minutes(2);

/// A service with faults at every step, and a subscriber.
struct Stage {
    app: TestApp,
    fault: Fault,
    subscriber: Subscriber,
    market: &'static str,
}

impl Stage {
    async fn new(failure: Failure) -> Self {
        Self::at(&nexusbank(), failure).await
    }

    /// Where this bank opens the accounts.
    async fn at(bank: &Described, failure: Failure) -> Self {
        let subscriber = Subscriber::answering(200, SECRET).await;
        let building = bank.app().tracker().prices().settings(|it| {
            it.event_subscribers = subscriber.setting();
            it.idempotency_ttl = "1h".to_owned();
            it.parked_ttl = "1h".to_owned();
            it.archive_after = "1h".to_owned();
            it.backoff_cap = "1m".to_owned();
        });
        let (mut app, fault) = (building.start().await, Fault::new(failure));
        let settings = &app.state.settings;
        let (ingest, _) = Ingest::start(
            app.state.cell.pool.clone(),
            app.clock.clone(),
            app.state.shell.ids.clone(),
            app.state.cell.wakers.inbox.clone(),
            Bounds { messages: settings.ingest_queue, bytes: settings.ingest_queue_bytes },
            settings.burst_dedup_ttl,
            fault.point(),
        );
        app.context.shell.faults = fault.point();
        app.state.acts.ingest = ingest;
        app.state.acts.shell.faults = fault.point();
        app.public = listen(public::router(app.state.clone())).await;
        app.internal = listen(internal::router(app.state.clone())).await;
        app.world.deliver_to(format!("{}/webhooks/nexusbank", app.public));
        Self { app, fault, subscriber, market: bank.market }
    }

    /// Tells the story until no step of it is left that has not failed; how often.
    async fn tell(&self, story: impl AsyncFn(&Self, usize)) -> usize {
        for telling in 0..MANY {
            story(self, telling).await;
            if self.fault.disarm().is_none() {
                return telling + 1;
            }
        }
        panic!("a story with {MANY} steps");
    }

    /// Has the worker read a report while the step of this number fails, and what is left afterwards. Returns the place that failed, and
    /// the report, which has finished.
    async fn reconcile(&self, telling: usize, report: &str) -> (Option<Place>, Value) {
        self.fault.arm(telling);
        for _ in 0..3 {
            if let Err(error) = tick(&self.app.reconciler()).await {
                assert!(self.fault.has_struck(), "{error}");
            }
        }
        let struck = self.fault.disarm();
        self.app.pass(A_WHILE);
        self.app.settle().await;
        let report = self.app.get(&format!("/v1/reports/{report}")).await;
        assert_eq!(report["state"], "finished", "{struck:?}: {report}");
        (struck, report)
    }

    /// A number from SQL.
    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.app.pool).await.unwrap()
    }
}

/// Both sides of these steps of these.
fn places<'a>(who: &'a [&'static str], steps: &'a [Step]) -> impl Iterator<Item = Place> + 'a {
    let place = |worker, step| [When::Before, When::After].map(|when| Place { worker, step, when });
    who.iter().flat_map(move |worker| steps.iter().flat_map(move |step| place(*worker, *step)))
}

/// Every place of work at the ticket tracker.
fn at_the_tracker() -> BTreeSet<Place> {
    places(&["open_ticket", "close_ticket"], &[Step::Claim, Step::Call, Step::Settle, Step::Commit])
        .chain(places(&["ticket_mark"], &[Step::Commit]))
        .collect()
}

/// Every place of a bulk run.
fn of_bulk_runs() -> BTreeSet<Place> {
    places(&["bulk"], &[Step::Claim, Step::Settle, Step::Commit]).collect()
}

/// Every other place that there is, so that a kind of work that goes another way one day is noticed here.
fn everywhere() -> BTreeSet<Place> {
    let topics = ["create_profile", "submit_request", "issue_card", "deliver_event"];
    places(&topics, &[Step::Claim, Step::Call, Step::Settle, Step::Commit])
        .chain(places(&["timers"], &[Step::Claim, Step::Call, Step::Settle, Step::Commit]))
        .chain(places(&["inbox"], &[Step::Claim, Step::Settle, Step::Commit]))
        .chain(places(&["ingest", "start"], &[Step::Settle, Step::Commit]))
        .chain(places(&["catch_up"], &[Step::Claim, Step::Call, Step::Settle, Step::Commit]))
        .chain(places(&["marks"], &[Step::Settle, Step::Commit]))
        .chain(places(&["sweeper"], &[Step::Settle, Step::Commit]))
        .collect()
}
