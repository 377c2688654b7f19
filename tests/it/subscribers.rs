//! Deliveries to subscribers: every event, signed, at least once, and no command waits for them.

use account_opening::app::Parts;
use account_opening::domain::Topic;
use account_opening::domain::chain::HistoryKey;
use account_opening::driver::tick;
use account_opening::outbox::Relay;
use account_opening::sinks;
use chrono::TimeDelta;

use crate::events::{check_event, long_life};
use crate::support::{KEY, Subscriber, TestApp, eventually};

const SECRET: &str = "whsec_c3Vic2NyaWJlci1vbmUtc2VjcmV0";
const OTHER_SECRET: &str = "whsec_c3Vic2NyaWJlci10d28tc2VjcmV0";
const IBAN: &str = "BE68539007547034";

async fn subscribed(to: &[&Subscriber]) -> TestApp {
    let list: Vec<String> = to.iter().map(|it| it.setting()).collect();
    TestApp::with().settings(|it| it.event_subscribers = list.join(",")).start().await
}

/// The ids of the events that it acknowledged, each as often as it did.
fn acknowledged(subscriber: &Subscriber) -> Vec<String> {
    let taken = subscriber.deliveries().into_iter().filter(|it| it.status == 204);
    let mut ids: Vec<String> = taken.map(|it| it.event()["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

async fn all_ids(app: &TestApp) -> Vec<String> {
    let events = app.eventually_all_events().await;
    let mut ids: Vec<String> = events.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn every_subscriber_is_sent_every_event_signed_with_its_own_secret() {
    let (one, two) = (Subscriber::answering(204, SECRET).await, Subscriber::answering(204, OTHER_SECRET).await);
    let app = subscribed(&[&one, &two]).await;
    let id = long_life(&app).await;
    let (events, opening) = (app.eventually_all_events().await, app.opening(&id).await);
    for subscriber in [&one, &two] {
        assert_eq!(acknowledged(subscriber), all_ids(&app).await, "each once");
        let oracle = standardwebhooks::Webhook::new(subscriber.secret).unwrap();
        for delivery in subscriber.deliveries() {
            let event = delivery.event();
            check_event(&event, &opening);
            assert!(events.contains(&event), "the same as in the list: {event}");
            assert_eq!(delivery.header("webhook-id"), event["id"]);
            assert_eq!(delivery.header("content-type"), "application/cloudevents+json");
            let at: i64 = delivery.header("webhook-timestamp").parse().unwrap();
            assert!((app.now().timestamp() - at) <= 14 * 3_600);
            let signature = oracle.sign(delivery.header("webhook-id"), at, &delivery.body).unwrap();
            assert_eq!(delivery.header("webhook-signature"), signature);
        }
    }
    app.finish().await;
}

/// P11: at least once, with the same id and the same words on repeats.
#[tokio::test]
async fn a_subscriber_that_recovers_is_sent_what_it_missed_under_the_same_ids() {
    let (broken, sound) = (Subscriber::answering(500, SECRET).await, Subscriber::answering(204, OTHER_SECRET).await);
    let app = subscribed(&[&broken, &sound]).await;
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(acknowledged(&sound).len(), 4, "the other one is not held up");
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(15)).await;
    assert!(acknowledged(&broken).is_empty());
    broken.answer(204);
    app.pass_settling(TimeDelta::minutes(15), TimeDelta::minutes(15)).await;
    assert_eq!(acknowledged(&broken), all_ids(&app).await);
    assert_eq!(acknowledged(&sound), all_ids(&app).await);
    for id in all_ids(&app).await {
        let deliveries: Vec<_> = broken.deliveries().into_iter().filter(|it| it.header("webhook-id") == id).collect();
        // The breaker lets all four pass at first, and then few: which of them is by chance.
        assert!(deliveries.len() >= 2, "refused at first, and taken in the end: {id}");
        assert!(deliveries.iter().all(|it| it.body == deliveries[0].body), "{id}");
    }
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

/// A delivery is queued for a name: it follows its sink to another URL, and is given up where the sink was taken out.
#[tokio::test]
async fn queued_deliveries_follow_a_sink_that_moves_and_end_with_a_sink_that_is_taken_out() {
    let (old, new) = (Subscriber::answering(503, SECRET).await, Subscriber::answering(204, OTHER_SECRET).await);
    let before = format!("crm={0},{0}", old.setting());
    let app = TestApp::with().settings(|it| it.event_subscribers = before).start().await;
    app.open().waiting().await;
    let mut settings = (*app.state.settings).clone();
    settings.event_subscribers = sinks::parse(&format!("crm={}", new.setting())).unwrap();
    let pool = app.state.cell.pool.clone();
    let restarted = Parts::new(settings, pool, HistoryKey::new(&KEY), app.clock.clone()).unwrap();
    app.pass(TimeDelta::minutes(16));
    tick(&Relay::of(restarted.context, Topic::DeliverEvent)).await.unwrap();
    assert_eq!(acknowledged(&new), all_ids(&app).await);
    let ends = "select payload ->> 'sink', lane, outcome from outbox where topic = 'deliver_event' order by 1, 3";
    let ends: Vec<(String, String, String)> = sqlx::query_as(ends).fetch_all(&app.pool).await.unwrap();
    let end = |name: &str, outcome: &str| (name.to_owned(), name.to_owned(), outcome.to_owned());
    let derived = old.url.trim_start_matches("http://");
    let given_up = end(derived, "no_longer_subscribed");
    assert_eq!(ends, [given_up.clone(), given_up, end("crm", "sent"), end("crm", "sent")]);
    app.finish().await;
}

#[tokio::test]
async fn without_subscribers_nothing_is_queued() {
    let app = TestApp::start().await;
    long_life(&app).await;
    let queued: i64 = sqlx::query_scalar("select count(*) from outbox where topic = 'deliver_event'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(queued, 0);
    assert_eq!(app.eventually_all_events().await.len(), 5);
    app.finish().await;
}

#[tokio::test]
async fn subscribers_that_are_down_or_hang_hold_up_no_command() {
    let hanging = Subscriber::answering(0, SECRET).await;
    let mut down = hanging.clone();
    down.url = "http://127.0.0.1:1/events".to_owned();
    let app = subscribed(&[&hanging, &down]).await;
    let id = app.open().start().await;
    let commands = async {
        eventually("a delivery that hangs", async || (!hanging.deliveries().is_empty()).then_some(())).await;
        for topic in [Topic::CreateProfile, Topic::SubmitRequest] {
            app.relay(topic).await;
            app.tick_inbox().await;
        }
        let state = app.opening(&id).await["state"].clone();
        // Only now it answers.
        assert!(hanging.deliveries().iter().all(|it| it.status == 0));
        hanging.answer(204);
        state
    };
    let (_, state) = tokio::join!(app.relay(Topic::DeliverEvent), commands);
    assert_eq!(state, "awaiting_provider");
    app.settle().await;
    assert_eq!(acknowledged(&hanging), all_ids(&app).await);
    app.finish().await;
}
