//! The legacy call: it blocks until the decision, which only its caller receives.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::*;
use super::{World, submission};

const PATH: &str = "/v1/accounts";

#[tokio::test]
async fn it_blocks_until_the_decision_and_the_same_key_waits_for_the_same_answer() {
    let world = World::fixed(Plan::by_hand()).await;
    let body = submission("o1");
    let deciding = async {
        while world.sim.opening("o1").is_none_or(|it| it.calls(Endpoint::OpenAccount) < 2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(world.sim.opening("o1").unwrap().decided_at().is_none());
        world.sim.decide("o1", &Verdict::complete()).unwrap().told().await
    };
    let (one, two, told) = tokio::join!(world.post(PATH, "k", &body), world.post(PATH, "k", &body), deciding);
    assert_eq!(told, None, "no webhook is sent");
    assert_eq!((one.status(), two.status()), (axum::http::StatusCode::CREATED, axum::http::StatusCode::CREATED));
    let (one, two): (Value, Value) = (one.json().await.unwrap(), two.json().await.unwrap());
    let record = world.sim.opening("o1").unwrap();
    let id = record.tracking_id().unwrap();
    assert_eq!(one, json!({"account_id": id, "iban": record.iban(), "bic": "NEXUBEBB", "status": "COMPLETED"}));
    assert_eq!(one, two);
    assert_eq!(world.post(PATH, "k", &body).await.json::<Value>().await.unwrap(), one);
    assert_eq!((record.requests.len(), world.sim.counts().webhooks_sent), (1, 0));
    assert_eq!(world.get(&format!("/v1/account-opening-requests/{id}")).await.status(), 404);
    for query in ["reference=o1", "updated_since=1970-01-01T00:00:00Z"] {
        let listed = world.get(&format!("/v1/account-opening-requests?{query}")).await.json::<Value>().await.unwrap();
        assert_eq!(listed["items"], json!([]), "{query}");
    }
}

#[tokio::test]
async fn another_key_opens_a_second_account_which_is_counted() {
    let world = World::fixed(Plan::default()).await;
    for (key, double) in [("a", 0), ("a", 0), ("b", 1)] {
        assert_eq!(world.post(PATH, key, &submission("o1")).await.status(), 201);
        assert_eq!(world.sim.counts().double_effects, double);
    }
    assert_eq!(world.sim.counts().accounts, 2);
    assert_eq!(world.submit("o1", "c").await.status(), 202);
    assert_eq!(world.sim.counts().double_effects, 2, "a request beside an account is one too many");
}

#[tokio::test]
async fn a_no_and_faults_are_answered_as_the_plan_says() {
    let plan = Plan {
        decision: Decision::By(Verdict::reject("risk")),
        open: vec![Fault::ErrorBefore { status: 500 }, Fault::ErrorAfter { status: 502 }],
        ..Plan::default()
    };
    let world = World::fixed(plan).await;
    for (status, made) in [(500, 0), (502, 1), (200, 1)] {
        let answer = world.post(PATH, "k", &submission("o1")).await;
        assert_eq!(answer.status(), status);
        assert_eq!(world.sim.opening("o1").unwrap().requests.len(), made);
        if status == 200 {
            let told: Value = answer.json().await.unwrap();
            assert_eq!(told, json!({"status": "REJECTED", "rejection_reason": "risk"}));
        }
    }
    assert_eq!(world.post(PATH, "", &submission("o1")).await.status(), 400);
    let mut another = submission("o1");
    another["currency"] = json!("USD");
    assert_eq!(world.post(PATH, "k", &another).await.status(), 422, "a key stands for one body");
    assert_eq!(world.sim.counts().double_effects, 0);
}
