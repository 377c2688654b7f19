//! Page by page: a crash, an outage, and lists that are odd.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use account_opening::db::backfills::{self, Cause, Settled, Then};
use account_opening::faults::{FaultPoint, Step, When};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Api, Fault};

use super::{ask_for, complete, completed, lookups, restart, step, waiting};
use crate::support::{TestApp, listen};

/// A bank's list that answers by a script, and notes at which place it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl Script {
    /// Puts it in the place of the app's bank, with these answers.
    async fn of(app: &mut TestApp, answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let script = Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() };
        let router = Router::new().route("/v1/account-opening-requests", get(answer)).with_state(script.clone());
        app.ask_bank_at(listen(router).await);
        script
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, Query(query): Query<Vec<(String, String)>>) -> (StatusCode, Json<Value>) {
    let value = |name: &str| query.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
    assert!(value("updated_since").is_some() || value("reference").is_some(), "{query:?}");
    script.asked.lock().unwrap().push(value("cursor"));
    let (status, body) = script.answers.lock().unwrap().pop_front().unwrap_or((500, Value::Null));
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn item(reference: &str, tracking_id: &str, iban: &str) -> Value {
    json!({"account_opening_request_id": tracking_id, "reference": reference, "status": "COMPLETED", "iban": iban,
           "bic": "NEXUBEBB", "rejection_reason": null, "updated_at": "2026-01-01T00:00:00.123456789Z"})
}

async fn backfill(app: &TestApp) {
    ask_for(&app.context, "nexusbank", Cause::Start, None).await.unwrap().unwrap();
    app.settle().await;
}

async fn newest(app: &TestApp) -> Value {
    super::backfills(app).await.swap_remove(0)
}

/// Whichever step of whichever page a crash comes at: the next goes on at the place that was written down, and no item comes
/// twice.
#[tokio::test]
async fn a_backfill_that_crashed_goes_on_where_it_was() {
    for (crash, when) in [
        (Step::Call, When::Before),
        (Step::Call, When::After),
        (Step::Settle, When::After),
        (Step::Commit, When::Before),
    ] {
        let mut app = TestApp::start().await;
        let ids = waiting(&app, 120).await;
        complete(&app, &ids);
        restart(&mut app);
        assert_eq!(step(&app.context).await.unwrap().items.len(), 100);
        let strike = move |place: account_opening::faults::Place| {
            let here = place.worker == "catch_up" && place.step == crash && place.when == when;
            here.then_some(sqlx::Error::PoolTimedOut)
        };
        app.context.shell.faults = FaultPoint::new(strike);
        assert!(step(&app.context).await.is_err(), "{crash:?}");
        assert_eq!(newest(&app).await["pages"], 1);

        // The backfill waits until its lease has run out; the next process asks for no second one.
        restart(&mut app);
        assert_eq!(step(&app.context).await.unwrap().page, None, "{crash:?}");
        app.pass(TimeDelta::minutes(1));
        app.settle().await;
        assert_eq!((super::backfills(&app).await.len(), completed(&app).await, lookups(&app)), (1, 120, 0));
        let done = newest(&app).await;
        assert_eq!((&done["pages"], &done["items"], &done["new_facts"]), (&json!(2), &json!(120), &json!(120)));
        let asked = if (crash, when) == (Step::Call, When::Before) { 2 } else { 3 };
        assert_eq!(app.world.counts().lists, asked, "{crash:?}: the first page is not asked for again");
        app.finish().await;
    }
}

/// P15: an outage does not make work dead. P16: an open breaker blocks calls.
#[tokio::test]
async fn a_list_that_is_away_is_waited_for_without_using_up_attempts() {
    let mut app = TestApp::with().settings(|it| it.backoff_cap = "1m".to_owned()).start().await;
    let ids = waiting(&app, 2).await;
    complete(&app, &ids);
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 500 }));
    restart(&mut app);
    // Less than the first poll, which would find them too.
    app.pass_settling(TimeDelta::minutes(20), TimeDelta::seconds(5)).await;
    let waits = newest(&app).await;
    assert_eq!(
        (&waits["status"], &waits["attempts"], &waits["last_error"]),
        (&json!("pending"), &json!(0), &json!("server_error"))
    );
    let lists = app.world.counts().lists;
    assert!((6..60).contains(&lists), "five, and then probes: {lists}");
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(5)).await;
    assert_eq!((completed(&app).await, lookups(&app)), (2, 0));
    assert_eq!(newest(&app).await["status"], "done");
    app.finish().await;
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_claimed_and_no_page_asked_for() {
    let mut app = TestApp::start().await;
    let ids = waiting(&app, 1).await;
    complete(&app, &ids);
    restart(&mut app);
    force(&app, &json!("open")).await;
    app.settle().await;
    let untouched = newest(&app).await;
    assert_eq!((&untouched["status"], &untouched["last_error"]), (&json!("pending"), &Value::Null));
    assert_eq!(app.world.counts().lists, 0);
    force(&app, &json!(null)).await;
    app.settle().await;
    assert_eq!(completed(&app).await, 1);
    app.finish().await;
}

