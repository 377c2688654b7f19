//! The APIs: one effect per key, double effects are counted, and faults are used up.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::*;
use super::{KEY, World, submission, text};
use clock::Clock;

fn profile(reference: &str) -> Value {
    json!({"reference": reference, "market": "BE", "customer_type": "company", "customer": {"reference": "cus_1"}})
}

fn card(reference: &str) -> Value {
    json!({"opening_id": reference, "iban": "BE68539007547034", "profile_id": "prf_1"})
}

#[tokio::test]
async fn the_same_key_makes_an_effect_once_and_another_key_makes_a_counted_double() {
    let world = World::fixed(Plan::by_hand()).await;
    let calls = [
        ("/v1/profiles", profile("o1"), 201, "profile_id"),
        ("/v1/account-opening-requests", submission("o1"), 202, "account_opening_request_id"),
        ("/v1/virtual-cards", card("o1"), 201, "card_id"),
    ];
    for (n, (path, body, status, field)) in (1..).zip(calls) {
        let mut made = Vec::new();
        for key in ["a", "a", "b"] {
            let answer = world.post(path, key, &body).await;
            assert_eq!(answer.status(), status);
            made.push(text(&answer.json().await.unwrap(), field));
        }
        assert_eq!(made[0], made[1]);
        assert_ne!(made[0], made[2]);
        assert_eq!(world.sim.counts().double_effects, n);
    }
    let counts = world.sim.counts();
    assert_eq!((counts.profiles, counts.account_requests, counts.accounts, counts.cards), (2, 2, 0, 2));
    let opening = world.sim.opening("o1").unwrap();
    assert_eq!(opening.double_effects(), 3);
    assert_eq!(opening.customer_reference.as_deref(), Some("cus_1"));
    assert_eq!(opening.calls(Endpoint::Submit), 3);
    assert_eq!(opening.log.len(), 9);
}

#[tokio::test]
async fn one_effect_per_opening_and_key_is_no_double() {
    let world = World::fixed(Plan::by_hand()).await;
    for reference in ["o1", "o2"] {
        world.post("/v1/profiles", reference, &profile(reference)).await;
        world.accepted(reference).await;
        world.post("/v1/virtual-cards", reference, &card(reference)).await;
    }
    assert_eq!(world.sim.counts().double_effects, 0);
    assert_eq!(world.sim.ledger().of_customer("cus_1").count(), 2);
}

#[tokio::test]
async fn calls_of_a_wrong_form_are_refused_and_make_nothing() {
    let world = World::fixed(Plan::by_hand()).await;
    world.accepted("o1").await;
    let path = "/v1/account-opening-requests";
    assert_eq!(world.post(path, "o1", &submission("o2")).await.status(), 422, "a key stands for one body");
    assert_eq!(world.post(path, "", &submission("o2")).await.status(), 400, "a key is needed");
    assert_eq!(world.post(path, "k", &json!({"reference": "o2"})).await.status(), 422);
    let mut wrong = submission("o2");
    wrong["market"] = json!("be");
    assert_eq!(world.post(path, "k", &wrong).await.status(), 422);

    let url = format!("{}{path}", world.sim.base_url());
    let send = |key: &'static str| world.http.post(&url).bearer_auth(key).header("idempotency-key", "k").body("{");
    assert_eq!(send(KEY).send().await.unwrap().status(), 400);
    assert_eq!(send("another").send().await.unwrap().status(), 401);
    let counts = world.sim.counts();
    assert_eq!((counts.account_requests, counts.calls_refused, counts.calls_unauthorized), (1, 5, 1));
}

#[tokio::test]
async fn faults_come_in_order_and_wear_off() {
    let submit = vec![
        Fault::ErrorBefore { status: 500 },
        Fault::Throttle { retry_after_seconds: 7 },
        Fault::ErrorAfter { status: 502 },
        Fault::Garbage,
    ];
    let world = World::fixed(Plan { submit, ..Plan::by_hand() }).await;
    let made = || world.sim.counts().account_requests;

    assert_eq!(world.submit("o1", "k").await.status(), 500);
    let throttled = world.submit("o1", "k").await;
    assert_eq!((throttled.status().as_u16(), &throttled.headers()["retry-after"].to_str().unwrap()), (429, &"7"));
    assert_eq!(made(), 0);
    assert_eq!(world.submit("o1", "k").await.status(), 502);
    assert_eq!(made(), 1);
    let garbage = world.submit("o1", "k").await;
    assert!(garbage.status().is_success());
    assert!(garbage.json::<Value>().await.is_err());
    assert_eq!(world.submit("o1", "k").await.status(), 202);
    assert_eq!((made(), world.sim.counts().double_effects), (1, 0));
    assert_eq!(world.submit("o2", "k2").await.status(), 500, "each opening has its own");
}

