//! The list of events, which skips none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use account_opening::clock::MAX_SKEW;
use account_opening::db::events::{self, NewEvent};
use account_opening::db::gauges;
use account_opening::domain::{EventType, OpeningId};
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::Verdict;

use crate::support::{TestApp, eventually, keys};

const IBAN: &str = "BE68539007547034";

/// An event has the fields of CloudEvents 1.0, and `data` is the whole resource.
pub fn check_event(event: &Value, resource: &Value) {
    let fields = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"];
    assert_eq!(keys(event), BTreeSet::from(fields));
    assert_eq!((&event["specversion"], &event["datacontenttype"]), (&json!("1.0"), &json!("application/json")));
    assert!(uuid::Uuid::parse_str(event["id"].as_str().unwrap()).is_ok());
    assert_eq!(event["source"], "/account-openings");
    assert_eq!((&event["subject"], keys(&event["data"])), (&event["data"]["id"], keys(resource)));
}

/// Type, version and state of each, in the order of the versions.
fn told(events: &[Value]) -> Vec<(String, i64, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let mut told: Vec<_> = events
        .iter()
        .map(|it| (word(&it["type"]), it["data"]["version"].as_i64().unwrap(), word(&it["data"]["state"])))
        .collect();
    told.sort_by_key(|(_, version, _)| *version);
    told
}

fn line(kind: &str, version: i64, state: &str) -> (String, i64, String) {
    (format!("account_opening.{kind}"), version, state.to_owned())
}

/// A whole life, from the start past the deadline to the card.
pub async fn long_life(app: &TestApp) -> String {
    let (id, tracking_id) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::hours(1)).await;
    app.pass(TimeDelta::hours(1));
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    id
}

