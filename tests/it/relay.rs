//! The relay's leases and repeats: what was taken over stays taken over, and what was begun is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::context::Context;
use account_opening::db::outbox::{self, Claimed, Settled};
use account_opening::domain::Topic;
use account_opening::domain::retry::Nature;
use account_opening::driver::{Counts as _, Worker as _};
use account_opening::faults::{FaultPoint, Step, When};
use account_opening::outbox::Relay;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::{Endpoint, Fault, Plan};

use crate::support::{Subscriber, TestApp, eventually, listen};

const IBAN: &str = "BE68539007547034";
/// The lease of the default settings: the longest call, and a margin.
const LEASE: TimeDelta = TimeDelta::seconds(40);

/// Claims what is due of a topic, as a worker does that then sleeps or dies.
async fn claim(app: &TestApp, topic: Topic, token: Uuid) -> Vec<Claimed> {
    let mut connection = app.pool.acquire().await.unwrap();
    outbox::claim(&mut connection, topic, token, app.now(), app.now() + LEASE, &[], 16).await.unwrap()
}

/// Everything that the outbox holds of a row.
async fn row(app: &TestApp, id: Uuid) -> Value {
    let row = sqlx::query_scalar("select to_jsonb(outbox) from outbox where id = $1").bind(id);
    row.fetch_one(&app.pool).await.unwrap()
}

/// G3, P9: after a failover the trace of a submission may be lost, and a bank may forget keys.
#[tokio::test]
async fn an_opening_that_is_older_than_the_database_server_is_looked_for_before_it_is_submitted() {
    let app = TestApp::start().await;
    for (server_is_new, expected) in [(false, 0), (true, 1)] {
        let id = app.open().start().await;
        app.relay(Topic::CreateProfile).await;
        app.tick_inbox().await;
        if server_is_new {
            app.dump().await;
            app.restore().await;
        }
        app.relay(Topic::SubmitRequest).await;
        assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), expected);
    }
    app.finish().await;
}

/// P12
#[tokio::test]
async fn a_worker_that_slept_past_its_lease_settles_nothing() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let sleeper = app.state.shell.ids.next();
    let claimed = claim(&app, Topic::CreateProfile, sleeper).await;
    assert_eq!(claimed.len(), 1);
    app.pass(LEASE - TimeDelta::seconds(1));
    app.settle().await;
    assert!(app.world.opening(&id).is_none(), "nobody else does it while the lease lasts");
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    let done = row(&app, claimed[0].id).await;
    assert_eq!((&done["status"], &done["claims"]), (&json!("delivered"), &json!(2)));
    let mut connection = app.pool.acquire().await.unwrap();
    for late in [
        Settled::Delivered { outcome: "profile_created" },
        Settled::Dead { class: "rejected", cause: "no".to_owned(), nature: Nature::Final },
        Settled::Retry {
            at: app.now(),
            class: "timeout",
            cause: "x".to_owned(),
            counts: true,
            nature: Nature::Indeterminate,
        },
        Settled::Cancelled { cause: "obsolete" },
        Settled::Released,
    ] {
        let settled = outbox::settle(&mut connection, sleeper, &[(claimed[0].id, &late)], app.now()).await.unwrap();
        assert!(settled.is_empty(), "{late:?}");
    }
    drop(connection);
    assert_eq!(row(&app, claimed[0].id).await, done, "nothing changed");
    app.finish().await;
}

/// P12: also while the other one still works on it.
#[tokio::test]
async fn a_lease_that_was_taken_over_is_the_others_alone() {
    let app = TestApp::start().await;
    app.open().start().await;
    let (sleeper, other) = (app.state.shell.ids.next(), app.state.shell.ids.next());
    let first = claim(&app, Topic::CreateProfile, sleeper).await;
    assert!(claim(&app, Topic::CreateProfile, other).await.is_empty());
    app.pass(LEASE);
    let second = claim(&app, Topic::CreateProfile, other).await;
    assert_eq!((second[0].id, second[0].claims), (first[0].id, 2));
    let mut connection = app.pool.acquire().await.unwrap();
    let delivered = Settled::Delivered { outcome: "profile_created" };
    let work = first[0].id;
    let settled = outbox::settle(&mut connection, sleeper, &[(work, &delivered)], app.now()).await.unwrap();
    assert!(settled.is_empty());
    assert_eq!(row(&app, work).await["lease_token"], json!(other));
    let settled = outbox::settle(&mut connection, other, &[(work, &Settled::Released)], app.now()).await.unwrap();
    assert_eq!(settled, [work].into());
    drop(connection);
    app.finish().await;
}