/// Makes the breaker before the bank's list do what an operator wants.
async fn force(app: &TestApp, forced: &Value) {
    let path = "/v1/breakers/nexusbank/list";
    let body = json!({"forced": forced, "reason": "a test"});
    let answer = app.request(reqwest::Method::PUT, path).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_list_that_stays_away_for_a_day_is_given_up_and_said_to_be() {
    let mut app = TestApp::with().settings(|it| it.escalate_after = "90d".to_owned()).start().await;
    waiting(&app, 1).await;
    restart(&mut app);
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 503 }));
    app.pass_settling(TimeDelta::hours(23), TimeDelta::minutes(30)).await;
    assert_eq!(newest(&app).await["status"], "pending");
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(30)).await;
    let failed = newest(&app).await;
    assert_eq!((&failed["status"], &failed["next_attempt_at"]), (&json!("failed"), &Value::Null), "{failed}");
    app.finish().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_understood_is_a_dead_letter_and_stops_no_other() {
    let mut app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let odd = json!({"account_opening_request_id": tracking_id, "reference": id, "status": "COMPLETED", "iban": 7});
    let items = json!([odd, null, item(&id, &tracking_id, "BE68539007547034")]);
    Script::of(&mut app, [(200, json!({"items": items, "next_cursor": null}))]).await;
    backfill(&app).await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    assert_eq!(letters.len(), 2);
    for (letter, body) in letters.iter().rev().zip([odd, Value::Null]) {
        assert_eq!((&letter["cause"], &letter["kind"]), (&json!("unreadable"), &json!("list")));
        let whole = app.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).await;
        assert_eq!(whole["payload"], body);
    }
    let done = newest(&app).await;
    assert_eq!((&done["status"], &done["items"]), (&json!("done"), &json!(3)));
    // Their key is request, status and time of change, in the bank's own form.
    let keys: Vec<String> =
        sqlx::query_scalar("select event_id from inbox where source = 'list' and status = 'applied'")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(keys, [format!("list:{tracking_id}:COMPLETED:2026-01-01T00:00:00.123456789Z")]);
    app.finish().await;
}

#[tokio::test]
async fn a_list_whose_place_does_not_move_is_given_up_with_what_it_brought() {
    let mut app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let page = |items: Value| (200, json!({"items": items, "next_cursor": "here"}));
    let pages = [page(json!([])), page(json!([item(&id, &tracking_id, "BE68539007547034")]))];
    let script = Script::of(&mut app, pages).await;
    backfill(&app).await;
    let failed = newest(&app).await;
    assert_eq!((&failed["status"], &failed["last_error"]), (&json!("failed"), &json!("cursor_stuck")), "{failed}");
    assert_eq!(script.asked(), [None, Some("here".to_owned())]);
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// F15: places that come round again lead nowhere new, however many there are; each restart would follow them anew.
#[tokio::test]
async fn a_list_whose_places_come_round_again_is_left_at_the_first_that_was_seen_before() {
    let mut app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let page = |items: Value, next: &str| (200, json!({"items": items, "next_cursor": next}));
    let pages =
        ["A", "B", "A", "B", "A", "B"].map(|next| page(json!([item(&id, &tracking_id, "BE68539007547034")]), next));
    let script = Script::of(&mut app, pages).await;
    ask_for(&app.context, "nexusbank", Cause::Operator, None).await.unwrap().unwrap();
    app.settle().await;
    let place = |it: &str| Some(it.to_owned());
    assert_eq!(script.asked(), [None, place("A"), place("B")]);
    assert_eq!(app.opening(&id).await["state"], "completed", "what its pages brought is kept");
    let failed = newest(&app).await;
    assert_eq!(
        (&failed["status"], &failed["last_error"], &failed["pages"]),
        (&json!("failed"), &json!("cursor_repeated"), &json!(3)),
        "{failed}"
    );
    app.finish().await;
}

/// F15: a list that is begun anew names the same places again, and that is no circle.
#[tokio::test]
async fn places_that_were_seen_before_a_list_was_begun_anew_may_come_again() {
    let mut app = TestApp::start().await;
    let refusal = || (422, json!({"code": "cursor_expired", "message": "begin again"}));
    let page = |next: Option<&str>| (200, json!({"items": [], "next_cursor": next}));
    let pages = [page(Some("A")), page(Some("B")), refusal(), page(Some("A")), page(Some("B")), page(None)];
    let script = Script::of(&mut app, pages).await;
    ask_for(&app.context, "nexusbank", Cause::Operator, None).await.unwrap().unwrap();
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(10)).await;
    assert_eq!((script.asked().len(), &newest(&app).await["status"]), (6, &json!("done")));
    app.finish().await;
}