#[tokio::test]
async fn each_step_is_an_event_with_the_resource_as_it_was_then() {
    let app = TestApp::start().await;
    let id = long_life(&app).await;
    let events = app.eventually_all_events().await;
    let opening = app.opening(&id).await;
    for event in &events {
        check_event(event, &opening);
    }
    let expected = [
        line("started", 1, "creating_profile"),
        line("awaiting_provider", 3, "awaiting_provider"),
        line("escalated", 4, "escalated"),
        line("succeeded", 5, "issuing_card"),
        line("completed", 6, "completed"),
    ];
    assert_eq!(told(&events), expected);
    let of = |kind: &str| events.iter().find(|it| it["type"] == format!("account_opening.{kind}")).unwrap();
    assert_eq!(of("completed")["data"], opening, "the last one is the opening as it is");
    assert_eq!(of("started")["data"]["iban"], json!(null));
    assert_eq!(of("succeeded")["data"]["iban"], opening["iban"]);
    assert_eq!(of("succeeded")["data"]["card_id"], json!(null));
    for event in &events {
        assert_eq!(event["time"], event["data"]["updated_at"], "{event}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_rejection_and_a_contradiction_are_told_once() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    for _ in 0..3 {
        app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    let events = app.eventually_all_events().await;
    let opening = app.opening(&id).await;
    for event in &events {
        check_event(event, &opening);
    }
    let kinds: Vec<&str> = events.iter().map(|it| it["type"].as_str().unwrap()).collect();
    let all = ["started", "awaiting_provider", "rejected", "contradiction"].map(|it| format!("account_opening.{it}"));
    assert_eq!(kinds, all);
    assert_eq!(events[3]["data"]["state"], "rejected", "a contradiction moves nothing");
    assert_eq!(events[3]["data"]["version"], events[2]["data"]["version"]);
    app.finish().await;
}

#[tokio::test]
async fn there_is_always_a_place_to_read_on_from() {
    let app = TestApp::start().await;
    let empty = app.get("/v1/events").await;
    assert_eq!(empty["items"], json!([]));
    let start = empty["next_cursor"].as_str().unwrap();
    let id = app.open().start().await;
    let read = async |cursor: &str| app.get(&format!("/v1/events?cursor={cursor}")).await;
    let page = eventually("the event", async || {
        let page = read(start).await;
        (page["items"] != json!([])).then_some(page)
    })
    .await;
    assert_eq!(page["items"][0]["subject"], json!(id));
    let cursor = page["next_cursor"].as_str().unwrap();
    let end = read(cursor).await;
    assert_eq!((&end["items"], &end["next_cursor"]), (&json!([]), &json!(cursor)));
    app.settle().await;
    let more = eventually("the next event", async || {
        let page = read(cursor).await;
        (page["items"] != json!([])).then_some(page)
    })
    .await;
    assert_eq!(more["items"][0]["type"], "account_opening.awaiting_provider");
    app.finish().await;
}

/// G1, P11: a long transaction in any database of the server delays no event.
#[tokio::test]
async fn a_transaction_that_stays_open_holds_up_no_event() {
    let app = TestApp::start().await;
    let mut open = app.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
    let id = app.open().start().await;
    let page = app.get("/v1/events").await;
    assert_eq!(page["items"][0]["subject"], json!(id));
    open.rollback().await.unwrap();
    app.finish().await;
}

/// G1, P11: positions that readers have seen, and that are lost with their commits, are not given to other events; though
/// the clock that they were made from was ahead as far as it may be.
#[tokio::test]
async fn a_reader_whose_place_was_lost_in_a_failover_misses_nothing_that_comes_after() {
    let app = TestApp::start().await;
    app.dump().await;
    app.open().start().await;
    let lost = app.get("/v1/events").await;
    assert_eq!(lost["items"].as_array().unwrap().len(), 1);
    app.restore().await;
    app.pass(-MAX_SKEW * 2);
    let id = app.open().start().await;
    let page = app.get(&format!("/v1/events?cursor={}", lost["next_cursor"].as_str().unwrap())).await;
    assert_eq!(page["items"][0]["subject"], json!(id));
    app.finish().await;
}

/// G1: the gauge for events that no reader is shown yet, which the next read or the sweeper shows.
#[tokio::test]
async fn the_age_of_the_oldest_event_without_a_position_is_measured() {
    let app = TestApp::start().await;
    let oldest = async || {
        let mut connection = app.pool.acquire().await.unwrap();
        gauges::oldest_unshown(&mut connection).await.unwrap()
    };
    app.open().start().await;
    assert_eq!(oldest().await, Some(app.now()));
    app.settle().await;
    assert_eq!(oldest().await, None);
    let metrics = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("account_opening_events_oldest_unshown_seconds"), "{metrics}");
    app.finish().await;
}

/// G3: in any order of finding them again.
#[tokio::test]
async fn contradictions_that_are_found_again_after_a_restored_dump_come_under_the_same_ids() {
    let app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    app.dump().await;
    let mut told = Vec::new();
    for rejected_first in [false, true] {
        app.restore().await;
        app.state.ingest.forget_bursts();
        for rejected in [rejected_first, !rejected_first] {
            let webhook = app.webhook();
            let webhook = if rejected {
                webhook.status(&tracking_id, "REJECTED")
            } else {
                webhook.completed(&tracking_id, "NL20ADYB2017000035")
            };
            webhook.acknowledged().await;
            app.settle().await;
        }
        let events = app.eventually_all_events().await;
        let contradictions = events.iter().filter(|it| it["type"] == "account_opening.contradiction");
        told.push(contradictions.map(|it| it["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>());
    }
    assert_eq!(told[0].len(), 2);
    assert_eq!(told[0], told[1]);
    app.finish().await;
}

/// P11: commits overtake each other during reads; no event is skipped or repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_misses_none_while_many_write() {
    let app = TestApp::start().await;
    // Nothing more happens to this one: an event keeps its opening's row from taking a tracking id until it is committed. A
    // worker that waited for that would not write the profiles that the slow one waits for.
    let (opening, _) = app.open().waiting().await;
    let opening = OpeningId(opening.parse().unwrap());
    let writing = Arc::new(AtomicUsize::new(0));
    let write = async {
        let starts = (0..6).map(|_| async {
            for _ in 0..10 {
                app.open().start().await;
            }
        });
        let work = async {
            for _ in 0..20 {
                app.round().await;
            }
        };
        // Writes its event before the others and commits it when they have long been read.
        let slow = async {
            let mut transaction = app.pool.begin().await.unwrap();
            let (id, kind) = (app.state.shell.ids.next(), EventType::Contradiction);
            let (opening_id, subject) = (Some(opening), opening.0);
            let event = NewEvent { id, opening_id, subject, kind, version: 1, data: "{}".to_owned() };
            events::insert(&mut transaction, &[event], app.now()).await.unwrap();
            eventually("twenty profiles", async || (app.world.counts().profiles >= 20).then_some(())).await;
            transaction.commit().await.unwrap();
        };
        tokio::join!(futures::future::join_all(starts), work, slow);
        app.settle().await;
        writing.store(1, Ordering::SeqCst);
    };
    let read = async {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        eventually("the last event", async || {
            let done = writing.load(Ordering::SeqCst) == 1;
            let page = app.get(&format!("/v1/events?limit=3{cursor}")).await;
            cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap());
            let ids = page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
            seen.extend(ids);
            let written: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&app.pool).await.unwrap();
            (done && seen.len() as i64 >= written).then_some(())
        })
        .await;
        seen
    };
    let ((), seen) = tokio::join!(write, read);
    let written: Vec<uuid::Uuid> = sqlx::query_scalar("select id from events").fetch_all(&app.pool).await.unwrap();
    assert_eq!(written.len(), 123, "two of each of the 61 openings, and the slow one");
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), distinct), (123, written.iter().map(ToString::to_string).collect()));
    app.finish().await;
}