/// P11, P9: a worker that dies after its claim, before or after its call, at every step.
#[tokio::test]
async fn work_that_a_dead_worker_had_claimed_is_done_again_after_its_lease() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    for topic in [Topic::CreateProfile, Topic::SubmitRequest, Topic::IssueCard] {
        let claimed = claim(&app, topic, app.state.shell.ids.next()).await;
        assert_eq!(claimed.len(), 1, "{topic}");
        app.settle().await;
        assert_eq!(row(&app, claimed[0].id).await["status"], "pending", "{topic}");
        app.pass(LEASE);
        app.relay(topic).await;
        app.tick_inbox().await;
        if topic == Topic::SubmitRequest {
            let record = app.world.opening(&id).unwrap();
            assert_eq!(record.calls(Endpoint::Lookup), 1, "a submission is looked for before it is repeated");
            app.webhook().completed(record.tracking_id().unwrap(), IBAN).acknowledged().await;
            app.tick_inbox().await;
        }
    }
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// P11: the key is the outbox row's id, after any earlier failure.
#[tokio::test]
async fn a_call_has_the_same_idempotency_key_on_every_repeat() {
    let app = TestApp::start().await;
    let plan = Plan {
        profile: vec![Fault::ErrorAfter { status: 500 }, Fault::Garbage, Fault::Throttle { retry_after_seconds: 1 }],
        submit: vec![Fault::ErrorBefore { status: 503 }, Fault::ErrorBefore { status: 401 }],
        card: vec![Fault::ErrorAfter { status: 502 }, Fault::ErrorBefore { status: 409 }, Fault::Garbage],
        ..Plan::default()
    };
    let id = app.open().plan(plan).start().await;
    for _ in 0..20 {
        app.pass(TimeDelta::seconds(20));
        app.settle().await;
        // The bank tells its decision by itself, beside the test.
        if app.world.opening(&id).is_some_and(|it| it.decided_at().is_some()) {
            eventually("the webhook", async || (app.world.counts().webhooks_sent > 0).then_some(())).await;
        }
    }
    eventually("the card", async || {
        app.pass(TimeDelta::seconds(20));
        app.settle().await;
        (app.opening(&id).await["state"] == "completed").then_some(())
    })
    .await;
    let record = app.world.opening(&id).unwrap();
    let rows: Vec<(String, Uuid)> = sqlx::query_as("select topic, id from outbox").fetch_all(&app.pool).await.unwrap();
    for (topic, endpoint, calls) in [
        ("create_profile", Endpoint::CreateProfile, 4),
        ("submit_request", Endpoint::Submit, 3),
        ("issue_card", Endpoint::IssueCard, 4),
    ] {
        let keys: Vec<_> = record.log.iter().filter(|it| it.endpoint == endpoint).map(|it| it.key.clone()).collect();
        let row = rows.iter().find(|(name, _)| name == topic).map(|(_, id)| id.to_string());
        assert_eq!(keys, vec![row; calls], "{topic}");
    }
    assert_eq!(rows.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), 3);
    app.finish().await;
}

/// A bank that takes a submission and answers it when it is let.
#[derive(Clone)]
struct SlowBank {
    asked: Arc<Semaphore>,
    answer: Arc<Semaphore>,
}

impl SlowBank {
    async fn listening() -> (Self, String) {
        let bank = Self { asked: Arc::new(Semaphore::new(0)), answer: Arc::new(Semaphore::new(0)) };
        let router = Router::new().route("/v1/account-opening-requests", post(Self::submit)).with_state(bank.clone());
        (bank, listen(router).await)
    }

    async fn submit(State(bank): State<Self>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
        bank.asked.add_permits(1);
        bank.answer.acquire().await.unwrap().forget();
        let answer =
            json!({"account_opening_request_id": "aor_late", "reference": body["reference"], "status": "INITIATED"});
        (StatusCode::ACCEPTED, Json(answer))
    }
}