#[tokio::test]
async fn a_refusal_has_the_form_that_was_scripted_and_half_a_character_is_an_escape_on_the_wire() {
    let form = |form| Fault::Refuse { status: 400, form };
    let submit =
        vec![form(RefusalForm::Gateway), form(RefusalForm::Numbered), form(RefusalForm::Cut), Fault::Compressed];
    let world = World::fixed(Plan { submit, ..Plan::by_hand() }).await;
    for (has, lacks) in [("message", "code"), (r#""code":1002"#, "status"), (r#"ends in \ud83d"}"#, "\u{e000}")] {
        let answer = world.submit("o1", "k").await;
        assert_eq!(answer.status(), 400);
        let body = answer.text().await.unwrap();
        assert!(body.contains(has) && !body.contains(lacks), "{body}");
    }
    assert_eq!(world.sim.counts().account_requests, 0);
    let compressed = world.submit("o1", "k").await;
    assert_eq!(
        (compressed.status().as_u16(), &compressed.headers()["content-encoding"].to_str().unwrap()),
        (202, &"gzip")
    );
    assert_eq!(compressed.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
    assert_eq!(world.sim.counts().account_requests, 1);
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_simulator_stops() {
    let world = World::fixed(Plan { submit: Fault::HangAfter.times(1), ..Plan::by_hand() }).await;
    let (answer, ()) = tokio::join!(world.submit("o1", "k"), async {
        while world.sim.counts().account_requests == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(Duration::from_secs(5), world.sim.stop()).await.unwrap();
    });
    assert_eq!(answer.status(), 504);
    assert_eq!(world.sim.counts().account_requests, 1);
}

#[tokio::test]
async fn an_outage_hides_the_plan_and_uses_none_of_it_up() {
    let world = World::fixed(Plan { submit: Fault::ErrorBefore { status: 500 }.times(1), ..Plan::by_hand() }).await;
    world.sim.outage(Api::Bank, Some(Fault::ErrorBefore { status: 503 }));
    for _ in 0..3 {
        assert_eq!(world.submit("o1", "k").await.status(), 503);
        assert_eq!(world.get("/v1/account-opening-requests?updated_since=2026-01-01T00:00:00Z").await.status(), 503);
    }
    assert_eq!(world.post("/v1/profiles", "p", &profile("o1")).await.status(), 201, "another system is up");
    world.sim.outage(Api::Bank, None);
    assert_eq!(world.submit("o1", "k").await.status(), 500);
    assert_eq!(world.submit("o1", "k").await.status(), 202);
}

#[tokio::test]
async fn a_decision_by_hand_is_seen_by_lookups_and_stands() {
    let clock = Clock::manual(chrono::DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let own = clock.clone();
    let world = World::with(|options| (options.clock, options.planner) = (own, Planner::Fixed(Plan::by_hand()))).await;
    assert_eq!(world.sim.decide("o1", &Verdict::complete()).unwrap_err(), DecideError::Unknown);
    let id = world.accepted("o1").await;
    let look = async || world.get(&format!("/v1/account-opening-requests/{id}")).await.json::<Value>().await.unwrap();
    assert_eq!(look().await["status"], "INITIATED");

    clock.advance(TimeDelta::hours(3));
    let decided = world.sim.decide("o1", &Verdict::complete()).unwrap().request;
    assert_eq!(decided.decided_at, Some(clock.now()));
    let iban = decided.iban.unwrap();
    let seen = look().await;
    assert_eq!((text(&seen, "status"), text(&seen, "iban")), ("COMPLETED".to_owned(), iban.clone()));
    assert_eq!(seen["bic"], "NEXUBEBB");
    assert!(iban.parse::<iban::Iban>().is_ok());
    assert_eq!(world.sim.decide(&id, &Verdict::reject("no")).unwrap_err(), DecideError::Decided);

    let found = world.get("/v1/account-opening-requests?reference=o1").await.json::<Value>().await.unwrap();
    assert_eq!(found, json!({"items": [seen], "next_cursor": null}));
    assert_eq!(world.get("/v1/account-opening-requests/aor_0").await.status(), 404);
}

#[tokio::test]
async fn the_list_of_changes_shows_each_once_page_by_page() {
    let world = World::fixed(Plan::by_hand()).await;
    for n in 0..5 {
        world.accepted(&format!("o{n}")).await;
    }
    world.sim.decide("o0", &Verdict::reject("no")).unwrap();
    let mut path = "/v1/account-opening-requests?limit=2&updated_since=2020-01-01T00:00:00Z".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = world.get(&path).await.json::<Value>().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, "reference")));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/account-opening-requests?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["o1", "o2", "o3", "o4", "o0"], "in the order of their last change");
    assert_eq!(world.get("/v1/account-opening-requests").await.status(), 400);
    assert_eq!(world.get("/v1/account-opening-requests?cursor=x").await.status(), 400);
}

