//! Every order in which a bank's messages can come, through real webhooks. (P6, P8)

use futures::future::join_all;
use world::Plan;

use super::{IBAN, iban};
use crate::support::TestApp;

/// Messages of the bank, the second `IN_PROGRESS` a late one; a completion names an account.
const MESSAGES: [&str; 5] = ["INITIATED", "IN_PROGRESS", "COMPLETED", "IN_PROGRESS", "REJECTED"];

/// Every order of so many things.
fn orders(things: &[usize]) -> Vec<Vec<usize>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let first = |n: usize| {
        let rest: Vec<usize> = things.iter().copied().filter(|it| *it != n).collect();
        orders(&rest).into_iter().map(move |order| [vec![n], order].concat())
    };
    things.iter().flat_map(|n| first(*n)).collect()
}

/// P8: the first terminal answer stays, and the other one is one case, in all 120 orders, each message decided before the
/// next one comes.
#[tokio::test(flavor = "multi_thread")]
async fn p8_all_120_orders_of_five_real_webhooks_keep_the_first_answer_and_open_one_case() {
    let app = TestApp::start().await;
    let orders = orders(&[0, 1, 2, 3, 4]);
    assert_eq!(orders.len(), 120);
    let ids = join_all(orders.iter().map(|_| app.open().plan(Plan::by_hand()).start())).await;
    app.settle().await;
    let mut openings = Vec::new();
    for id in &ids {
        let tracking = app.opening(id).await["provider_reference"].as_str().unwrap().to_owned();
        openings.push(tracking);
    }
    // The openings side by side, each in an order of its own.
    for position in 0..MESSAGES.len() {
        for (n, (tracking, order)) in openings.iter().zip(&orders).enumerate() {
            let which = order[position];
            let webhook = app.webhook().id(&format!("msg_{n}_{which}"));
            let webhook = match MESSAGES[which] {
                "COMPLETED" => webhook.completed(tracking, &iban(n)),
                status => webhook.status(tracking, status),
            };
            webhook.acknowledged().await;
        }
        app.pass(chrono::TimeDelta::minutes(1));
        app.settle().await;
    }
    let cases = app.items("/v1/cases").await;
    for (n, (id, order)) in ids.iter().zip(&orders).enumerate() {
        let opening = app.opening(id).await;
        let completed = order.iter().find(|it| [2, 4].contains(*it)) == Some(&2);
        let (state, account) = if completed { ("completed", Some(iban(n))) } else { ("rejected", None) };
        assert_eq!(
            (opening["state"].as_str(), opening["iban"].as_str()),
            (Some(state), account.as_deref()),
            "{order:?}"
        );
        let mine: Vec<_> = cases.iter().filter(|it| it["opening_id"] == id.as_str()).collect();
        assert_eq!(mine.len(), 1, "{order:?}: {mine:?}");
        assert_eq!(mine[0]["kind"], "conflicting_answer", "{order:?}");
    }
    assert_eq!(cases.len(), 120);
    app.finish().await;
}

/// The same when all five lie in the inbox before the first is read: they are applied in the order of their receipt.
#[tokio::test(flavor = "multi_thread")]
async fn p8_every_order_in_one_batch_keeps_the_first_answer_and_opens_one_case() {
    let app = TestApp::start().await;
    for (n, order) in orders(&[0, 1, 2, 3, 4]).into_iter().enumerate().step_by(7) {
        let (id, tracking) = app.open().waiting().await;
        for which in &order {
            let webhook = app.webhook().id(&format!("msg_{n}_{which}"));
            let webhook = match MESSAGES[*which] {
                "COMPLETED" => webhook.completed(&tracking, &iban(n)),
                status => webhook.status(&tracking, status),
            };
            webhook.acknowledged().await;
            // The late one is no copy of the first: the burst cache must not take it for one.
            app.state.ingest.forget_bursts();
        }
        app.settle().await;
        let completed = order.iter().find(|it| [2, 4].contains(*it)) == Some(&2);
        let expected = if completed { "completed" } else { "rejected" };
        assert_eq!(app.opening(&id).await["state"], expected, "{order:?}");
        assert_eq!(app.items(&format!("/v1/cases?opening_id={id}")).await.len(), 1, "{order:?}");
    }
    app.finish().await;
}

#[test]
fn the_ibans_of_this_test_are_valid_and_each_is_another() {
    let all: std::collections::BTreeSet<String> = (0..120).map(iban).collect();
    assert_eq!(all.len(), 120);
    let valid = |it: &String| account_opening::domain::bank::Iban::parse(it).is_ok();
    assert!(all.iter().all(valid) && valid(&IBAN.to_owned()));
}
