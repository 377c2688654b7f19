//! Commits that are lost after every step in turn, while everything that was done outside stays done: the last ones, as by a
//! standby that was promoted before it had them, or all of them since a dump.

use std::collections::{BTreeMap, BTreeSet};

use account_opening::domain::Topic;
use chrono::TimeDelta;
use serde_json::Value;

use super::{Failure, Stage};

/// The commits that are lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// The commits of one step.
    LastCommits,
    /// Everything since the dump; the opening has ended meanwhile.
    SinceTheDump,
}

/// A step of a story.
#[derive(Clone, Copy, Debug)]
enum Step {
    Relay(Topic),
    Decide,
    /// The deadline passes, and the last poll finds nothing.
    Deadline,
    BankDecides,
}

const LIFE: [Step; 9] = [
    Step::Relay(Topic::CreateProfile),
    Step::Decide,
    Step::Relay(Topic::SubmitRequest),
    Step::Decide,
    Step::BankDecides,
    Step::Decide,
    Step::Relay(Topic::IssueCard),
    Step::Decide,
    Step::Relay(Topic::DeliverEvent),
];

/// Its first four steps are those of [`LIFE`].
const LATE_ANSWER: [Step; 12] = [
    Step::Relay(Topic::CreateProfile),
    Step::Decide,
    Step::Relay(Topic::SubmitRequest),
    Step::Decide,
    Step::Deadline,
    Step::Decide,
    Step::Relay(Topic::OpenTicket),
    Step::Relay(Topic::DeliverEvent),
    Step::BankDecides,
    Step::Decide,
    Step::Relay(Topic::CloseTicket),
    Step::Relay(Topic::IssueCard),
];

impl Stage {
    async fn take(&self, step: Step, id: &str) {
        match step {
            Step::Relay(topic) => self.relay(topic).await,
            Step::Decide => self.decide().await,
            Step::Deadline => {
                self.app.pass(TimeDelta::hours(12));
                self.poll().await;
            }
            Step::BankDecides => self.bank_decides(id).await,
        }
    }

    /// Loses what is committed from the `at`-th step on, and goes on to the end.
    async fn with_commits_lost(&self, story: &[Step], at: usize, lost: Lost, reader: &mut Reader) {
        let id = self.start(reader.tellings).await;
        reader.tellings += 1;
        for step in &story[..at] {
            self.take(*step, &id).await;
        }
        self.app.dump().await;
        self.take(story[at], &id).await;
        if matches!(lost, Lost::SinceTheDump) {
            self.drain(&id, "completed").await;
        }
        reader.read_on(self).await;
        self.app.restore().await;

        // The replicas are restarted: nothing is left in memory, and the bank's list is pulled.
        self.app.state.ingest.forget_bursts();
        self.backfill().await;
        self.drain(&id, "completed").await;
        reader.read_on(self).await;
        let what = format!("{lost:?} at {at}: {:?}", story[at]);
        let made = self.app.world.opening(&id).unwrap();
        assert_eq!((made.profiles.len(), made.requests.len(), made.cards.len()), (1, 1, 1), "P9: {what}");
        let issues: Vec<_> = self.app.world.issues().into_iter().filter(|it| it.summary.contains(&id)).collect();
        assert!(issues.len() <= 1, "P9: {what}: {issues:?}");
        assert!(issues.iter().all(|it| it.comments.len() <= 1), "P9: told twice, {what}: {issues:?}");
        self.was_told_once(&id, reader, &what).await;
    }

    /// P9, P11: every event has one id, with the subscriber and in the list, and a reader that kept its position missed none.
    async fn was_told_once(&self, id: &str, reader: &Reader, what: &str) {
        let delivered = self.subscriber.deliveries().into_iter().map(|it| it.event());
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in delivered.chain(reader.seen.iter().cloned()).filter(|it| it["subject"] == id) {
            let word = |name: &str| event[name].as_str().unwrap().to_owned();
            ids.entry(word("type")).or_default().insert(word("id"));
        }
        for (kind, ids) in &ids {
            assert_eq!(ids.len(), 1, "P9: {kind} was told under {ids:?}, {what}");
        }
        let seen: BTreeSet<&str> = reader.seen.iter().map(|it| it["id"].as_str().unwrap()).collect();
        let written: Vec<String> =
            sqlx::query_scalar("select id::text from events").fetch_all(&self.app.pool).await.unwrap();
        let skipped: Vec<&String> = written.iter().filter(|it| !seen.contains(it.as_str())).collect();
        assert!(skipped.is_empty(), "P11: {skipped:?}, {what}");
    }
}

/// A reader of `/v1/events` that keeps its cursor across all faults of the database.
#[derive(Default)]
struct Reader {
    tellings: usize,
    cursor: String,
    seen: Vec<Value>,
}

impl Reader {
    async fn read_on(&mut self, stage: &Stage) {
        loop {
            let page = stage.app.get(&format!("/v1/events?limit=200{}", self.cursor)).await;
            self.cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
            let items = page["items"].as_array().unwrap();
            if items.is_empty() {
                return;
            }
            self.seen.extend(items.iter().cloned());
        }
    }
}

/// From a step on: those before may be in another story.
async fn losing_commits_at_every_step(story: &[Step], from: usize) {
    let stage = Stage::new(Failure::Permanent).await;
    let mut reader = Reader::default();
    for at in from..story.len() {
        for lost in [Lost::LastCommits, Lost::SinceTheDump] {
            stage.with_commits_lost(story, at, lost, &mut reader).await;
        }
    }
    stage.app.finish().await;
}

/// G3, P9, P11: one profile, one account, one card, and the same events, wherever commits were lost.
#[tokio::test]
async fn an_opening_whose_commits_are_lost_at_any_step_has_each_effect_once() {
    Box::pin(losing_commits_at_every_step(&LIFE, 0)).await;
}

/// G3, P9, P14: one ticket at the tracker too.
#[tokio::test]
async fn a_late_answer_whose_commits_are_lost_at_any_step_leaves_one_ticket() {
    Box::pin(losing_commits_at_every_step(&LATE_ANSWER, 4)).await;
}