/// P12: the command was cancelled while its call was under way; its answer is a fact all the same.
#[tokio::test]
async fn a_late_result_of_a_cancelled_command_is_still_a_fact() {
    // The tracking id that the webhook names, what the late answer then is, and the cases that it opens.
    for (tracking_id, outcome, kinds) in
        [("aor_late", "superseded", vec![]), ("aor_else", "conflict", vec!["second_reference"])]
    {
        let (bank, url) = SlowBank::listening().await;
        let app = TestApp::with().settings(|it| it.nexusbank.base_url = url).start().await;
        let id = app.open().start().await;
        app.relay(Topic::CreateProfile).await;
        app.tick_inbox().await;
        let meanwhile = async {
            bank.asked.acquire().await.unwrap().forget();
            let data = json!({"account_opening_request_id": tracking_id, "reference": id, "status": "COMPLETED",
                              "iban": IBAN, "bic": "NEXUBEBB"});
            app.webhook().data(data).acknowledged().await;
            app.tick_inbox().await;
            assert_eq!(app.opening(&id).await["state"], "issuing_card");
            bank.answer.add_permits(1);
        };
        let (relayed, ()) = tokio::join!(app.relay(Topic::SubmitRequest), meanwhile);
        assert_eq!((relayed.claimed, relayed.lost_leases), (1, 1));
        app.settle().await;
        let opening = app.opening(&id).await;
        assert_eq!((&opening["state"], &opening["provider_reference"]), (&json!("completed"), &json!(tracking_id)));
        let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
        let submit = items.iter().find(|it| it["kind"] == "submit_request").unwrap();
        assert_eq!(submit["detail"]["status"], "cancelled");
        let event_id = format!("cmd:{}:1", submit["id"].as_str().unwrap());
        let fact = items.iter().find(|it| it["detail"]["event_id"] == event_id).unwrap();
        assert_eq!((&fact["kind"], &fact["detail"]["outcome"]), (&json!("command"), &json!(outcome)));
        let cases = app.items("/v1/cases").await;
        assert_eq!(cases.iter().map(|it| it["kind"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
        app.finish().await;
    }
}

/// P19: the call is made and the database is away; once it is back, its result is there, and not only when the lease has run
/// out.
#[tokio::test]
async fn a_settlement_outlasts_an_outage_that_is_shorter_than_its_lease() {
    let mut app = TestApp::start().await;
    let refused = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&refused);
    app.context.shell.faults = FaultPoint::new(move |place| {
        let settles = (place.worker, place.step, place.when) == ("create_profile", Step::Settle, When::Before);
        let away = settles && counting.fetch_add(1, Ordering::SeqCst) < 6;
        away.then(|| sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()))
    });
    let id = app.open().start().await;
    app.settle().await;
    assert_eq!(refused.load(Ordering::SeqCst), 7, "six times in vain, then well");
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider", "no time has passed");
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile), 1);
    app.finish().await;
}

/// The deadline of a call is for the other side alone: what our database takes to note another answer is not part of it.
#[tokio::test]
async fn an_answer_that_comes_while_another_waits_for_the_database_is_in_time() {
    const SECRET: &str = "whsec_c3Vic2NyaWJlci1vbmUtc2VjcmV0";
    let (quick, slow) = (Subscriber::answering(204, SECRET).await, Subscriber::answering(0, SECRET).await);
    let building = TestApp::with().settings(|it| {
        it.event_subscribers = [quick.setting(), slow.setting()].join(",");
        it.provider_timeout = "500ms".to_owned();
    });
    let mut app = building.start().await;
    app.open().start().await;
    let failures = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&failures);
    app.context.shell.faults = FaultPoint::new(move |place| {
        let strikes = (place.worker, place.step, place.when) == ("deliver_event", Step::Settle, When::Before)
            && counted.fetch_add(1, Ordering::SeqCst) < 4;
        strikes.then(|| sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()))
    });
    let answers = async {
        // The first answer is on its way into the database, which is away for a second in all.
        eventually("a settlement has failed", async || (failures.load(Ordering::SeqCst) > 0).then_some(())).await;
        slow.answer(204);
    };
    let (relayed, ()) = tokio::join!(app.relay(Topic::DeliverEvent), answers);
    assert_eq!(relayed.attempts, [(Topic::DeliverEvent, "delivered", ""); 2]);
    assert_eq!(failures.load(Ordering::SeqCst), 6, "four that failed, and one for each answer");
    app.context.shell.faults = FaultPoint::default();
    app.finish().await;
}

/// A look may have found no capacity while calls of other ticks ran: a tick that ends frees some, and asks for another look. Without
/// other ticks, the worker knows that it took all there was.
#[tokio::test]
async fn a_tick_that_ends_beside_others_is_followed_by_a_look_and_one_that_ends_alone_is_not() {
    // As many as one look takes.
    let app = TestApp::with().settings(|it| it.provider_concurrency = "16".to_owned()).start().await;
    let abort_calls = CancellationToken::new();
    let context = Context { abort_calls: abort_calls.clone(), ..app.context.clone() };
    let relay = Relay::of(context, Topic::CreateProfile);
    let hanging = app.open().plan(Plan { profile: Fault::HangBefore.times(1), ..Plan::by_hand() }).start().await;
    let beside = relay.clone();
    let call = tokio::spawn(async move { beside.tick().await.map(|it| it.claimed) });
    let calls = || app.world.opening(&hanging).map_or(0, |it| it.calls(Endpoint::CreateProfile));
    eventually("a call that hangs", async || (calls() == 1).then_some(())).await;
    app.open().start().await;
    let counts = relay.tick().await.unwrap();
    assert_eq!((counts.claimed, counts.may_be_more()), (1, true));
    abort_calls.cancel();
    call.await.unwrap().unwrap();
    app.settle().await;

    app.open().start().await;
    let counts = app.relay(Topic::CreateProfile).await;
    assert_eq!((counts.claimed, counts.may_be_more()), (1, false));
    app.finish().await;
}