/// F15: the same of the list under our reference, which is asked before a submission is repeated.
#[tokio::test]
async fn a_list_under_our_reference_whose_places_come_round_again_is_left_too() {
    let mut app = TestApp::start().await;
    let page = |next: &str| (200, json!({"items": [], "next_cursor": next}));
    let script = Script::of(&mut app, ["A", "B", "A", "B", "A", "B"].map(page)).await;
    let bank = Arc::clone(app.context.outside.providers.get("nexusbank").unwrap());
    assert_eq!(bank.recover(&app.submission()).await.unwrap(), []);
    let place = |it: &str| Some(it.to_owned());
    assert_eq!(script.asked(), [None, place("A"), place("B")]);
    app.finish().await;
}

#[tokio::test]
async fn a_place_that_the_bank_does_not_know_any_more_is_begun_anew_a_few_times() {
    let mut app = TestApp::with().settings(|it| it.max_attempts = "3".to_owned()).start().await;
    let refusal = || (422, json!({"code": "cursor_expired", "message": "begin again"}));
    let first = || (200, json!({"items": [], "next_cursor": "p2"}));
    let script = Script::of(&mut app, [first(), refusal(), first(), (200, json!({"items": []}))]).await;
    ask_for(&app.context, "nexusbank", Cause::Operator, None).await.unwrap().unwrap();
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(10)).await;
    let place = |it: &str| Some(it.to_owned());
    assert_eq!(script.asked(), [None, place("p2"), None, place("p2")]);
    assert_eq!(newest(&app).await["status"], "done");

    let script = Script::of(&mut app, (0..9).map(|_| refusal())).await;
    ask_for(&app.context, "nexusbank", Cause::Operator, None).await.unwrap().unwrap();
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(10)).await;
    let failed = newest(&app).await;
    assert_eq!(
        (script.asked().len(), &failed["status"], &failed["last_error"]),
        (3, &json!("failed"), &json!("rejected"))
    );
    app.finish().await;
}

/// P12
#[tokio::test]
async fn a_backfill_that_slept_past_its_lease_moves_nothing() {
    let app = TestApp::start().await;
    let id = ask_for(&app.context, "nexusbank", Cause::Operator, None).await.unwrap().unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    let (sleeper, now) = (app.state.shell.ids.next(), app.now());
    let providers = ["nexusbank".to_owned()];
    let lease = now + TimeDelta::seconds(40);
    assert!(backfills::claim(&mut connection, &providers, sleeper, now, lease).await.unwrap().is_some());
    app.settle().await;
    assert_eq!(newest(&app).await["status"], "pending", "leased");
    app.pass(TimeDelta::seconds(40));
    app.settle().await;
    let done = newest(&app).await;
    assert_eq!(done["status"], "done");
    let late = Settled::Page { items: 7, new_facts: 7, then: Then::Next("late".to_owned()) };
    assert!(!backfills::settle(&mut connection, id, sleeper, &late, app.now()).await.unwrap());
    assert_eq!(newest(&app).await, done);
    app.finish().await;
}