#[tokio::test]
async fn plans_go_by_customer_then_by_arrival_and_a_lookup_takes_none() {
    let failing = |status| Plan { submit: Fault::ErrorBefore { status }.times(1), ..Plan::by_hand() };
    let world = World::with(|options| {
        options.planner = Planner::Scripted {
            by_customer: [("cus_o1".to_owned(), failing(501))].into(),
            in_order: vec![failing(502)],
            otherwise: Plan::by_hand(),
        };
    })
    .await;
    world.sim.set_plan("cus_o2", failing(503));
    let found = world.get("/v1/account-opening-requests?reference=o9").await.json::<Value>().await.unwrap();
    assert_eq!(found["items"], json!([]));
    for (reference, status) in [("o1", 501), ("o2", 503), ("o3", 502), ("o4", 202)] {
        assert_eq!(world.submit(reference, reference).await.status(), status, "{reference}");
    }
}

#[tokio::test]
async fn everything_can_be_done_over_http_too() {
    let world = World::fixed(Plan::default()).await;
    let script = json!({"customer_reference": "cus_o1", "plan": {"decision": "by_hand", "submit": ["garbage"],
                        "decide_after_ms": 5, "webhooks": {"copies": 2, "resend_after_ms": 9}}});
    assert_eq!(world.post("/_sim/plan", "", &script).await.status(), 204);
    assert!(world.submit("o1", "k").await.json::<Value>().await.is_err());
    let down = json!({"api": "bank", "fault": {"error_before": {"status": 503}}});
    assert_eq!(world.post("/_sim/outage", "", &down).await.status(), 204);
    assert_eq!(world.submit("o1", "k").await.status(), 503);
    assert_eq!(world.post("/_sim/outage", "", &json!({"api": "bank", "fault": null})).await.status(), 204);
    let act = json!({"reference": "o1", "verdict": {"reject": {"reason": "no"}}});
    assert_eq!(world.post("/_sim/decide", "", &act).await.json::<Value>().await.unwrap()["status"], "REJECTED");
    assert_eq!(world.post("/_sim/decide", "", &act).await.status(), 409);
    assert_eq!(
        world.post("/_sim/decide", "", &json!({"reference": "o9", "verdict": {"complete": {}}})).await.status(),
        404
    );
    assert_eq!(
        world.post("/_sim/plan", "", &json!({"customer_reference": "c", "plan": {"copys": 1}})).await.status(),
        422
    );
    assert_eq!(world.post("/_sim/webhook", "", &json!({"body": "x"})).await.status(), 502, "nobody to send it to");

    let ledger = world.get("/_sim/ledger").await.json::<Value>().await.unwrap();
    assert_eq!(ledger["account_requests"], 1);
    let opening = &ledger["openings"]["o1"];
    assert_eq!((&opening["calls"]["submit"], &opening["requests"][0]["rejection_reason"]), (&json!(2), &json!("no")));
    assert!(opening["requests"][0]["decided_at"].is_string());
    assert_eq!(opening["plan"]["webhooks"]["resend_after_ms"], 9);
    assert_eq!(world.get("/_sim/ledger/o1").await.json::<Value>().await.unwrap(), *opening);
    assert_eq!(world.get("/_sim/counts").await.json::<Value>().await.unwrap()["double_effects"], 0);
}

#[tokio::test]
async fn a_simulator_that_cannot_work_does_not_start() {
    let start = async |change: fn(&mut Options, SocketAddr), addr| {
        let mut options = Options::local(KEY, super::SECRET);
        change(&mut options, addr);
        Simulator::start(options).await.err()
    };
    let world = World::fixed(Plan::default()).await;
    let taken = start(|options, addr| options.addr = addr, world.sim.addr()).await;
    assert!(matches!(taken, Some(StartError::Listen(addr, _)) if addr == world.sim.addr()));
    let secret = start(|options, _| options.webhook_secret = "none".to_owned(), world.sim.addr()).await;
    assert!(matches!(secret, Some(StartError::Webhooks(SendError::Secret))));
}
