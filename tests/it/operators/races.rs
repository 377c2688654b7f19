//! Decisions at once, with each other and with the provider. (P6, P8, P10, P18)

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::{IBAN, actions, decision, post, resolve, resolve_path, taken};
use crate::support::{TestApp, problem};

#[tokio::test(flavor = "multi_thread")]
async fn ten_decisions_at_once_are_one_transition() {
    let app = TestApp::start().await;
    let (id, _) = app.open().waiting().await;
    let outcomes = ["failed", "rejected", "completed"];
    let asked = outcomes.iter().cycle().take(10);
    let answers = join_all((0..10).map(|n| resolve(&app, &id, outcomes[n % 3]))).await;
    assert!(answers.iter().all(|it| [202, 409].contains(it)), "{answers:?}");
    app.settle().await;
    let taken = answers.iter().filter(|it| **it == 202).count();
    let history = app.history(&id).await;
    let by_operators = history.iter().filter(|it| it.contains("operator_resolved")).count();
    assert_eq!(by_operators, 1, "{history:?}");
    assert_eq!(actions(&app, &id).await.len(), taken, "each that was taken is recorded");
    // P8: each other end that was taken is one case, however often it was asked for.
    let said: BTreeSet<&str> = asked.zip(&answers).filter(|(_, answer)| **answer == 202).map(|(it, _)| *it).collect();
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), said.len() - 1, "{cases:?}");
    assert!(cases.iter().all(|it| it["kind"] == "conflicting_answer"), "{cases:?}");
    problem(post(&app, &resolve_path(&id), &decision("failed")).await, 409, "wrong-state").await;
    app.finish().await;
}

/// P6, P8: whichever is read first decides, and the other is one case.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_and_a_webhook_at_once_end_in_one_state() {
    let app = TestApp::start().await;
    let ibans = ["BE68539007547034", "BE71096123456769", "BE62510007547061", "BE43068999999501"];
    for iban in ibans {
        let (id, tracking_id) = app.open().waiting().await;
        let webhook = app.webhook().completed(&tracking_id, iban).answered();
        let (answer, decided) = tokio::join!(webhook, resolve(&app, &id, "rejected"));
        assert_eq!((answer, decided), (200, 202));
        app.settle().await;
        let opening = app.opening(&id).await;
        let (state, cases) =
            (opening["state"].as_str().unwrap(), app.items(&format!("/v1/cases?opening_id={id}")).await);
        assert!(["rejected", "completed"].contains(&state), "{state}");
        assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")), "{state}");
        let ends = app
            .history(&id)
            .await
            .iter()
            .filter(|it| it.contains("-> issuing_card") || it.contains("-> rejected"))
            .count();
        assert_eq!(ends, 1);
    }
    app.finish().await;
}

/// An answer that is in the inbox before the decision goes before it.
#[tokio::test]
async fn the_answer_that_was_received_first_counts() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.pass(chrono::TimeDelta::seconds(1));
    taken(&app, &resolve_path(&id), &decision("failed")).await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let act = items.iter().find(|it| it["kind"] == "operator").unwrap();
    assert_eq!(act["detail"]["outcome"], "conflict", "the operator sees that it came too late");
    // P8: as if the provider had said it: the act is the evidence.
    let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
    assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")));
    let facts = "select id::text from inbox where source = 'operator'";
    let fact: String = sqlx::query_scalar(facts).fetch_one(&app.pool).await.unwrap();
    assert_eq!(cases[0]["evidence"], json!([fact]));
    app.finish().await;
}

/// P18: a decision with a lost reply to its COMMIT is in the inbox once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_commit_of_a_decision_leaves_one_fact_and_one_record() {
    let app = TestApp::with().through_proxy().start().await;
    let (id, _) = app.open().waiting().await;
    app.proxy.as_ref().unwrap().lose_commits(1);
    assert_eq!(resolve(&app, &id, "failed").await, 202);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "failed");
    assert_eq!(actions(&app, &id).await.len(), 1);
    let facts: i64 =
        sqlx::query_scalar("select count(*) from inbox where source = 'operator'").fetch_one(&app.pool).await.unwrap();
    assert_eq!(facts, 1);
    app.finish().await;
}
